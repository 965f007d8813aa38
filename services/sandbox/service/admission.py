"""The wait for a place: bounded in time, in number, and by the end of the process."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from services.chassis.runtime.clock import Clock
from services.chassis.sandbox.errors import SandboxUnavailable, ToolBusy
from services.sandbox.core.places import NoRoom, Places
from services.sandbox.ports import Meter

RETRY_SECONDS: Final = 1.0


class Admission:
    """Gives places to jobs in the order in which they came."""

    def __init__(
        self, places: Places[int], clock: Clock, meter: Meter, draining: asyncio.Event, *, seconds: float
    ) -> None:
        """`seconds`: how long a job may wait. Nobody is let in once `draining` is set."""
        self.places = places
        self._clock = clock
        self._meter = meter
        self._draining = draining
        self._seconds = seconds
        self._numbers = itertools.count()
        self._turns: dict[int, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def place(self, memory_bytes: int) -> AsyncIterator[None]:
        """Hold a place for as long as the block runs. Raises ToolBusy, SandboxUnavailable."""
        number = next(self._numbers)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns[number] = turn
        began, admitted = self._clock.monotonic(), False
        try:
            try:
                self._grant(self.places.join(number, memory_bytes))
                await self._turn(turn)
                admitted = True
            finally:
                self._meter.waited(self._clock.monotonic() - began, admitted=admitted)
            yield
        except NoRoom as full:
            if full.passes:
                raise ToolBusy(str(full), retry_after=RETRY_SECONDS) from full
            raise SandboxUnavailable(str(full)) from full
        finally:
            del self._turns[number]
            self._grant(self.places.leave(number))

    async def _turn(self, turn: asyncio.Future[None]) -> None:
        drained = asyncio.create_task(self._draining.wait())
        either: set[asyncio.Future[Any]] = {turn, drained}
        try:
            await asyncio.wait(either, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drained.cancel()
        if self._draining.is_set():
            raise SandboxUnavailable("the sandbox is shutting down", retry_after=RETRY_SECONDS)
        if not turn.done():
            raise ToolBusy(f"no place became free within {self._seconds:g} s", retry_after=RETRY_SECONDS)

    def _grant(self, granted: Iterable[int]) -> None:
        for number in granted:
            self._turns[number].set_result(None)
