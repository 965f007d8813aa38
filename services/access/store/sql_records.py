"""Approvals and the audit log in SQL. See ports.Approvals and Audit."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from services.access.core import audit_chain
from services.access.model.approvals import Approval, ApprovalState
from services.access.model.audit import AuditEntry, AuditHead, AuditQuery, ExportedHead, Part
from services.access.ports.audit import SealKeys
from services.access.store import rows
from services.access.store.tables import (
    approval_arguments,
    approvals,
    audit,
    audit_exports,
    audit_heads,
)
from services.chassis.auth.identity import Kind
from services.chassis.db.sql import upsert
from services.chassis.quotas import Level, Owner
from services.chassis.times import micros

_OPEN = (ApprovalState.PENDING.value, ApprovalState.APPROVED.value)


class SqlApprovals:
    """The approvals of one transaction."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def get(self, tenant: str, approval: str) -> Approval | None:
        """Return one approval, or None."""
        where = (approvals.c.tenant == tenant, approvals.c.id == approval)
        row = self._conn.execute(sa.select(approvals).where(*where)).first()
        return rows.approval(row) if row else None

    def insert(self, approval: Approval) -> None:
        """Add an approval with a new id."""
        self._conn.execute(sa.insert(approvals), rows.approval_values(approval))

    def update(self, approval: Approval) -> None:
        """Store an approval that exists."""
        where = (approvals.c.tenant == approval.tenant, approvals.c.id == approval.id)
        self._conn.execute(sa.update(approvals).where(*where).values(rows.approval_values(approval)))

    def open_for(self, wanted: Approval, now: datetime) -> Approval | None:
        """Return the pending or approved one for the same call, or None."""
        statement = sa.select(approvals).where(
            approvals.c.tenant == wanted.tenant,
            approvals.c.agent == wanted.agent,
            approvals.c.action == wanted.action,
            approvals.c.resource == wanted.resource,
            approvals.c.resource_version == wanted.resource_version,
            approvals.c.arguments_sha256 == wanted.arguments_sha256,
            approvals.c.state.in_(_OPEN),
            approvals.c.expire_time > micros(now),
        )
        row = self._conn.execute(statement).first()
        return rows.approval(row) if row else None

    def pending_count(self, tenant: str, agent: str, now: datetime) -> int:
        """Count the approvals of an agent that wait for a decision."""
        statement = sa.select(sa.func.count()).where(
            *_of(tenant, agent),
            approvals.c.state == ApprovalState.PENDING.value,
            approvals.c.expire_time > micros(now),
        )
        return self._conn.execute(statement).scalar_one()

    def load(self, owner: Owner, now: datetime) -> dict[Level, tuple[int, int]]:
        """Return how many are open at each level of an agent, and the bytes of their arguments."""
        live = (approvals.c.state.in_(_OPEN), approvals.c.expire_time > micros(now))
        levels = {
            Level.AGENT: _of(owner.tenant, owner.agent),
            Level.TREE: (approvals.c.tenant == owner.tenant, approvals.c.root == owner.tree),
            Level.TENANT: (approvals.c.tenant == owner.tenant,),
        }
        size = sa.func.coalesce(sa.func.sum(approvals.c.arguments_bytes), 0)
        found = {}
        for level, where in levels.items():
            row = self._conn.execute(sa.select(sa.func.count(), size).where(*where, *live)).one()
            found[level] = (int(row[0]), int(row[1]))
        return found

    def put_arguments(self, approval: Approval, content: bytes) -> None:
        """Keep the whole arguments of an approval."""
        row = {"tenant": approval.tenant, "approval": approval.id, "content": content}
        self._conn.execute(sa.insert(approval_arguments), row)

    def arguments(self, tenant: str, approval: str) -> bytes | None:
        """Return the whole arguments, or None when they are not kept."""
        where = (approval_arguments.c.tenant == tenant, approval_arguments.c.approval == approval)
        found = self._conn.execute(sa.select(approval_arguments.c.content).where(*where)).scalar()
        return None if found is None else bytes(found)

    def drop_arguments(self, tenant: str, approval: str) -> None:
        """Forget the arguments of an approval."""
        where = (approval_arguments.c.tenant == tenant, approval_arguments.c.approval == approval)
        self._conn.execute(sa.delete(approval_arguments).where(*where))

    def forget_arguments(self, now: datetime) -> None:
        """Forget the arguments of all approvals that are not open any more."""
        is_open = sa.select(approvals.c.id).where(
            approvals.c.tenant == approval_arguments.c.tenant,
            approvals.c.id == approval_arguments.c.approval,
            approvals.c.state.in_(_OPEN),
            approvals.c.expire_time > micros(now),
        )
        self._conn.execute(sa.delete(approval_arguments).where(~is_open.exists()))

    def forget(self, ended_before: datetime, limit: int) -> list[Approval]:
        """Delete approvals whose time was over by then; return them."""
        ended = sa.select(approvals).where(approvals.c.expire_time <= micros(ended_before))
        found = [rows.approval(row) for row in self._conn.execute(ended.limit(limit))]
        for approval in found:
            self.drop_arguments(approval.tenant, approval.id)
            where = (approvals.c.tenant == approval.tenant, approvals.c.id == approval.id)
            self._conn.execute(sa.delete(approvals).where(*where))
        return found

    def page(
        self,
        tenant: str,
        agent: str,
        *,
        states: frozenset[ApprovalState],
        now: datetime,
        before: Sequence[str | int],
        limit: int,
    ) -> list[Approval]:
        """List approvals newest first."""
        where = [*_of(tenant, agent), *_in_state(states, now)]
        if before:
            where.append(
                sa.tuple_(approvals.c.create_time, approvals.c.id) < sa.tuple_(*map(sa.literal, before))
            )
        order = (approvals.c.create_time.desc(), approvals.c.id.desc())
        statement = sa.select(approvals).where(*where).order_by(*order).limit(limit)
        return [rows.approval(row) for row in self._conn.execute(statement)]

    def changed(self, tenant: str, agent: str, after: int, limit: int) -> list[Approval]:
        """List approvals by the sequence of their last change."""
        where = (*_of(tenant, agent), approvals.c.sequence > after)
        statement = sa.select(approvals).where(*where).order_by(approvals.c.sequence).limit(limit)
        return [rows.approval(row) for row in self._conn.execute(statement)]


class SqlAudit:
    """The audit chains of one transaction."""

    def __init__(self, conn: sa.Connection, keys: SealKeys) -> None:
        self._conn = conn
        self._keys = keys

    @property
    def keys(self) -> SealKeys:
        """What entries are sealed with."""
        return self._keys

    def head(self, tenant: str) -> AuditHead:
        """Return the end of a chain."""
        row = self._conn.execute(sa.select(audit_heads).where(audit_heads.c.tenant == tenant)).first()
        return AuditHead(row.sequence, row.hash, row.key_id) if row else audit_chain.GENESIS

    def append(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries that follow the head."""
        if not entries:
            return
        self._conn.execute(sa.insert(audit), [rows.audit_values(entry) for entry in entries])
        last = entries[-1]
        head = {"sequence": last.sequence, "hash": last.hash, "key_id": last.key_id}
        upsert(self._conn, audit_heads, {"tenant": last.tenant, **head})

    def page(self, query: AuditQuery, after: int, limit: int) -> list[AuditEntry]:
        """List entries in the order of the query."""
        place = audit.c.sequence
        where = _asked(query)
        if after:
            where.append(place > after if query.oldest_first else place < after)
        order = place.asc() if query.oldest_first else place.desc()
        statement = sa.select(audit).where(*where).order_by(order).limit(limit)
        return [rows.audit_entry(row) for row in self._conn.execute(statement)]

    def between(self, tenant: str, first: int, last: int) -> list[AuditEntry]:
        """Return the entries with these sequences, in order."""
        where = (audit.c.tenant == tenant, audit.c.sequence.between(first, last))
        statement = sa.select(audit).where(*where).order_by(audit.c.sequence)
        return [rows.audit_entry(row) for row in self._conn.execute(statement)]

    def has_hash(self, tenant: str, digest: str) -> bool:
        """Tell whether an entry with this hash exists."""
        where = (audit.c.tenant == tenant, audit.c.hash == digest)
        return self._conn.execute(sa.select(audit.c.sequence).where(*where).limit(1)).first() is not None

    def about(self, tenant: str, agent: str, limit: int) -> list[AuditEntry]:
        """Return entries that tell of an agent, by sequence."""
        name = f"agents/{agent}"
        kept = (audit.c.tenant == tenant, audit.c.action != audit_chain.ERASE)
        # Three ranges of indices: a choice between them would read the whole log.
        ranges = (
            sa.and_(audit.c.agent == agent, audit.c.kind == Kind.AGENT.value),
            audit.c.resource == name,
            sa.and_(audit.c.resource >= f"{name}/", audit.c.resource < f"{name}0"),
        )
        found: dict[int, AuditEntry] = {}
        for one in ranges:
            statement = sa.select(audit).where(*kept, one).order_by(audit.c.sequence).limit(limit)
            found |= {row.sequence: rows.audit_entry(row) for row in self._conn.execute(statement)}
        return [found[sequence] for sequence in sorted(found)][:limit]

    def blank(self, entries: Mapping[AuditEntry, Sequence[Part]], told_by: int) -> None:
        """Blank parts of entries."""
        for entry, parts in entries.items():
            where = (audit.c.tenant == entry.tenant, audit.c.sequence == entry.sequence)
            values = rows.audit_values(audit_chain.blanked(entry, parts, told_by))
            self._conn.execute(sa.update(audit).where(*where).values(values))

    def unsealed(self, limit: int) -> list[str]:
        """Return tenants whose chain ends with an unsealed entry."""
        statement = sa.select(audit_heads.c.tenant).where(audit_heads.c.key_id == "").limit(limit)
        return list(self._conn.execute(statement).scalars())

    def to_export(self, exporter: str, limit: int) -> list[tuple[str, AuditHead, int]]:
        """Return tenants whose head an exporter has not told yet."""
        told = audit_exports.c
        same = sa.and_(told.tenant == audit_heads.c.tenant, told.exporter == exporter)
        last = sa.func.coalesce(told.sequence, 0)
        statement = (
            sa.select(audit_heads, last.label("told"))
            .select_from(audit_heads.outerjoin(audit_exports, same))
            .where(audit_heads.c.sequence > last)
            .order_by(audit_heads.c.tenant)
            .limit(limit)
        )
        found = self._conn.execute(statement)
        return [(row.tenant, AuditHead(row.sequence, row.hash, row.key_id), row.told) for row in found]

    def exported(self, tenant: str, exporter: str) -> int:
        """Return the sequence of the last head that an exporter told."""
        where = (audit_exports.c.tenant == tenant, audit_exports.c.exporter == exporter)
        return self._conn.execute(sa.select(audit_exports.c.sequence).where(*where)).scalar() or 0

    def note_exported(self, exporter: str, heads: Iterable[ExportedHead]) -> None:
        """Note what an exporter has told."""
        values = [{"tenant": head.tenant, "exporter": exporter, "sequence": head.sequence} for head in heads]
        upsert(self._conn, audit_exports, *values)


def _of(tenant: str, agent: str) -> tuple[sa.ColumnElement[bool], ...]:
    whole = (approvals.c.tenant == tenant,)
    return (*whole, approvals.c.agent == agent) if agent else whole


def _in_state(states: frozenset[ApprovalState], now: datetime) -> list[sa.ColumnElement[bool]]:
    """Select approvals by their state as of `now`: an open one past its time has expired."""
    if not states:
        return []
    stored = approvals.c.state
    lives = approvals.c.expire_time > micros(now)
    is_open = stored.in_(_OPEN)
    wanted = [
        sa.and_(stored == state.value, lives) if state.value in _OPEN else stored == state.value
        for state in sorted(states, key=lambda state: state.value)
    ]
    if ApprovalState.EXPIRED in states:
        wanted.append(sa.and_(is_open, ~lives))
    return [sa.or_(*wanted)]


def _asked(query: AuditQuery) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = [audit.c.tenant == query.tenant]
    if query.agent:
        where.append(audit.c.agent == query.agent)
    if query.action:
        where.append(audit.c.action == query.action)
    if query.resource_prefix:
        length = len(query.resource_prefix)
        where.append(sa.func.substr(audit.c.resource, 1, length) == query.resource_prefix)
    if query.outcome:
        where.append(audit.c.outcome == query.outcome.value)
    if query.start_time:
        where.append(audit.c.create_time >= micros(query.start_time))
    if query.end_time:
        where.append(audit.c.create_time < micros(query.end_time))
    if query.syscall_id:
        where.append(audit.c.syscall_id == query.syscall_id)
    return where
