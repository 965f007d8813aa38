"""Known calls in the order of their arrival, for each agent and tenant that may see them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice
from typing import TypeAlias

from services.scheduler.model import Call, CallId

Place: TypeAlias = tuple[float, CallId]
"""Where a call stands in a list: when it arrived, then its id."""

Scope: TypeAlias = tuple[str, str]
"""A tenant and one of its agents, whose descendants' calls count as its own; no agent: all of the tenant."""

_BLOCK = 512


class ArrivalOrder:
    """A sorted set of places: to add, to take out and to find one costs O(log n).

    Kept in blocks of bounded size, so that a place in the middle moves at most a block's worth of others.
    """

    __slots__ = ("_blocks", "_last")

    def __init__(self) -> None:
        self._blocks: list[list[Place]] = []
        self._last: list[Place] = []
        """The greatest place of each block."""

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def add(self, place: Place) -> None:
        """Add a place that is not there."""
        if not self._blocks:
            self._blocks, self._last = [[place]], [place]
            return
        at = min(bisect_left(self._last, place), len(self._last) - 1)
        block = self._blocks[at]
        insort(block, place)
        if len(block) > 2 * _BLOCK:
            self._blocks[at : at + 1] = [block[:_BLOCK], block[_BLOCK:]]
            self._last.insert(at, block[_BLOCK - 1])
        self._last[at] = self._blocks[at][-1]
        if at + 1 < len(self._blocks):
            self._last[at + 1] = self._blocks[at + 1][-1]

    def remove(self, place: Place) -> None:
        """Take a place out that is there."""
        at = bisect_left(self._last, place)
        block = self._blocks[at]
        del block[bisect_left(block, place)]
        if block:
            self._last[at] = block[-1]
        else:
            del self._blocks[at], self._last[at]

    def after(self, mark: Place | None) -> Iterator[Place]:
        """Return the places beyond `mark`, which need not be there itself; None: all. In order."""
        first = 0 if mark is None else bisect_right(self._last, mark)
        for at in range(first, len(self._blocks)):
            block = self._blocks[at]
            begin = bisect_right(block, mark) if mark is not None and at == first else 0
            yield from islice(block, begin, None)


class CallListing:
    """The calls that may be shown, with one order for each scope that sees any."""

    def __init__(self) -> None:
        self._calls: dict[CallId, Call] = {}
        self._orders: dict[Scope, ArrivalOrder] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, call_id: CallId) -> Call | None:
        """Return the call of this id."""
        return self._calls.get(call_id)

    def add(self, call: Call) -> None:
        """Show a call from now on. One that is shown already keeps its place, so that pages do not shift."""
        if call.id in self._calls:
            return
        self._calls[call.id] = call
        for scope in _scopes(call):
            order = self._orders.get(scope)
            if order is None:
                order = self._orders[scope] = ArrivalOrder()
            order.add(_place(call))

    def discard(self, call_id: CallId) -> None:
        """Show a call no more."""
        call = self._calls.pop(call_id, None)
        if call is None:
            return
        for scope in _scopes(call):
            order = self._orders[scope]
            order.remove(_place(call))
            if not order:
                del self._orders[scope]

    def page(self, scope: Scope, after: Place | None, size: int | None) -> list[Call]:
        """Return calls of a scope, oldest arrival first: up to `size` (None: all) of those beyond a place."""
        order = self._orders.get(scope)
        if order is None:
            return []
        return [self._calls[call_id] for _, call_id in islice(order.after(after), size)]


def _place(call: Call) -> Place:
    return (call.arrived_at, call.id)


def _scopes(call: Call) -> set[Scope]:
    return {(call.tenant, agent) for agent in ("", call.agent, *call.agent_path)}
