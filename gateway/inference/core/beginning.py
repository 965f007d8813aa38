"""The first items of a list that only grows, without a copy of them. Pure."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar, overload

T = TypeVar("T")


class Beginning(Sequence[T]):
    """The first `settled` items of a list, and a few more that may change there.

    A long answer is saved again and again. With a copy of all of it each time the work would grow with the
    square of its length.
    """

    __slots__ = ("_items", "_settled", "_tail")

    def __init__(self, items: list[T], settled: int) -> None:
        """Look at `items` as they are: the first `settled` of them stay so, the others are copied."""
        self._items, self._settled = items, settled
        self._tail = tuple(items[settled:])

    def __len__(self) -> int:
        return self._settled + len(self._tail)

    def __iter__(self) -> Iterator[T]:
        return chain(islice(self._items, self._settled), self._tail)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        """Return an item, or a copy of a part."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                settled = self._items[start : min(stop, self._settled)]
                return (*settled, *self._tail[max(0, start - self._settled) : max(0, stop - self._settled)])
            return tuple(self[each] for each in range(start, stop, step))
        at = range(len(self))[index]
        return self._items[at] if at < self._settled else self._tail[at - self._settled]
