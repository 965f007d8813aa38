"""Who follows the schedule, and what each is told: numbered events, and at the start what was known."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.events import TimelineEvent
from services.scheduler.core.explain import QueueEntry
from services.scheduler.model import Call, CallState, ResourceKind

WATCHED_EVENTS = 4096
"""Events that a slow watcher may fall behind before it loses the oldest."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at the queue, and at whose calls."""

    tenant: str
    agent: str
    """Only the calls of this agent and its descendants; empty: all of the tenant."""

    def sees(self, call: Call) -> bool:
        """Whether a call may be shown."""
        if call.tenant != self.tenant:
            return False
        return not self.agent or self.agent == call.agent or self.agent in call.agent_path


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the calls that a viewer may see are asked for; what is empty leaves out none."""

    states: frozenset[CallState] = frozenset()
    classes: frozenset[SchedulingClass] = frozenset()
    lane: ResourceKind | None = None
    agent: str = ""
    """Only the calls of this agent itself."""

    def takes(self, call: Call) -> bool:
        """Whether a call is asked for as far as its state does not matter."""
        return (
            (not self.classes or call.scheduling_class in self.classes)
            and (self.lane is None or call.lane is self.lane)
            and self.agent in ("", call.agent)
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """One event for a watcher."""

    event: TimelineEvent
    call: Call | None
    lost: int
    """Events this watcher lost just before."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Known:
    """A call that waited or ran when a watch began."""

    entry: QueueEntry
    call: Call
    sequence: int
    """The last event before the beginning."""


@dataclass(frozen=True, slots=True)
class KnownMark:
    """What waited or ran when a watch began follows, or has all been told."""

    sequence: int
    ended: bool


class Watcher:
    """Events on their way to one reader."""

    def __init__(self) -> None:
        self._events: deque[tuple[TimelineEvent, Call | None, int]] = deque()
        self._lost = 0
        self._more = asyncio.Event()

    def offer(self, event: TimelineEvent, call: Call | None, sequence: int) -> None:
        """Keep an event for the reader; one that is far behind loses its oldest."""
        if len(self._events) >= WATCHED_EVENTS:
            self._events.popleft()
            self._lost += 1
        self._events.append((event, call, sequence))
        self._more.set()

    async def next(self) -> Shown:
        """Return the next event, once there is one."""
        while not self._events:
            self._more.clear()
            await self._more.wait()
        event, call, sequence = self._events.popleft()
        lost, self._lost = self._lost, 0
        return Shown(event, call, lost, sequence)


class Watchers:
    """All watchers by what each may see, so that an event costs nothing for those who may not see it."""

    def __init__(self, first_sequence: int = 0) -> None:
        self._watchers: dict[Viewer, set[Watcher]] = {}
        self.sequence = first_sequence
        """Number of the last event. Every event has one, whoever may see it."""

    def __len__(self) -> int:
        return sum(len(each) for each in self._watchers.values())

    @contextmanager
    def watching(self, viewer: Viewer) -> Iterator[Watcher]:
        """Keep events for one more watcher, as long as the block runs."""
        watcher = Watcher()
        self._watchers.setdefault(viewer, set()).add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[viewer].discard(watcher)
            if not self._watchers[viewer]:
                del self._watchers[viewer]

    def show(self, event: TimelineEvent, call: Call | None) -> None:
        """Give an event its number and offer it to all who may see it; one about no call everybody may."""
        self.sequence += 1
        for watchers in self._watchers.values() if call is None else self._seeing(call):
            for watcher in watchers:
                watcher.offer(event, call, self.sequence)

    def _seeing(self, call: Call) -> Iterable[set[Watcher]]:
        for agent in {"", call.agent, *call.agent_path}:
            yield self._watchers.get(Viewer(call.tenant, agent), set())
