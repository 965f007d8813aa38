"""Which engine slot a request gets: the free one that already holds most of its prompt. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many leading items are equal. Bisects on slices, which compare in C."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(slots=True)
class _Slot:
    held: tuple[int, ...] = ()
    busy: bool = False
    used: int = 0


class SlotAllocator:
    """Hands out slot numbers 0..n-1; the engine wraps larger ones silently, so none is ever made."""

    def __init__(self, count: int) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._ticks = 0

    @property
    def busy(self) -> int:
        """Slots in use."""
        return sum(slot.busy for slot in self._slots)

    def take(self, prompt: tuple[int, ...]) -> tuple[int, int] | None:
        """Take a slot. Returns (slot, tokens of the prompt it already holds), or None when all are busy.

        The longest common prefix wins; among equals the slot unused for longest, whose cache is worth least.
        """
        free = [number for number, slot in enumerate(self._slots) if not slot.busy]
        if not free:
            return None
        shared = {n: common_prefix(self._slots[n].held, prompt) for n in free}
        chosen = max(free, key=lambda n: (shared[n], -self._slots[n].used))
        self._slots[chosen].busy = True
        return chosen, shared[chosen]

    def give_back(self, number: int, held: tuple[int, ...]) -> None:
        """Free a slot; `held` is the token sequence its cache now covers."""
        slot = self._slots[number]
        if not slot.busy:
            raise ValueError(f"slot {number} is not in use")
        self._ticks += 1
        slot.busy, slot.held, slot.used = False, held, self._ticks
