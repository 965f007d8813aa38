"""The bookkeeping of one transaction: sums, limits and events, settled once at its end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from services.chassis.quotas import Owner, Tab
from services.storage.errors import EtagMismatch
from services.storage.model import Change, ChangeKind, Node, StorageLimits, VacatedName
from services.storage.ports import Transaction

KEPT_CHANGES = 10_000
"""Events kept for each scope, at least."""

_SWEEP = 256


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """What a change depends on beside its arguments."""

    now: datetime
    writer: str
    """Id of the agent that makes the change."""
    limits: StorageLimits
    new_id: Callable[[], str]
    has_blob: Callable[[str], bool]
    """Tells whether the blob of this digest is stored."""
    untrusted: bool = False
    """Whether nobody vouches for what the writer leaves."""


class BlobVanished(Exception):
    """A blob was collected between being put and being referred to. Put it again and repeat."""


class HeadMoved(Exception):
    """The file changed between being read and being written. Read it again."""


class NameVacated(Exception):
    """A name lost the node that it was shared for; access may still hold grants on it."""

    def __init__(self, names: Iterable[VacatedName]) -> None:
        self.names = frozenset(names)
        super().__init__(", ".join(sorted(name.path for name in self.names)))


class UnitOfWork:
    """One change of a scope. Call `finalize` last, inside the transaction."""

    def __init__(self, tx: Transaction, circumstances: ChangeContext) -> None:
        self.tx = tx
        self.now = circumstances.now
        self.writer = circumstances.writer
        self.untrusted = circumstances.untrusted
        self.limits = circumstances.limits
        self.new_id = circumstances.new_id
        self._has_blob = circumstances.has_blob
        self.written = 0
        """Bytes of the versions written. Unit: bytes."""
        self.vacated = False
        """Whether a name lost its node."""
        self._before = tx.totals()
        self._totals = self._before
        self._changes: list[Change] = []
        self._tab = Tab()

    def has_blob(self, digest: str) -> bool:
        """Tell whether the blob of this digest is stored."""
        return self.tx.blocking(lambda: self._has_blob(digest))

    def add(self, **amounts: int) -> None:
        """Add to the running sums; see Totals for the names."""
        self._totals = self._totals.plus(**amounts)

    def count(self, **changes: int) -> None:
        """Count what the scope has more, or less, of each quota; bytes and files follow from the sums."""
        self._tab.add(self.tx.scope.charged, changes)

    def charge(self, owner: Owner, **changes: int) -> None:
        """Count what another one has more of."""
        self._tab.add(owner, changes)

    def tell(self, kind: ChangeKind, node: Node, *, old_path: str = "") -> None:
        """Record an event."""
        self._changes.append(Change(kind, node, self.now, old_path))

    def vacate(self, path: str) -> None:
        """Record that a name lost its node, so that the grants on it end; see SharingService."""
        self.vacated = True
        self.tx.put_vacated(VacatedName(path, self.tx.next_sequence()))

    def finalize(self) -> None:
        """Write sums and events.

        Raises QuotaExceeded when the change adds to what is then above a cap.
        """
        before, after = self._before, self._totals
        self.count(bytes=after.used - before.used, files=after.nodes - before.nodes)
        self.tx.charge(self._tab, self.limits.caps)
        if after != before:
            self.tx.put_totals(after)
        if self._changes:
            self.tx.record(self._changes)
            self._sweep()

    def _sweep(self) -> None:
        last = self.tx.last_sequence()
        if last // _SWEEP != (last - len(self._changes)) // _SWEEP:
            self.tx.drop_changes(up_to=last - KEPT_CHANGES)


def match_etag(node: Node, etag: str) -> None:
    """Compare an etag with the caller's; an empty one matches anything.

    Raises EtagMismatch.
    """
    if etag and etag != node.etag:
        raise EtagMismatch.at(node.path, etag, node.etag)
