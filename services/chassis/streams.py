"""Long streams to other processes: opened again and again until cancelled, or until the refusal is final."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

import grpc

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import CredentialExpired, KernelError, ServiceUnavailable
from services.chassis.rpc.status import peer_error, status_of
from services.chassis.runtime.logs import logger

E = TypeVar("E")

_log = logger(__name__)

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0

OPENING_SECONDS: Final = 5.0

ENDING_SECONDS: Final = 1.0
"""How long a read of a call that was cancelled may take to end."""

_FINAL: Final = frozenset(
    {
        Code.UNAUTHENTICATED,
        Code.PERMISSION_DENIED,
        Code.NOT_FOUND,
        Code.INVALID_ARGUMENT,
        Code.FAILED_PRECONDITION,
        Code.OUT_OF_RANGE,
        Code.UNIMPLEMENTED,
    }
)


@dataclass(slots=True)
class LongStream:
    """Where a long stream stands. Pauses are in seconds, doubled after each attempt that was not let in."""

    name: str
    """Which stream it is, in logs."""
    first_pause: float = FIRST_PAUSE
    longest_pause: float = LONGEST_PAUSE
    silence: float | None = None
    """Longest time between two events of an attempt; None: any. Unit: seconds."""
    attempt: int = 0
    """Number of the attempt that runs, from 1."""
    failures: int = 0
    """Attempts since the last one that was let in."""
    told: bool = False
    """Whether the outage was logged."""

    @property
    def opening(self) -> float | None:
        """Longest wait for the first event, credential and connection included. Unit: seconds."""
        return None if self.silence is None else max(self.silence, OPENING_SECONDS)

    def begin(self) -> None:
        """Count an attempt."""
        self.attempt += 1

    def stands(self) -> None:
        """Note that an event came: the outage, if there was one, is over."""
        self.failures, self.told = 0, False

    def pause_after(self, error: KernelError) -> float:
        """Return the seconds to wait before the next attempt. Raises `error` when it is final."""
        if is_final(error):
            raise error
        self.failures += 1
        if not self.told:
            # A token's life is shorter than a stream's: opening it again with a fresh one is everyday work.
            log = _log.info if error.reason == CredentialExpired.reason else _log.warning
            log("a stream broke", stream=self.name, attempt=self.attempt, why=error.message)
            self.told = True
        bound: float = min(self.longest_pause, self.first_pause * 2 ** min(self.failures - 1, 16))
        return bound * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def is_final(error: KernelError) -> bool:
    """Tell whether the same stream would be refused again however often it is opened.

    An expired credential is none: the process shows a fresh one at the next attempt.
    """
    return error.code in _FINAL and error.reason != CredentialExpired.reason


async def follow_forever(
    stream: LongStream,
    open_: Callable[[], AsyncGenerator[E, None]],
    on_event: Callable[[E], Awaitable[None] | None],
) -> NoReturn:
    """Hand every event to `on_event`, across deadlines, broken connections and draining servers.

    `open_` begins an attempt from where the caller stands and yields its events; leaving it closes the RPC.
    Raises the KernelError that is final. Cancel it to stop.
    """
    while True:
        stream.begin()
        try:
            async with aclosing(open_()) as events:
                patience = stream.opening
                while True:
                    async with asyncio.timeout(patience):
                        event = await anext(events)
                    patience = stream.silence
                    stream.stands()
                    done = on_event(event)
                    if done is not None:
                        await done
        except StopAsyncIteration:
            # An endless method has no end of its own: the server stops without saying why.
            error: KernelError = ServiceUnavailable("the stream ended")
        except TimeoutError:
            error = ServiceUnavailable("the stream went silent")
        except grpc.aio.AioRpcError as failure:
            error = lost(failure)
        except KernelError as failure:
            error = failure
        await asyncio.sleep(stream.pause_after(error))


async def events_of(call: "grpc.aio.UnaryStreamCall[Any, E]") -> AsyncGenerator[E, None]:
    """Yield the messages of a call, and cancel it when they are left."""
    try:
        while (event := await next_of(call)) is not grpc.aio.EOF:
            yield event
    finally:
        call.cancel()


async def next_of(call: Any) -> Any:
    """Return the next message of a call that a peer answers, or grpc.aio.EOF. Raises AioRpcError.

    A read that is interrupted goes on to its end, which cancelling the call brings at once: gRPC frees what
    it receives when the read is over, and one that was given up keeps it for ever (some 50 KB of a stream).
    """
    reading = asyncio.ensure_future(call.read())
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        call.cancel()
        done, _ = await asyncio.wait({reading}, timeout=ENDING_SECONDS)
        for read in done:
            if not read.cancelled():
                read.exception()  # seen: the call ends for the reason of the interruption
        raise


def lost(failure: grpc.aio.AioRpcError) -> KernelError:
    """Return why an attempt ended: the server's own reason, or the connection's."""
    if status_of(failure) is None:
        return ServiceUnavailable(f"{failure.code().name}: {failure.details()}")
    return peer_error(failure)
