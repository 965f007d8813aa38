"""Decisions that a process remembers, and which of them a change of the rules ends. Pure.

Agents are registered and rights granted all the time, by whoever floods the kernel too: such a change takes
nothing from anybody. Were all decisions forgotten with each of them, every call of everybody would ask the
access manager anew. So plain permits stay until a withdrawal concerns them. All else is forgotten with any
change: what was denied may be permitted now, and what rests on conditions with fewer of them.
"""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.rules import Withdrawal

V = TypeVar("V")
Key = tuple[str, str, Kind, str, str, str, bool]
"""Tenant, agent and kind of who asks; action, resource, effect, and whether the content is untrusted."""

MOST_LOOKED_AT: Final = 2_000
"""Permits of a tenant that are looked at one by one; where it has more, all of them are forgotten."""


class KeptDecisions(Generic[V]):
    """What is remembered, by question. One event loop owns it."""

    def __init__(self, most: int) -> None:
        """Remember so many decisions of each kind."""
        self._most = most
        self._permits: dict[str, dict[Key, V]] = {}
        """The plain ones, by tenant."""
        self._count = 0
        """Of plain permits."""
        self._others: dict[Key, V] = {}

    def __len__(self) -> int:
        return self._count + len(self._others)

    def get(self, key: Key) -> V | None:
        """Return a decision; None: none is remembered."""
        own = self._permits.get(key[0])
        found = own.get(key) if own is not None else None
        return self._others.get(key) if found is None else found

    def put(self, key: Key, decision: V, *, plain: bool) -> None:
        """Remember a decision; `plain`: it permits, without conditions that a change might lift."""
        self._drop(key)
        if not plain:
            if len(self._others) >= self._most:
                self._others.pop(next(iter(self._others)))
            self._others[key] = decision
            return
        if self._count >= self._most:
            self._make_room(key[0])
        self._permits.setdefault(key[0], {})[key] = decision
        self._count += 1

    def changed(self) -> None:
        """Forget all that any change of the rules may have changed, withdrawals apart."""
        self._others.clear()

    def withdrawn(self, withdrawals: Sequence[Withdrawal] | None) -> None:
        """Forget what may have been taken away; None: anything."""
        self.changed()
        if withdrawals is None:
            self._permits.clear()
            self._count = 0
            return
        for one in withdrawals:
            own = self._permits.get(one.tenant)
            if own is None:
                continue
            if len(own) > MOST_LOOKED_AT or not one.agents:
                gone = list(own)
            else:
                gone = [key for key in own if one.concerns(_asker(key), key[4])]
            for key in gone:
                self._drop(key)

    def _make_room(self, tenant: str) -> None:
        """Forget a permit of a tenant that has more of them to remember, else of any."""
        own = self._permits.get(tenant) or next(iter(self._permits.values()))
        self._drop(next(iter(own)))

    def _drop(self, key: Key) -> None:
        self._others.pop(key, None)
        own = self._permits.get(key[0])
        if own is not None and own.pop(key, None) is not None:
            self._count -= 1
            if not own:
                del self._permits[key[0]]


def _asker(key: Key) -> Principal:
    return Principal(key[1], key[0], key[2])
