"""Sends a call's stream as server-sent events: status when it is known, signs of life, the end told."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from aiohttp import web

from gateway.http.protocol import patience
from gateway.http.visit import Visit
from services.chassis.rpc.errors import Internal, KernelError
from services.chassis.rpc.steps import mapping

T = TypeVar("T")
_T_contra = TypeVar("_T_contra", contravariant=True)

_HEADERS: Final[Mapping[str, str]] = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # proxies that gather an answer first would hold the stream back
}


class StreamEncoder(Protocol[_T_contra]):
    """Turns what a call streams into a dialect's events. Every method returns bytes to send, possibly none.

    `start` comes first and once, `failed` at most once and last.
    """

    def start(self, first: _T_contra | None) -> bytes:
        """Begin; `first` is the call's first event, or None when the status had to leave before it came."""
        ...

    def event(self, event: _T_contra) -> bytes:
        """Encode a later event; the last one brings the stream's end."""
        ...

    def alive(self) -> bytes:
        """Encode a sign of life."""
        ...

    def failed(self, error: KernelError) -> bytes:
        """Tell that the call ended with an error in mid stream."""
        ...


async def send(
    visit: Visit,
    events: AsyncIterable[T],
    encoder: StreamEncoder[T],
    headers: Mapping[str, str] | None = None,
    known: Callable[[T | None], Mapping[str, str]] | None = None,
) -> web.StreamResponse:
    """Answer a request with a stream.

    Until the call's first event, or for the configured hold, nothing is sent: an error that comes meanwhile
    is raised, to be told with its status. `known` makes headers of the first event, or of None when it has
    not come. When the client leaves or takes nothing, the call is cancelled.
    """
    pump = _Pump(events)
    try:
        arrived, first = await _first(pump, visit.config.hold_seconds.total_seconds())
        more = known(first if arrived else None) if known is not None else {}
        answer = web.StreamResponse(headers={**_HEADERS, **visit.told, **(headers or {}), **more})
        visit.begin()
        await answer.prepare(visit.request)
        line = _Line(visit, answer)
        await line.send(encoder.start(first if arrived else None))
        await _relay(line, pump, encoder, visit.config.keep_alive_seconds.total_seconds())
        await line.end()
    finally:
        await pump.close()
    return answer


async def _first(pump: "_Pump[T]", hold: float) -> tuple[bool, Any]:
    try:
        return await pump.next(hold)
    except StopAsyncIteration:
        raise Internal("the call ended without an answer") from None


async def _relay(line: "_Line", pump: "_Pump[T]", encoder: StreamEncoder[T], silence: float) -> None:
    try:
        while True:
            arrived, event = await pump.next(silence)
            await line.send(encoder.event(event) if arrived else encoder.alive())
    except StopAsyncIteration:
        return
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 - the status is out: whatever it is, it is told in the stream
        await line.send(encoder.failed(mapping.typed(error, "door stream")))


class _Line:
    """The client's end. Writing is bounded in time; who takes nothing is cut off."""

    def __init__(self, visit: Visit, answer: web.StreamResponse) -> None:
        self._answer = answer
        self._request = visit.request
        self._seconds = visit.config.write_seconds.total_seconds()

    async def send(self, data: bytes) -> None:
        if not data:
            return
        await self._taken(self._answer.write(data), patience(self._seconds, len(data)))

    async def end(self) -> None:
        await self._taken(self._answer.write_eof(), self._seconds)

    async def _taken(self, writing: Awaitable[None], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await writing
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError("the client takes nothing") from None


class _Pump(Generic[T]):
    """Reads a stream with a bound on the silence, without losing the event that is on its way."""

    def __init__(self, events: AsyncIterable[T]) -> None:
        self._events = events
        self._coming: asyncio.Future[list[T]] | None = None

    async def next(self, seconds: float) -> tuple[bool, Any]:
        """Return (True, the next event), or (False, None) when none came in time.

        Raises StopAsyncIteration at the end, and what the stream ends with.
        """
        if self._coming is None:
            self._coming = asyncio.ensure_future(_anext(self._events))
        await asyncio.wait({self._coming}, timeout=seconds)
        if not self._coming.done():
            return False, None
        coming, self._coming = self._coming, None
        found = coming.result()
        if not found:
            raise StopAsyncIteration
        return True, found[0]

    async def close(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait({self._coming})
            if not self._coming.cancelled():
                self._coming.exception()
        closing = getattr(self._events, "aclose", None)
        if closing is not None:
            await closing()


async def _anext(events: AsyncIterable[T]) -> list[T]:
    """Return the next event in a list, or an empty one at the end: a task cannot raise StopAsyncIteration."""
    async for event in events:
        return [event]
    return []
