"""The tables of the audit log, of purges and of sums, as a transaction sees them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from services.access.model.agents import Purge
from services.access.model.audit import AuditEntry, AuditHead, AuditQuery, ExportedHead, Part, SealKey
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Cap, Owner, Usage


class SealKeys(Protocol):
    """The keys that seal audit entries. They are kept apart from the database."""

    def newest(self) -> SealKey:
        """Return the key that seals."""
        ...

    def find(self, key_id: str) -> bytes | None:
        """Return the secret of a key that seals or has sealed, or None."""
        ...


class Audit(Protocol):
    """The audit chains, one a tenant. Entries are only ever added; an erasure blanks fields of them."""

    @property
    def keys(self) -> SealKeys:
        """What entries are sealed with."""
        ...

    def head(self, tenant: str) -> AuditHead:
        """Return the end of a chain; in a writing transaction nobody else moves it until the end."""
        ...

    def append(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries that follow the head of their tenant's chain."""
        ...

    def page(self, query: AuditQuery, after: int, limit: int) -> list[AuditEntry]:
        """List entries in the order of the query, those after the sequence `after` (0: from the start)."""
        ...

    def between(self, tenant: str, first: int, last: int) -> list[AuditEntry]:
        """Return the entries with these sequences, both included, in order."""
        ...

    def has_hash(self, tenant: str, digest: str) -> bool:
        """Tell whether an entry with this hash exists."""
        ...

    def about(self, tenant: str, agent: str, limit: int) -> list[AuditEntry]:
        """Return entries that tell of an agent, as audit_chain.parts_about has it, by sequence."""
        ...

    def blank(self, entries: Mapping[AuditEntry, Sequence[Part]], told_by: int) -> None:
        """Blank parts of entries; the entry `told_by` tells of it."""
        ...

    def unsealed(self, limit: int) -> list[str]:
        """Return tenants whose chain ends with an entry from before there were keys."""
        ...

    def to_export(self, exporter: str, limit: int) -> list[tuple[str, AuditHead, int]]:
        """Return tenants whose head an exporter has not told yet, the head, and the last one told (0)."""
        ...

    def exported(self, tenant: str, exporter: str) -> int:
        """Return the sequence of the last head that an exporter told; 0: none."""
        ...

    def note_exported(self, exporter: str, heads: Iterable[ExportedHead]) -> None:
        """Note what an exporter has told."""
        ...


class Purges(Protocol):
    """Agents that are being purged, what the managers confirmed, and what stays of the purged."""

    def get(self, tenant: str, agent: str) -> Purge | None:
        """Return the purge of an agent, or None."""
        ...

    def put(self, purge: Purge) -> None:
        """Add or replace a purge."""
        ...

    def unexpanded(self, limit: int) -> list[Purge]:
        """List purges whose agent may have others below it without a purge of their own."""
        ...

    def waiting_for(self, manager: str, now: datetime, limit: int) -> list[Purge]:
        """List purges that are due and that a manager has not confirmed, oldest first."""
        ...

    def confirm(self, purge: Purge, manager: str, counts: Mapping[str, int]) -> None:
        """Note what a manager deleted in this pass."""
        ...

    def confirmed(self, managers: Sequence[str], now: datetime, limit: int) -> list[Purge]:
        """List expanded purges that are due and that all of `managers` have confirmed, the deepest first."""
        ...

    def counts(self, tenant: str, agent: str) -> dict[str, int]:
        """Return what the managers deleted in all passes, by `manager.what`."""
        ...

    def strip(self, tenant: str, agent: str, limit: int) -> int:
        """Delete or blank up to `limit` rows that tell of an agent; return how many.

        Not its audit entries, nor the agent and its purge. 0: there are none.
        """
        ...

    def forget_decider(self, tenant: str, decider: str, limit: int) -> int:
        """Blank who decided, and who voted, in up to `limit` approvals; return in how many."""
        ...

    def forget(self, tenant: str, agent: str) -> None:
        """Forget a purge and what was confirmed of it."""
        ...

    def bury(self, tenant: str, digest: str, now: datetime) -> None:
        """Note that the id with this digest is not to be given again."""
        ...

    def is_buried(self, tenant: str, digest: str) -> bool:
        """Tell whether the id with this digest was an agent's that was purged."""
        ...


class UsageSums(Protocol):
    """What agents, trees and tenants keep of each quota."""

    def add(self, owner: Owner, **changes: int) -> None:
        """Note what an owner has more, or less, of each quota."""
        ...

    def settle(self, caps: Mapping[str, Cap]) -> None:
        """Charge what was noted, answers that are kept included, once and last in a transaction.

        Raises QuotaExceeded when a sum that grows would pass its cap; the transaction must then be undone.
        """
        ...

    def told(self, owner: Owner, caps: Mapping[str, Cap]) -> list[Usage]:
        """Return what an owner, its tree and its tenant use of each quota."""
        ...


class Ledger(Protocol):
    """The revision, and what makes a repeated request have one effect."""

    def revision(self) -> int:
        """Return the revision of the rules."""
        ...

    def bump(self) -> int:
        """Raise the revision by one and return it. Serializes the writers that do."""
        ...

    def sequence(self) -> int:
        """Return the number of changes that decide nothing: those of approvals."""
        ...

    def advance(self) -> int:
        """Raise the sequence by one and return it. Serializes the writers that do."""
        ...

    def epoch(self) -> str:
        """Return the id of this database."""
        ...

    def remembered(self, tenant: str, request: RequestIdentity) -> str | None:
        """Return what the first request of this identity answered; None when it is new or has no id.

        Raises IdempotencyMismatch when it had another digest.
        """
        ...

    def remember(self, tenant: str, request: RequestIdentity, answer: str, now: datetime) -> None:
        """Keep an answer for 24 hours; nothing for a request without an id."""
        ...

    def forget(self, now: datetime) -> int:
        """Delete answers older than that; return how many."""
        ...
