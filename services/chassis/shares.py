"""Room for the moment, shared by agent, tree and tenant: what is open, waits or is being worked on. Pure.

What is kept is a matter of quotas. One event loop owns each of the objects here; nothing waits in them.
"""

import math
from collections import Counter
from typing import Final

from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.quotas import Cap, Level, Owner, Usage
from services.chassis.rpc.errors import QuotaViolation

_LEVELS: Final = (Level.AGENT, Level.TREE, Level.TENANT)


class Shares:
    """Counts what is held, in things or bytes. What finds no room is refused."""

    def __init__(self, what: str, cap: Cap, *, most: float = math.inf, retry_after: float = 1.0) -> None:
        """Count `what`, the name of a quota; `most` bounds all together, `retry_after` is in seconds."""
        self.what = what
        self.cap = cap
        self.most = most
        self._retry_after = retry_after
        self._by_party: Counter[tuple[str, Level, str]] = Counter()
        self.held = 0
        """How much all together hold."""

    def of(self, owner: Owner, level: Level = Level.AGENT) -> int:
        """Return how much a party holds."""
        return self._by_party[_key(owner, level)]

    def told(self, owner: Owner) -> list[Usage]:
        """Return how much an agent, its tree and its tenant hold."""
        return [Usage(self.what, level, self.of(owner, level), self.cap.at(level)) for level in owner.levels]

    def room(self, owner: Owner) -> int:
        """Return how much more an agent could take now."""
        free = [self.cap.at(level) - self.of(owner, level) for level in _LEVELS]
        return int(max(0, min([*free, self.most - self.held])))

    def check(self, owner: Owner, amount: int = 1) -> None:
        """Raise TooManyCalls, which names the smallest party without room, unless an agent may take more."""
        for level in _LEVELS:
            if self.of(owner, level) + amount > self.cap.at(level):
                raise too_many(owner, level, self.cap.at(level), self.what, retry_after=self._retry_after)
        if self.held + amount > self.most:
            raise TooManyCalls(
                f"there are {self.what.replace('_', ' ')} enough in this process already",
                metadata={"quota": self.what, "limit": str(self.most)},
                retry_after=self._retry_after,
            )

    def take(self, owner: Owner, amount: int = 1) -> None:
        """Count what an agent takes. Raises as `check`."""
        self.check(owner, amount)
        self.add(owner, amount)

    def add(self, owner: Owner, amount: int = 1) -> None:
        """Count what an agent holds already, whether or not there is room."""
        self.held += amount
        for level in _LEVELS:
            self._by_party[_key(owner, level)] += amount

    def give_back(self, owner: Owner, amount: int = 1) -> None:
        """Count what an agent took no longer."""
        self.held -= amount
        for level in _LEVELS:
            key = _key(owner, level)
            self._by_party[key] -= amount
            if not self._by_party[key]:
                del self._by_party[key]


class Openings:
    """All shares of a process, to tell what an agent has open there. What runs in it adds its own."""

    def __init__(self) -> None:
        self._all: list[Shares] = []

    def add(self, shares: Shares) -> Shares:
        """Tell these from now on, too."""
        self._all.append(shares)
        return shares

    def told(self, owner: Owner) -> list[Usage]:
        """Return how much an agent, its tree and its tenant hold of everything."""
        return [one for shares in self._all for one in shares.told(owner)]


def too_many(owner: Owner, level: Level, limit: int, what: str, *, retry_after: float) -> TooManyCalls:
    """Build the refusal of a party that has `limit` of something. Its metadata names the level."""
    whose, subject = {
        Level.AGENT: (f"agents/{owner.agent}", f"agents/{owner.agent}"),
        Level.TREE: (f"the tree of agents/{owner.tree}", f"agents/{owner.tree}"),
        Level.TENANT: ("the tenant", f"tenants/{owner.tenant}"),
    }[level]
    text = f"{whose} has {limit} {what.replace('_', ' ')} already"
    return TooManyCalls(
        text,
        metadata={"quota": what, "level": level.value, "subject": subject, "limit": str(limit)},
        retry_after=retry_after,
        quota=QuotaViolation(subject, text),
    )


def _key(owner: Owner, level: Level) -> tuple[str, Level, str]:
    return owner.tenant, level, owner.subject(level)
