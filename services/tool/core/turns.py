"""Whose turn it is at a tool: bounded concurrency, agents in turn, bounded waits. Pure asyncio."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.chassis.identity import Scope
from services.tool.errors import ToolBusy

MAX_WAITING_PER_AGENT = 256


class Turns:
    """The places of one tool. Waiting agents are served round robin, the calls of one in order."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._running = 0
        self._queues: OrderedDict[Scope, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def idle(self) -> bool:
        """Whether nobody is inside or waits."""
        return self._running == 0 and not self._queues

    @property
    def free(self) -> bool:
        """Whether a place is free and nobody waits for it."""
        return self._running < self.places and not self._queues

    def resize(self, places: int) -> None:
        """Change how many may be inside."""
        self.places = places
        self._admit()

    @asynccontextmanager
    async def turn(self, scope: Scope, max_wait: float | None) -> AsyncIterator[None]:
        """Hold a place. Raises ToolBusy after `max_wait` seconds, or at once when too many wait."""
        if self.free:
            self._running += 1
        else:
            await self._wait(scope, max_wait)
        try:
            yield
        finally:
            self._running -= 1
            self._admit()

    async def _wait(self, scope: Scope, max_wait: float | None) -> None:
        queue = self._queues.setdefault(scope, deque())
        if len(queue) >= MAX_WAITING_PER_AGENT:
            raise ToolBusy("too many calls of this agent wait for the tool", retry_after=1.0)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(place)
        try:
            async with asyncio.timeout(max_wait):
                await place
        except (TimeoutError, asyncio.CancelledError) as stopped:
            self._withdraw(scope, place)
            if isinstance(stopped, TimeoutError):
                raise ToolBusy(
                    f"the tool was busy for {max_wait or 0:.1f} s; try again later", retry_after=1.0
                ) from None
            raise

    def _withdraw(self, scope: Scope, place: asyncio.Future[None]) -> None:
        if place.done() and not place.cancelled():
            self._running -= 1  # the turn came at the very moment it was given up
            self._admit()
            return
        queue = self._queues.get(scope)
        if queue is not None and place in queue:
            queue.remove(place)
            if not queue:
                del self._queues[scope]

    def _admit(self) -> None:
        while self._running < self.places and self._queues:
            scope, queue = self._queues.popitem(last=False)
            place = queue.popleft()
            if queue:
                self._queues[scope] = queue
            if not place.cancelled():  # else it gives up just now
                self._running += 1
                place.set_result(None)
