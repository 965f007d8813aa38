"""An event loop on a thread of its own, and the way into it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final, Self, TypeVar

from aios.errors import ConnectionClosed

T = TypeVar("T")

_END: Final = object()


class Portal:
    """Runs coroutines on a private event loop, for callers that have none.

    Use as a `with` block, or `close` it. Any thread may call; calls of several threads run at once.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # The thread knows the loop and not the portal: a portal that was forgotten can end it.
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name="aios", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._loop.is_closed()

    def is_here(self) -> bool:
        """Tell whether the caller is on the portal's own thread."""
        return threading.current_thread() is self._thread

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns. An interrupt of the waiting thread cancels it.

        Raises ConnectionClosed after `close`, and RuntimeError on the portal's own thread, which would wait
        for itself.
        """
        if self._loop.is_closed() or self.is_here():
            work.close()
            if self._loop.is_closed():
                raise ConnectionClosed("the connection is closed: call aios.connect_sync() again")
            raise RuntimeError(
                "this runs on the event loop already: use the asynchronous kernel, and await it"
            )
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            # KeyboardInterrupt leaves the coroutine running; for its own errors this changes nothing.
            future.cancel()
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Yield what an asynchronous iterator yields; leaving early closes it."""
        try:
            while (item := self.run(_next(items))) is not _END:
                yield item
        finally:
            self.run(_close(items))

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter an asynchronous context manager for the length of a `with` block."""
        value = self.run(_enter(manager))
        try:
            yield value
        except BaseException as error:
            if not self.run(_exit(manager, error)):
                raise
        else:
            self.run(_exit(manager, None))

    def close(self) -> None:
        """Cancel what still runs and end the thread. Closing twice changes nothing."""
        if not self._loop.is_closed():
            self.run(_cancel_the_rest())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _next(items: AsyncIterator[T]) -> Any:
    return await anext(items, _END)


async def _close(items: AsyncIterator[T]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


async def _enter(manager: AbstractAsyncContextManager[T]) -> T:
    return await manager.__aenter__()


async def _exit(manager: AbstractAsyncContextManager[T], error: BaseException | None) -> bool:
    if error is None:
        return bool(await manager.__aexit__(None, None, None))
    return bool(await manager.__aexit__(type(error), error, error.__traceback__))


async def _cancel_the_rest() -> None:
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
