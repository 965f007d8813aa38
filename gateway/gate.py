"""The fair gate of the DATA and TOOL lanes: bounded concurrency, agents served in turn. Pure asyncio."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.chassis.refusals import QueueFull, TooManyCalls

Agent = tuple[str, str]
"""Tenant and agent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateConfig:
    """Limits of one lane."""

    running: int = 256
    """Calls that run at once, all agents together."""
    running_per_agent: int = 32
    """Calls of one agent that run at once."""
    waiting_per_agent: int = 256
    """Calls of one agent that may wait; more are refused."""
    waiting: int = 20_000
    """Calls that may wait, all agents together."""


class FairGate:
    """Admits calls round robin over the agents that wait, first come first served within an agent.

    A flood of one agent therefore delays another agent's call by at most one call of each agent that waits.
    """

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._running = 0
        self._of_agent: dict[Agent, int] = {}
        self._queues: OrderedDict[Agent, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0

    @property
    def running(self) -> int:
        """Calls inside."""
        return self._running

    @property
    def waiting(self) -> int:
        """Calls outside."""
        return self._waiting

    @asynccontextmanager
    async def pass_through(self, agent: Agent) -> AsyncIterator[None]:
        """Hold a place for the duration of a call. Raises TooManyCalls or QueueFull without waiting."""
        if self._free(agent) and not self._queues.get(agent):
            self._enter(agent)
        else:
            await self._wait(agent)
        try:
            yield
        finally:
            self._leave(agent)

    def _free(self, agent: Agent) -> bool:
        return (
            self._running < self._config.running
            and self._of_agent.get(agent, 0) < self._config.running_per_agent
        )

    def _enter(self, agent: Agent) -> None:
        self._running += 1
        self._of_agent[agent] = self._of_agent.get(agent, 0) + 1

    def _leave(self, agent: Agent) -> None:
        self._running -= 1
        left = self._of_agent[agent] - 1
        if left:
            self._of_agent[agent] = left
        else:
            del self._of_agent[agent]
        self._admit_next()

    async def _wait(self, agent: Agent) -> None:
        queue = self._queues.get(agent)
        if queue is not None and len(queue) >= self._config.waiting_per_agent:
            raise TooManyCalls(
                f"agents/{agent[1]} has {len(queue)} calls waiting; slow down", retry_after=0.2
            )
        if self._waiting >= self._config.waiting:
            raise QueueFull("too many calls wait at the gateway; come back later", retry_after=1.0)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(agent, deque()).append(place)
        self._waiting += 1
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave(agent)  # it was admitted at the very moment it left
            else:
                self._forget(agent, place)
            raise

    def _forget(self, agent: Agent, place: asyncio.Future[None]) -> None:
        queue = self._queues.get(agent)
        if queue is None or place not in queue:
            return
        queue.remove(place)
        self._waiting -= 1
        if not queue:
            del self._queues[agent]

    def _admit_next(self) -> None:
        """Admit waiting calls, one agent after the other, while there is room."""
        for _ in range(len(self._queues)):
            if self._running >= self._config.running:
                return
            agent, queue = self._queues.popitem(last=False)
            while queue and queue[0].cancelled():  # it gives up just now
                queue.popleft()
                self._waiting -= 1
            if queue and self._free(agent):
                place = queue.popleft()
                self._waiting -= 1
                self._enter(agent)
                place.set_result(None)
            if queue:
                self._queues[agent] = queue
