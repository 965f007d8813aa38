"""One timer for a whole stream: a timer for each read would cost more than the read."""

import asyncio
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a stream is waited for. Unit: seconds."""

    silence: float
    """Without a byte, keep-alive comments included."""
    tokens: float
    """Without an event."""


class Watchdog:
    """Ends a stream that is not worth waiting for: its read fails with TimeoutError.

    Only while somebody waits for its bytes: a consumer that takes its time is no fault of the server.
    """

    def __init__(self, stream: aiohttp.StreamReader, patience: Patience) -> None:
        self._stream = stream
        self._silence, self._without = patience.silence, patience.tokens
        self._loop = asyncio.get_running_loop()
        self._said = self._told = self._loop.time()
        self._waiting = False
        self._timer = self._loop.call_later(min(self._silence, self._without), self._look)

    async def read(self, most: int) -> bytes:
        """Return the next bytes; none at all are the end."""
        self._waiting = True
        try:
            data = await self._stream.read(most)
        finally:
            self._waiting = False
        self._said = self._loop.time()
        return data

    def told(self) -> None:
        """Note that events have come and were taken."""
        self._said = self._told = self._loop.time()

    def close(self) -> None:
        """Look no longer."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if not self._waiting:  # the consumer's time does not count
            self._timer = self._loop.call_later(min(self._silence, self._without), self._look)
            return
        due = min(self._said + self._silence, self._told + self._without)
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
        else:
            self._stream.set_exception(TimeoutError("the stream stands still"))
