"""Runs functions that others wrote: whatever one returns or raises becomes a result or a typed error."""

import asyncio
import contextvars
import inspect
import json
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from aios.errors import ToolFailed

_log = logging.getLogger("aios")

MAX_RESULT_BYTES: Final = 1_048_576
"""Most bytes of a result as JSON text in UTF-8; the kernel takes no more."""
PARTING_SECONDS: Final = 5.0
"""How long a function that was cancelled may take to end; then it is left to itself."""
MAX_ERROR_CHARS: Final = 4_000
"""Most characters of an error that are told; the kernel takes 4096."""


async def contained(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run work in a task of its own and return what it returns.

    Raises the Exceptions of the work as they are, ToolFailed for whatever else it raises (SystemExit,
    KeyboardInterrupt, a CancelledError of its own), and CancelledError only when the caller is cancelled:
    then the work is cancelled too.
    """

    async def run() -> Any:
        try:
            return await work()
        except (asyncio.CancelledError, Exception):
            raise
        except BaseException as error:
            # A task that ends with SystemExit or KeyboardInterrupt stops the whole event loop.
            raise ToolFailed(describe(error)) from error

    task = asyncio.ensure_future(run())
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=PARTING_SECONDS)
        for ended in done:
            if not ended.cancelled():
                ended.exception()  # seen: the caller is gone
        if not done:
            _log.warning("a function goes on although it was cancelled; nobody waits for it")
        raise
    if task.cancelled():
        raise ToolFailed("CancelledError: the function cancelled itself")
    return task.result()


async def in_thread(function: Callable[[], Any]) -> Any:
    """Run a plain function in a thread of its own. Raises what it raises.

    The thread cannot be stopped. It is a daemon, so that one that was given up, or that never ends, keeps
    neither the event loop nor the program from ending.
    """
    loop = asyncio.get_running_loop()
    # Its error comes back as a value: a future cannot carry StopIteration, its awaiter would never wake.
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    surroundings = contextvars.copy_context()

    def finish(outcome: tuple[Any, BaseException | None]) -> None:
        if not done.done():
            done.set_result(outcome)

    def call() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = surroundings.run(function), None
        except BaseException as error:  # noqa: BLE001  # raised again on the loop's side
            outcome = None, error
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(finish, outcome)

    threading.Thread(target=call, name="aios-function", daemon=True).start()
    value, error = await done
    if error is not None:
        raise error
    return value


def describe(error: BaseException) -> str:
    """Return what an exception says, whatever it is: its type and text, bounded and valid as UTF-8."""
    try:
        text = str(error)[:MAX_ERROR_CHARS]
    except BaseException:  # noqa: BLE001  # its own code runs here, which may be what is broken
        text = "its text cannot be told"
    name = type(error).__name__
    return clean(f"{name}: {text}" if text else name)[:MAX_ERROR_CHARS]


def clean(text: str) -> str:
    """Return text without lone surrogates, which no message can carry."""
    return text.encode("utf-8", "replace").decode()


def refuse_lazy(value: Any) -> None:
    """Raise ToolFailed for a result that is work still to be done, such as a generator; it is closed."""
    if inspect.iscoroutine(value) or inspect.isgenerator(value):
        value.close()
    elif not (inspect.isawaitable(value) or inspect.isasyncgen(value)):
        return
    kind = type(value).__name__
    raise ToolFailed(f"the function returned a {kind}, which is no JSON; return the values themselves")


def as_json(value: Any) -> str:
    """Return a result as JSON text. Raises ToolFailed for one that has no JSON form or is too large."""
    refuse_lazy(value)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except Exception as error:  # the code of the values runs here too
        raise ToolFailed(f"the result is no JSON: {describe(error)}") from error
    if size > MAX_RESULT_BYTES:
        raise ToolFailed(f"the result is {size} bytes as JSON; the most is {MAX_RESULT_BYTES}")
    return text
