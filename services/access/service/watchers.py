"""Who follows the rules, and what each change took away: so that a withdrawal is acknowledged once it holds.

Owned by the one event loop of the process. Pure but for waiting.
"""

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from services.chassis.notifier import ChangeNotifier
from services.chassis.runtime.clock import Clock

MISSED_HEARTBEATS: Final = 3
"""Heartbeats after which a watcher that is not heard has stopped to deliver by itself."""

_CHANGES_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What a change of the rules may have taken away, and from whom."""

    tenant: str
    agents: frozenset[str] | None = None
    """Names of those concerned, acting or owning; None: any of the tenant; empty: nobody loses anything."""
    mark: bool = False
    """Whether all that happened is that these agents were marked as having read what nobody vouches for."""

    @property
    def withdraws(self) -> bool:
        """Whether anybody may have lost a permission."""
        return self.agents is None or bool(self.agents)


def nothing(tenant: str) -> RuleChange:
    """Return the change that can only permit more, or that changes no rule."""
    return RuleChange(tenant, frozenset())


class ChangeLog:
    """What the last revisions changed, as far as this process made them."""

    def __init__(self, keep: int = _CHANGES_KEPT) -> None:
        self._keep = keep
        self._changes: OrderedDict[int, RuleChange] = OrderedDict()
        self.withdrawn = -1
        """The last revision that took something away; the one that watchers confirm."""

    def note(self, revision: int, change: RuleChange) -> None:
        """Remember what made a revision."""
        self._changes[revision] = change
        if change.withdraws:
            self.withdrawn = max(self.withdrawn, revision)
        while len(self._changes) > self._keep:
            self._changes.popitem(last=False)

    def between(self, seen: int, revision: int) -> tuple[RuleChange, ...] | None:
        """Return the withdrawals after `seen` up to `revision`; None when not all of them are known here."""
        if revision - seen > len(self._changes):
            return None
        found = [self._changes.get(number) for number in range(seen + 1, revision + 1)]
        known = [change for change in found if change is not None]
        if len(known) < len(found):
            return None
        return tuple(dict.fromkeys(change for change in known if change.withdraws))


@dataclass(slots=True)
class _Watcher:
    patience: float
    confirmed: int = -1
    connections: int = 0
    gone_at: float = 0.0


class Watchers:
    """The processes that follow the rules, and the revision that each has confirmed.

    One whose stream broke still counts until it must have stopped by itself: it may be on its way back, and
    goes on to deliver meanwhile.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, _Watcher] = {}
        self._changes = ChangeNotifier()

    def joined(self, name: str, heartbeat: float) -> None:
        """Note that a watcher connected."""
        watcher = self._known.setdefault(name, _Watcher(0.0))
        watcher.patience = MISSED_HEARTBEATS * heartbeat
        watcher.connections += 1

    def left(self, name: str) -> None:
        """Note that a watcher's stream ended."""
        watcher = self._known[name]
        watcher.connections -= 1
        watcher.gone_at = self._clock.monotonic()
        self._changes.notify()

    def confirm(self, name: str, revision: int) -> None:
        """Note that a watcher delivers nothing more by older rules; one that is not known is passed over."""
        watcher = self._known.get(name)
        if watcher is not None and revision > watcher.confirmed:
            watcher.confirmed = revision
            self._changes.notify()

    def behind(self, revision: int) -> list[str]:
        """Return the watchers that have not confirmed a revision, and forget those that are long gone."""
        now = self._clock.monotonic()
        gone = [
            name
            for name, watcher in self._known.items()
            if not watcher.connections and now - watcher.gone_at > watcher.patience
        ]
        for name in gone:
            del self._known[name]
        return [name for name, watcher in self._known.items() if watcher.confirmed < revision]

    async def confirmed(self, revision: int, *, within: float) -> bool:
        """Wait until every watcher has confirmed a revision; False when some did not within the seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.behind(revision):
                    await self._changes.wait()
                return True
        return False
