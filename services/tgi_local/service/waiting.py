"""The queue in front of the slots: first come, first served. Order between agents is the scheduler's."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from services.tgi_local.core.slots import SlotAllocator


@dataclass(frozen=True, slots=True)
class SlotGrant:
    """A slot, and how many tokens of the prompt it already holds."""

    slot: int
    shared: int


Place = asyncio.Future[SlotGrant | None]
"""Resolves to a grant, or to None when the place was given up while waiting."""


class SlotQueue:
    """Hands slots to whoever has waited longest."""

    def __init__(self, slots: int, *, changed: Callable[[int, int], None]) -> None:
        self._allocator = SlotAllocator(slots)
        self._waiting: deque[tuple[Place, tuple[int, ...]]] = deque()
        self._changed = changed

    def enter(self, prompt: tuple[int, ...]) -> Place:
        """Ask for a slot. The caller awaits the place, then must `give_back` or `leave`."""
        place: Place = asyncio.get_running_loop().create_future()
        self._waiting.append((place, prompt))
        self._serve()
        return place

    def leave(self, place: Place) -> None:
        """Give a place up after a cancelled wait, whether or not a slot was granted meanwhile."""
        if place.done() and not place.cancelled():
            grant = place.result()
            if grant is not None:
                self.give_back(grant.slot, ())
        else:
            place.cancel()
            self._serve()

    def give_back(self, slot: int, held: tuple[int, ...]) -> None:
        """Free a slot whose cache covers `held`."""
        self._allocator.give_back(slot, held)
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            place, prompt = self._waiting[0]
            if not place.done():
                taken = self._allocator.take(prompt)
                if taken is None:
                    break
                place.set_result(SlotGrant(*taken))
            self._waiting.popleft()
        self._changed(sum(not place.done() for place, _ in self._waiting), self._allocator.busy)
