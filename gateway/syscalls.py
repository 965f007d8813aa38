"""Who watches the syscalls of which agents, and what each of them is told. Nothing is kept for nobody."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.chassis.rpc.observer import SeenCall
from services.chassis.runtime.clock import Clock

MOST_BEHIND: Final = 1_024
"""Events that are kept for a reader who falls behind; more, and the oldest are lost."""

Above = Callable[[str, str], tuple[str, ...]]
"""Returns the ids of the agents above one, of a tenant and an id, as far as known without asking."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event for one reader."""

    call: SeenCall
    began: datetime
    lost: int
    """Events that this reader lost just before."""


@dataclass(eq=False, slots=True)
class _Watcher:
    descendants: bool
    events: deque[tuple[SeenCall, datetime]] = field(default_factory=deque)
    lost: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, call: SeenCall, began: datetime) -> None:
        if len(self.events) >= MOST_BEHIND:
            self.events.popleft()
            self.lost += 1
        self.events.append((call, began))
        self.more.set()


class SyscallWatch:
    """Passes what the pipeline sees on to those who watch. All of it on one event loop."""

    def __init__(self, above: Above, clock: Clock) -> None:
        self._above = above
        self._clock = clock
        self._watchers: dict[tuple[str, str], set[_Watcher]] = {}
        """By tenant and agent, so that a call costs nothing for those who watch others."""

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    def saw(self, call: SeenCall) -> None:
        """Offer a call to those who watch its agent, or one above it with all below."""
        began = self._clock.now() - timedelta(seconds=call.age)
        for watcher in self._watchers.get((call.tenant, call.agent), ()):
            watcher.offer(call, began)
        for agent in self._above(call.tenant, call.agent):
            for watcher in self._watchers.get((call.tenant, agent), ()):
                if watcher.descendants:
                    watcher.offer(call, began)

    async def watch(self, tenant: str, agent: str, *, descendants: bool) -> AsyncGenerator[Told | None, None]:
        """Yield None once nothing is missed any more, then each event, until closed."""
        watcher = _Watcher(descendants)
        key = (tenant, agent)
        self._watchers.setdefault(key, set()).add(watcher)
        try:
            yield None
            while True:
                await watcher.more.wait()
                watcher.more.clear()
                while watcher.events:
                    call, began = watcher.events.popleft()
                    lost, watcher.lost = watcher.lost, 0
                    yield Told(call, began, lost)
        finally:
            self._watchers[key].discard(watcher)
            if not self._watchers[key]:
                del self._watchers[key]
