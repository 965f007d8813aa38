"""Interpreters that wait in their locks, so that a piece of Python starts at once. Each runs one and ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from services.chassis.isolation.confined import StuckError
from services.chassis.isolation.places import Places
from services.chassis.isolation.running import Started
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.logs import logger

_log = logger(__name__)

KEEP_SECONDS: Final = 600.0
"""After that an idle interpreter is replaced, and all of them go when nobody wanted one."""
PAUSE_SECONDS: Final = 0.1
"""How long another one is not made while one still waits."""

Start = Callable[[], Awaitable[Started]]


class Pool:
    """Filled in the background once a first job has come; an empty one means a cold start, never a wait."""

    def __init__(self, size: int, start: Start, places: Places) -> None:
        self._size, self._start, self._places = size, start, places
        self._idle: list[tuple[float, Started]] = []
        self._filling: asyncio.Task[None] | None = None
        self._wanted_at = -KEEP_SECONDS

    def take(self) -> Started | None:
        """Return an interpreter that waits, and have another one made; None: there is none."""
        self._wanted_at = time.monotonic()
        found = None
        while self._idle and found is None:
            _, found = self._idle.pop(0)
            if found.confined.has_ended:
                self._drop(found)
                found = None
        self.fill()
        return found

    def fill(self) -> None:
        """Have interpreters made until there are enough."""
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        try:
            if self._idle:  # no hurry, and a start takes a processor from the job that has just begun
                await asyncio.sleep(PAUSE_SECONDS)
            while len(self._idle) < self._size:
                self._idle.append((time.monotonic(), await self._start()))
        except (KernelError, OSError) as error:
            _log.warning("no interpreter can be kept ready", why=str(error))

    async def replace_old(self) -> None:
        """End interpreters that have waited for long; make new ones where somebody wanted one meanwhile."""
        now = time.monotonic()
        old = [started for born, started in self._idle if now - born >= KEEP_SECONDS]
        self._idle = [one for one in self._idle if one[1] not in old]
        for started in old:
            await discard(started, self._places)
        if old and now - self._wanted_at < KEEP_SECONDS:
            self.fill()

    def _drop(self, started: Started) -> None:
        task = asyncio.create_task(discard(started, self._places))
        _dropping.add(task)
        task.add_done_callback(_dropping.discard)

    async def close(self) -> None:
        """End all interpreters."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        while self._idle:
            await discard(self._idle.pop()[1], self._places)
        await asyncio.gather(*_dropping)


_dropping: set[asyncio.Task[None]] = set()


async def discard(started: Started, places: Places) -> None:
    """End a process that is not wanted, and free its place."""
    try:
        await started.confined.finish()
    except StuckError as error:
        places.abandon()
        _log.error("a place of the sandbox is lost", exc=error)
        return
    await places.free(started.place)
