"""The fair gate of the DATA lane, and the bound against floods of the TOOL lane. Pure asyncio."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Protocol

from services.chassis.auth.identity import Kind
from services.chassis.dispatch.errors import QueueFull, TooManyCalls
from services.chassis.rpc.errors import DeadlineExceeded

Agent = tuple[str, str]
"""Tenant and agent."""

_PRUNE_AT = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class GateConfig:
    """Limits of one lane."""

    running: int = 256
    """Calls that run at once, all agents together."""
    running_per_agent: int = 32
    """Calls of one agent that run at once."""
    waiting_per_agent: int = 256
    """Calls of one agent that may wait; more are refused. 0: none waits."""
    waiting: int = 20_000
    """Calls that may wait, all agents together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """A call that asks for a place."""

    agent: Agent
    kind: Kind = Kind.AGENT
    weight: float = 1.0
    """The agent's share against other agents."""
    tree: Agent = ("", "")
    """The root of the agent's tree."""
    tree_weight: float = 1.0
    """The tree's share against other trees."""
    deadline: float = math.inf
    """On the steady clock."""


class Gate(Protocol):
    """Bounds the calls of a lane."""

    @property
    def running(self) -> int:
        """Calls that hold a place."""

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""

    def oldest_wait(self) -> float:
        """Return how long the call that waits longest has waited. Unit: seconds."""

    def admit(self, visitor: Visitor) -> AbstractAsyncContextManager[None]:
        """Hold a place for the duration of a call. Raises TooManyCalls, QueueFull or DeadlineExceeded."""


@dataclass(slots=True, eq=False)
class _Place:
    """One call that waits for a place."""

    admitted: "asyncio.Future[None]"
    since: float


@dataclass(slots=True)
class _Line:
    """The calls of one agent that wait, first come first served."""

    turn: float
    """When its next call is due, in turns of weight 1."""
    weight: float = 1.0
    parked: bool = False
    """Whether it runs as many calls as it may, so that it is in no one's way."""
    places: deque[_Place] = field(default_factory=deque)


class FairGate:
    """Admits calls by turns of the agents that wait, each as often as its weight says.

    A flood of one agent delays another agent's call by at most one call of each agent that waits, weights
    aside. Turns are counted in virtual time (start-time fair queueing of equal calls: Goyal, Vin and Cheng,
    SIGCOMM'96), so that to come and go earns nothing. Every step costs O(log agents).
    """

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._running = 0
        self._of_agent: dict[Agent, int] = {}
        self._lines: dict[Agent, _Line] = {}
        self._turns: list[tuple[float, int, Agent]] = []
        self._served: dict[Agent, float] = {}
        """Where agents that wait no more would go on; only what lies ahead of the virtual time."""
        self._now = 0.0
        self._count = 0
        self._waiting = 0

    @property
    def running(self) -> int:
        """Calls that hold a place."""
        return self._running

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return self._waiting

    def oldest_wait(self) -> float:
        """Return how long the call that waits longest has waited. Unit: seconds."""
        since = [line.places[0].since for line in self._lines.values()]
        return time.monotonic() - min(since) if since else 0.0

    def admit(self, visitor: Visitor) -> AbstractAsyncContextManager[None]:
        """Hold a place for the duration of a call, in the turn of its agent. Raises as `pass_through`."""
        return self.pass_through(visitor.agent, weight=visitor.weight, deadline=visitor.deadline)

    @asynccontextmanager
    async def pass_through(
        self, agent: Agent, *, weight: float = 1.0, deadline: float = math.inf
    ) -> AsyncIterator[None]:
        """Hold a place for the duration of a call.

        Raises TooManyCalls or QueueFull without waiting, DeadlineExceeded when the `deadline`, on the steady
        clock, comes first.
        """
        if self._free(agent) and agent not in self._lines:
            self._enter(agent)
        else:
            await self._wait(agent, weight, deadline)
        try:
            yield
        finally:
            self._leave(agent)

    def _free(self, agent: Agent) -> bool:
        return self._running < self._config.running and self._may_run(agent)

    def _may_run(self, agent: Agent) -> bool:
        return self._of_agent.get(agent, 0) < self._config.running_per_agent

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
        line = self._lines.get(agent)
        if line is not None and line.parked:
            self._queue(agent, line)
        self._admit_next()

    async def _wait(self, agent: Agent, weight: float, deadline: float) -> None:
        place = self._join(agent, weight)
        try:
            async with asyncio.timeout_at(None if math.isinf(deadline) else deadline):
                await place.admitted
        except (TimeoutError, asyncio.CancelledError) as stopped:
            if place.admitted.done() and not place.admitted.cancelled():
                self._leave(agent)  # it was admitted at the very moment it left
            else:
                self._forget(agent, place)
            if isinstance(stopped, TimeoutError):
                raise DeadlineExceeded("the call's deadline passed while it waited at the gateway") from None
            raise

    def _join(self, agent: Agent, weight: float) -> _Place:
        line = self._lines.get(agent)
        waiting = 0 if line is None else len(line.places)
        if waiting >= self._config.waiting_per_agent:
            raise TooManyCalls(f"agents/{agent[1]} has too many calls here; slow down", retry_after=0.2)
        if self._waiting >= self._config.waiting:
            raise QueueFull("too many calls wait at the gateway; come back later", retry_after=1.0)
        place = _Place(asyncio.get_running_loop().create_future(), time.monotonic())
        if line is None:
            line = self._lines[agent] = _Line(max(self._now, self._served.pop(agent, 0.0)))
            self._queue(agent, line)
        line.weight = weight
        line.places.append(place)
        self._waiting += 1
        return place

    def _queue(self, agent: Agent, line: _Line) -> None:
        line.parked = False
        self._count += 1
        heappush(self._turns, (line.turn, self._count, agent))
        if len(self._turns) > 2 * len(self._lines) + _PRUNE_AT:
            self._drop_stale()

    def _drop_stale(self) -> None:
        """Drop turns of lines that are gone: while nothing is admitted, nobody passes over them."""
        live: dict[Agent, tuple[float, int, Agent]] = {}
        for entry in self._turns:
            line = self._lines.get(entry[2])
            if line is not None and not line.parked and line.turn == entry[0]:
                live[entry[2]] = entry
        self._turns = list(live.values())
        heapify(self._turns)

    def _forget(self, agent: Agent, place: _Place) -> None:
        line = self._lines.get(agent)
        if line is None or place not in line.places:
            return
        line.places.remove(place)
        self._waiting -= 1
        if not line.places:
            self._close(agent, line)

    def _close(self, agent: Agent, line: _Line) -> None:
        """Drop an empty line. What is left of it in the heap is passed over."""
        del self._lines[agent]
        if not self._lines:
            self._turns.clear()
            self._served.clear()
        elif line.turn > self._now:
            self._served[agent] = line.turn
            if len(self._served) > _PRUNE_AT:
                self._served = {name: turn for name, turn in self._served.items() if turn > self._now}

    def _admit_next(self) -> None:
        """Admit waiting calls, by turns, while there is room."""
        while self._turns and self._running < self._config.running:
            turn, _, agent = heappop(self._turns)
            line = self._lines.get(agent)
            if line is None or line.parked or line.turn != turn:
                continue  # of a line that is gone
            if not self._may_run(agent):
                line.parked = True
                continue
            self._now = max(self._now, turn)
            self._admit_first(agent, line)

    def _admit_first(self, agent: Agent, line: _Line) -> None:
        while line.places:
            place = line.places.popleft()
            self._waiting -= 1
            if not place.admitted.cancelled():  # else it gives up just now
                self._enter(agent)
                place.admitted.set_result(None)
                line.turn += 1.0 / line.weight
                break
        if line.places:
            self._queue(agent, line)
        else:
            self._close(agent, line)
