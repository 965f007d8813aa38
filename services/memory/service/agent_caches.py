"""The RAM of all agents: one working set each, and the order in which changes reach it."""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from services.chassis.auth.identity import Scope
from services.memory.core.cache_policy import WaterMarks, WorkingSet
from services.memory.model import Note, Totals
from services.memory.ports import Meter

T = TypeVar("T")


@dataclass(slots=True)
class AgentCache:
    """One agent's notes in RAM."""

    notes: WorkingSet
    version: int
    """Changes with every change of the notes: what was read before one must not be kept after it."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a change is made durable and then known here, so that both see changes in one order."""
    counted: Totals = field(default_factory=Totals)
    """How much of the process's RAM it was last counted with."""
    used: dict[str, datetime] = field(default_factory=dict)
    """When notes were read, where the store does not know it yet."""


class AgentCaches:
    """The agents that have notes in RAM. Belongs to one event loop."""

    def __init__(self, marks: WaterMarks, *, most_bytes: int, meter: Meter) -> None:
        self._marks = marks
        self._most_bytes = most_bytes
        self._meter = meter
        self._agents: OrderedDict[Scope, AgentCache] = OrderedDict()
        self._running: set[asyncio.Task[Any]] = set()
        self._versions = itertools.count(1)
        self._count = self._size = 0

    @property
    def marks(self) -> WaterMarks:
        """When notes of one agent leave RAM."""
        return self._marks

    def of(self, scope: Scope) -> AgentCache:
        """Return an agent's memory, and count as a use of it."""
        agent = self._agents.get(scope)
        if agent is None:
            agent = self._agents[scope] = AgentCache(WorkingSet(self._marks), next(self._versions))
        self._agents.move_to_end(scope)
        return agent

    def changed(self, agent: AgentCache) -> None:
        """Note that what was read from the store before is out of date."""
        agent.version = next(self._versions)

    def keep(self, agent: AgentCache, note: Note, now: float) -> None:
        """Put a note into an agent's RAM, and let others go where there is no room."""
        self._meter.evicted(len(agent.notes.put(note, now)))
        self.settle(agent)
        while self._size > self._most_bytes and len(self._agents) > 1:
            oldest = next(iter(self._agents.values()))
            if oldest is agent:
                break
            self._meter.evicted(oldest.notes.clear())
            self.settle(oldest)
            self._agents.move_to_end(next(iter(self._agents)))

    def settle(self, agent: AgentCache) -> None:
        """Count an agent's RAM anew after a change."""
        now = Totals(len(agent.notes), agent.notes.size)
        self._count += now.count - agent.counted.count
        self._size += now.bytes - agent.counted.bytes
        agent.counted = now
        self._meter.resident(self._count, self._size)

    def empty(self, agent: AgentCache) -> None:
        """Forget an agent's notes, and what was read of them: they are gone from the store."""
        agent.used = {}
        self.reload(agent)

    def reload(self, agent: AgentCache) -> None:
        """Let an agent's notes be read anew from the store."""
        agent.notes.clear()
        self.changed(agent)
        self.settle(agent)

    def take_used(self) -> list[tuple[Scope, dict[str, datetime]]]:
        """Return when notes were read and forget it; agents without anything left here are forgotten too."""
        taken = [(scope, agent.used) for scope, agent in self._agents.items() if agent.used]
        for scope, agent in list(self._agents.items()):
            agent.used = {}
            if not agent.notes and not agent.lock.locked():
                del self._agents[scope]
        return taken

    async def exclusive(self, scope: Scope, work: Callable[[AgentCache], Awaitable[T]]) -> T:
        """Run `work` while nothing else changes the agent's notes.

        It goes on to its end when the caller is cancelled: RAM must learn what became durable.
        """
        task = asyncio.ensure_future(self._locked(scope, work))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _locked(self, scope: Scope, work: Callable[[AgentCache], Awaitable[T]]) -> T:
        agent = self.of(scope)
        async with agent.lock:
            return await work(agent)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen by the caller, unless the caller is gone
