"""The running sums of quotas in memory, as `services.chassis.db.usage` keeps them in SQL."""

from collections.abc import Iterable
from typing import Self

from services.chassis.quotas import Caps, Level, LiveBook, Owed, Owner, Usage


class MemoryBook:
    """A UsageBook on dictionaries, for stores in memory. A transaction works on a copy."""

    def __init__(self) -> None:
        self._sums = LiveBook({})
        self._trees: dict[tuple[str, str], str] = {}

    def copy(self) -> Self:
        """Return a book that can be changed and thrown away."""
        copied = type(self)()
        copied._sums, copied._trees = self._sums.copy(), dict(self._trees)
        return copied

    def charge(self, owed: Iterable[Owed], caps: Caps) -> None:
        """Add changes to the sums. Raises QuotaExceeded."""
        self._sums.caps = caps
        for owner, changes in owed:
            if any(changes.values()):
                self._sums.charge(self._settled(owner), changes)

    def told(self, owner: Owner, caps: Caps) -> list[Usage]:
        """Return what is used of every quota at every level."""
        self._sums.caps = caps
        return self._sums.told(self._known(owner))

    def _known(self, owner: Owner) -> Owner:
        tree = owner.tree or self._trees.get((owner.tenant, owner.agent), owner.agent)
        return Owner(owner.tenant, owner.agent, tree)

    def _settled(self, owner: Owner) -> Owner:
        before = self._known(Owner(owner.tenant, owner.agent, ""))
        if before.tree != before.agent or owner.tree in ("", owner.agent):
            return before
        self._trees[owner.tenant, owner.agent] = owner.tree
        self._sums.move(before, owner, Level.TREE)
        return owner
