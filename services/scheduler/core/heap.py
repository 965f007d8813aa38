"""Ordered sets for waiting calls.

LazyHeap: a binary heap with lazy deletion and lazy re-keying. push, discard and peek cost O(log n)
amortised. A discarded item leaves a dead entry behind that is dropped when it surfaces; when the
dead outnumber the living the heap is rebuilt, O(n) once per n discards. An item's key is read again
when it surfaces, so keys that only grow while an item waits (service counters, demotion levels)
need no search; a key that shrank must be told with `push`.

AgeQueue: for keys that nearly always come in order (arrivals). O(1) for what comes in order, a
LazyHeap for the rest.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")

Key: TypeAlias = tuple[Any, ...] | float
"""Anything totally ordered within one heap. Ties must be broken inside the key."""

_SLACK = 64


class LazyHeap(Generic[T]):
    """A heap of items compared by `key(item)`. Items are hashed by identity or value."""

    __slots__ = ("_entries", "_key", "_live", "_serial")

    def __init__(self, key: Callable[[T], Key]) -> None:
        self._key = key
        self._entries: list[tuple[Any, int, T]] = []
        self._live: dict[T, int] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, item: T) -> bool:
        return item in self._live

    def __iter__(self) -> Iterator[T]:
        """Items in no particular order."""
        return iter(self._live)

    def push(self, item: T) -> None:
        """Add an item, or take its key anew."""
        self._serial = serial = self._serial + 1
        self._live[item] = serial
        entries = self._entries
        heappush(entries, (self._key(item), serial, item))
        if len(entries) > 2 * len(self._live) + _SLACK:
            self._rebuild()

    def discard(self, item: T) -> bool:
        """Forget an item; False when it was not there."""
        if self._live.pop(item, None) is None:
            return False
        if len(self._entries) > 2 * len(self._live) + _SLACK:
            self._rebuild()
        return True

    def peek(self) -> T | None:
        """Return the item with the least key, or None."""
        entries, live = self._entries, self._live
        while entries:
            key, serial, item = entries[0]
            if live.get(item) != serial:
                heappop(entries)
                continue
            current = self._key(item)
            if current == key:
                return item
            heapreplace(entries, (current, serial, item))
        return None

    def least_key(self) -> Any:
        """Return the key of the item that `peek` gives, or None."""
        return None if self.peek() is None else self._entries[0][0]

    def pop(self) -> T | None:
        """Take the item with the least key out."""
        item = self.peek()
        if item is not None:
            heappop(self._entries)
            del self._live[item]
        return item

    def ordered(self) -> Iterator[T]:
        """Items by growing key, O(k log k) for the first k. Do not change the heap meanwhile."""
        entries, live = self._entries, self._live
        # The frontier holds (key, serial, index); index -1 marks an item whose key was read anew.
        frontier: list[tuple[Any, int, int, T]] = []
        if entries:
            key, serial, item = entries[0]
            frontier.append((key, serial, 0, item))
        while frontier:
            key, serial, index, item = heappop(frontier)
            if index >= 0:
                for child in (2 * index + 1, 2 * index + 2):
                    if child < len(entries):
                        heappush(frontier, (entries[child][0], entries[child][1], child, entries[child][2]))
            if live.get(item) != serial:
                continue
            current = self._key(item)
            if index >= 0 and current > key:
                heappush(frontier, (current, serial, -1, item))
                continue
            yield item

    def _rebuild(self) -> None:
        live = self._live
        self._entries = [(self._key(i), s, i) for _, s, i in self._entries if live.get(i) == s]
        heapify(self._entries)


class AgeQueue(Generic[T]):
    """A set of items, the one with the least `key(item)` first. Keys must not change."""

    __slots__ = ("_in_order", "_key", "_last", "_rest")

    def __init__(self, key: Callable[[T], Key]) -> None:
        self._key = key
        self._in_order: OrderedDict[T, None] = OrderedDict()
        self._last: Any = None
        self._rest: LazyHeap[T] = LazyHeap(key)

    def __len__(self) -> int:
        return len(self._in_order) + len(self._rest)

    def push(self, item: T) -> None:
        """Add an item."""
        key = self._key(item)
        if not self._in_order or key >= self._last:
            self._in_order[item] = None
            self._last = key
        else:
            self._rest.push(item)

    def discard(self, item: T) -> None:
        """Forget an item, if it is there."""
        if item in self._in_order:
            del self._in_order[item]
        else:
            self._rest.discard(item)

    def peek(self) -> T | None:
        """Return the item with the least key, or None."""
        first = next(iter(self._in_order)) if self._in_order else None
        if not self._rest:
            return first
        other = self._rest.peek()
        if first is None or other is None:
            return first if other is None else other
        return min(first, other, key=self._key)
