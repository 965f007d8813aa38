"""Whose call is next: turns on several levels, such as tenants, trees of agents, and agents. Pure, no clock.

Each level shares what it is given among those below it, each as often as its weight says, in virtual time
(start-time fair queueing of equal calls: Goyal, Vin and Cheng, SIGCOMM'96). A tree of a thousand agents
has one tree's turns; to come and go, or to be at one's own limit for a while, earns nothing.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

W = TypeVar("W", bound=Hashable)
Path = Sequence[tuple[Hashable, float]]
"""Whose call it is: key and weight on each level, the largest party first."""

_PRUNE_AT = 4096


@dataclass(frozen=True, slots=True)
class Bounds:
    """What each party of a level may hold."""

    name: str
    running: int
    waiting: int


class Crowded(Exception):
    """A party has as many waiting calls as it may."""

    def __init__(self, level: Bounds, key: Hashable) -> None:
        super().__init__(f"{level.name} {key} has {level.waiting} waiting calls")
        self.level = level
        self.key = key


class Party(Generic[W]):
    """One tenant, tree or agent while it has a call here."""

    __slots__ = (
        "children",
        "heap",
        "key",
        "latest",
        "level",
        "line",
        "now",
        "parent",
        "queued",
        "ready",
        "running",
        "served",
        "turn",
        "waiting",
        "weight",
    )

    def __init__(self, level: Bounds, key: Hashable, parent: "Party[W] | None", turn: float) -> None:
        self.level = level
        self.key = key
        self.parent = parent
        self.running = 0
        self.waiting = 0
        self.turn = turn
        """When its next call is due, on its parent's clock, in turns of weight 1."""
        self.weight = 1.0
        self.queued = 0
        """Number of its entry in the parent's heap; 0 while it could admit nothing."""
        self.line: OrderedDict[W, None] = OrderedDict()
        """Calls that wait; only on the last level."""
        self.children: dict[Hashable, Party[W]] = {}
        self.heap: list[tuple[float, int, Party[W]]] = []
        """Children by turn. Entries whose number is not the child's own are stale and passed over."""
        self.ready = 0
        """Children that could admit a call."""
        self.now = 0.0
        """Virtual time of its children: the turn of the call admitted last."""
        self.latest = 0.0
        """The furthest turn that a child has been given."""
        self.served: dict[Hashable, float] = {}
        """Where children that are gone would go on; only what lies ahead of `now`."""

    @property
    def open(self) -> bool:
        """Whether a waiting call of it could run, as far as it and those below it are concerned."""
        return self.running < self.level.running and (self.ready > 0 or bool(self.line))


class Turns(Generic[W]):
    """Places and lines of all parties. Every step costs O(levels * log parties).

    After each `leave`, `join` or `forget` call `next` until it gives nothing: between steps no call waits
    that could run.
    """

    def __init__(self, levels: Sequence[Bounds], gone: Callable[[W], bool] = lambda _waiter: False) -> None:
        """`levels[0]` is the whole. `gone` tells of a waiter that it leaves just now and takes no place."""
        self._levels = levels
        self._gone = gone
        self._root: Party[W] = Party(levels[0], None, None, 0.0)
        self._count = 0

    @property
    def running(self) -> int:
        """Calls that hold a place."""
        return self._root.running

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return self._root.waiting

    @property
    def root(self) -> Party[W]:
        """The whole, to look at."""
        return self._root

    def enter(self, path: Path) -> Party[W] | None:
        """Take a place at once and return whose it is; None when the call must wait."""
        node: Party[W] | None = self._root
        if self._root.ready or self._root.running >= self._root.level.running:
            return None
        for level, (key, _) in zip(self._levels[1:], path, strict=True):
            node = node.children.get(key) if node is not None else None
            if (0 if node is None else node.running) >= level.running:
                return None
        leaf = self._make(path)
        for party in _up(leaf):
            party.running += 1
        return leaf

    def join(self, path: Path, waiter: W) -> Party[W]:
        """Stand in line. Raises Crowded, the smallest party first, when there is no room."""
        known: list[Party[W] | None] = [self._root]
        for key, _ in path:
            above = known[-1]
            known.append(above.children.get(key) if above is not None else None)
        keys = [None, *(key for key, _ in path)]
        for level, key, party in reversed(list(zip(self._levels, keys, known, strict=True))):
            if (0 if party is None else party.waiting) >= level.waiting:
                raise Crowded(level, key)
        leaf = self._make(path)
        leaf.line[waiter] = None
        for party in _up(leaf):
            party.waiting += 1
        self._refresh(leaf)
        return leaf

    def leave(self, leaf: Party[W]) -> None:
        """Give a place back."""
        for party in _up(leaf):
            party.running -= 1
        self._refresh(leaf)
        self._drop_empty(leaf)

    def forget(self, leaf: Party[W], waiter: W) -> None:
        """Leave the line, if it still stands there."""
        if waiter in leaf.line:
            self._take_out(leaf, waiter)
            self._refresh(leaf)
            _end_accounts(leaf)
            self._drop_empty(leaf)

    def next(self) -> tuple[Party[W], W] | None:
        """Give the call whose turn it is a place, and return it; None when none can run now."""
        root = self._root
        while root.ready and root.running < root.level.running:
            leaf = root
            while leaf.ready:
                leaf = self._first(leaf)
            waiter = next(iter(leaf.line))
            if self._gone(waiter):
                self.forget(leaf, waiter)
                continue
            self._take_out(leaf, waiter)
            self._admit(leaf)
            return leaf, waiter
        return None

    def _admit(self, leaf: Party[W]) -> None:
        for party in _up(leaf):
            party.running += 1
            above = party.parent
            if above is not None:
                above.now = max(above.now, party.turn)
                party.turn += 1.0 / party.weight
                above.latest = max(above.latest, party.turn)
                party.queued = 0
                above.ready -= 1
        self._refresh(leaf)
        _end_accounts(leaf)

    def _first(self, party: Party[W]) -> Party[W]:
        """Return the child whose turn it is. Its entry stays until it is admitted or found stale."""
        while True:
            _, number, child = party.heap[0]
            if child.queued == number:
                return child
            heappop(party.heap)

    def _make(self, path: Path) -> Party[W]:
        party = self._root
        for level, (key, weight) in zip(self._levels[1:], path, strict=True):
            child = party.children.get(key)
            if child is None:
                child = party.children[key] = Party(level, key, party, party.served.pop(key, 0.0))
            child.weight = weight
            party = child
        return party

    def _take_out(self, leaf: Party[W], waiter: W) -> None:
        del leaf.line[waiter]
        for party in _up(leaf):
            party.waiting -= 1

    def _refresh(self, leaf: Party[W]) -> None:
        """Queue those that can admit a call by now, and take out of turn those that cannot any more."""
        for party in _up(leaf):
            above = party.parent
            if above is None:
                return
            if party.open and not party.queued:
                self._count += 1
                party.queued = self._count
                party.turn = max(party.turn, above.now)  # what it missed meanwhile is not caught up on
                above.ready += 1
                heappush(above.heap, (party.turn, party.queued, party))
                if len(above.heap) > 2 * above.ready + _PRUNE_AT:
                    _drop_stale(above)
            elif party.queued and not party.open:
                party.queued = 0
                above.ready -= 1

    def _drop_empty(self, leaf: Party[W]) -> None:
        for party in _up(leaf):
            above = party.parent
            if above is None or party.running or party.waiting:
                return
            del above.children[party.key]
            if party.turn > above.now:
                above.served[party.key] = party.turn
                if len(above.served) > _PRUNE_AT:
                    above.served = {key: turn for key, turn in above.served.items() if turn > above.now}
            if not above.children:
                above.served.clear()
                above.heap.clear()


def _up(leaf: Party[W]) -> "list[Party[W]]":
    """Return a party and all above it, the whole last."""
    found = [leaf]
    while (above := found[-1].parent) is not None:
        found.append(above)
    return found


def _end_accounts(leaf: Party[W]) -> None:
    """Where nobody waits any more all are even again."""
    for party in _up(leaf):
        if not party.waiting:
            party.now = party.latest
            party.served.clear()


def _drop_stale(party: Party[W]) -> None:
    """Drop entries that nobody passes over while nothing is admitted."""
    party.heap = [entry for entry in party.heap if entry[2].queued == entry[1]]
    heapify(party.heap)
