"""Purges in SQL. See ports.Purges."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.access.core.audit_chain import ERASED
from services.access.model import Purge
from services.access.store import tables
from services.access.store.tables import purge_confirmations, purges, tombstones
from services.chassis.auth.identity import Kind, Scope
from services.chassis.db.purging import delete_some, forget_usage, rows_of
from services.chassis.db.sql import insert_new, upsert
from services.chassis.db.usage import TREES, USAGE
from services.chassis.quotas import Owner
from services.chassis.times import from_micros, micros

_KEPT = frozenset({"agents", "audit", "purges", "purge_confirmations", USAGE, TREES})
"""Tables of which `strip` leaves the agent's rows: they go last, or are erased in a way of their own."""


class SqlPurges:
    """The purges of one transaction."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def get(self, tenant: str, agent: str) -> Purge | None:
        """Return the purge of an agent, or None."""
        row = self._conn.execute(sa.select(purges).where(*_is(purges, tenant, agent))).first()
        return _purge(row) if row else None

    def put(self, purge: Purge) -> None:
        """Add or replace a purge."""
        upsert(
            self._conn,
            purges,
            {
                "tenant": purge.tenant,
                "agent": purge.agent,
                "number": purge.number,
                "due_time": micros(purge.due_time),
                "depth": purge.depth,
                "expanded": purge.expanded,
                "requester": purge.requester,
                "requester_kind": purge.requester_kind.value,
                "reason": purge.reason,
                "create_time": micros(purge.create_time),
            },
        )

    def unexpanded(self, limit: int) -> list[Purge]:
        """List purges that are not expanded."""
        statement = sa.select(purges).where(purges.c.expanded.is_(False)).order_by(purges.c.create_time)
        return [_purge(row) for row in self._conn.execute(statement.limit(limit))]

    def waiting_for(self, manager: str, now: datetime, limit: int) -> list[Purge]:
        """List purges that are due and that a manager has not confirmed."""
        done = sa.exists().where(*_same_pass(), purge_confirmations.c.manager == manager)
        statement = (
            sa.select(purges)
            .where(purges.c.due_time <= micros(now), ~done)
            .order_by(purges.c.due_time, purges.c.tenant, purges.c.agent)
            .limit(limit)
        )
        return [_purge(row) for row in self._conn.execute(statement)]

    def confirm(self, purge: Purge, manager: str, counts: Mapping[str, int]) -> None:
        """Note what a manager deleted; of two reports about one pass the first counts."""
        key = {"tenant": purge.tenant, "agent": purge.agent, "number": purge.number, "manager": manager}
        insert_new(self._conn, purge_confirmations, {**key, "counts": dict(counts)})

    def confirmed(self, managers: Sequence[str], now: datetime, limit: int) -> list[Purge]:
        """List purges that all managers have confirmed, the deepest first."""
        count = sa.select(sa.func.count()).where(*_same_pass(), purge_confirmations.c.manager.in_(managers))
        statement = (
            sa.select(purges)
            .where(
                purges.c.due_time <= micros(now),
                purges.c.expanded.is_(True),
                count.scalar_subquery() >= len(managers),
            )
            .order_by(purges.c.number, purges.c.depth.desc(), purges.c.tenant, purges.c.agent)
            .limit(limit)
        )
        return [_purge(row) for row in self._conn.execute(statement)]

    def counts(self, tenant: str, agent: str) -> dict[str, int]:
        """Return what the managers deleted in all passes."""
        found: dict[str, int] = {}
        for row in self._conn.execute(
            sa.select(purge_confirmations).where(*_is(purge_confirmations, tenant, agent))
        ):
            for what, count in row.counts.items():
                name = f"{row.manager}.{what}"
                found[name] = found.get(name, 0) + count
        return found

    def strip(self, tenant: str, agent: str, limit: int) -> int:
        """Delete or blank rows that tell of an agent."""
        name = f"agents/{agent}"
        mine = sa.select(tables.approvals.c.id).where(rows_of(tables.approvals, tenant, agent))
        arguments = tables.approval_arguments
        shown = sa.and_(arguments.c.tenant == tenant, arguments.c.approval.in_(mine))
        arguments_gone = delete_some(self._conn, arguments, shown, limit)
        if arguments_gone:  # before the approvals that lead to them
            return arguments_gone
        removed = sum(
            delete_some(self._conn, table, rows_of(table, tenant, agent), limit)
            for table in tables.METADATA.sorted_tables
            if table.name not in _KEPT and {"tenant", "agent"} <= set(table.c.keys())
        )
        removed += self._drop_grants(tenant, agent, limit)
        members = tables.members
        left = delete_some(
            self._conn, members, sa.and_(members.c.tenant == tenant, members.c.member == name), limit
        )
        self._release(Owner(tenant, "", ""), memberships=left)
        answers = tables.answers
        told = sa.and_(answers.c.tenant == tenant, answers.c.reply == agent.encode())
        blank = sa.update(answers).where(told).values(reply=ERASED.encode())
        removed += left + self._conn.execute(blank).rowcount
        grants, approvals = tables.grants, tables.approvals
        for table, column, put in (
            (grants, grants.c.creator, ERASED),
            (approvals, approvals.c.decider, ERASED),
            (approvals, approvals.c.root, ""),
            (tables.revocations, tables.revocations.c.charged, ""),
            (tables.policies, tables.policies.c.author, ERASED),
            (tables.approval_rules, tables.approval_rules.c.creator, ERASED),
            (tables.persons, tables.persons.c.creator, ERASED),
        ):
            where = sa.and_(table.c.tenant == tenant, column == agent)
            removed += self._conn.execute(sa.update(table).where(where).values({column.name: put})).rowcount
        agents = tables.agents
        source = agents.c.untrusted_source
        theirs = sa.or_(source == name, source.startswith(f"{name}/", autoescape=True))
        marked = sa.and_(agents.c.tenant == tenant, agents.c.id != agent, theirs)
        removed += self._conn.execute(
            sa.update(agents).where(marked).values(untrusted_source=ERASED)
        ).rowcount
        return removed

    def _drop_grants(self, tenant: str, agent: str, limit: int) -> int:
        """Delete grants by and to an agent; who gave one gets its place in the quota back."""
        grants, name = tables.grants, f"agents/{agent}"
        below = sa.and_(grants.c.resource >= f"{name}/", grants.c.resource < f"{name}0")
        mine = sa.or_(grants.c.owner == agent, grants.c.grantee == name, grants.c.resource == name, below)
        query = sa.select(grants.c.id, grants.c.owner, grants.c.revoked).where(
            grants.c.tenant == tenant, mine
        )
        found = self._conn.execute(query.limit(limit)).all()
        for row in found:
            self._conn.execute(sa.delete(grants).where(grants.c.tenant == tenant, grants.c.id == row.id))
            owner = Owner(tenant, row.owner, "")
            self._release(owner, grants=int(not row.revoked), grant_rows=1)
        return len(found)

    def _release(self, owner: Owner, **amounts: int) -> None:
        less = {quota: -amount for quota, amount in amounts.items() if amount}
        if less:
            tables.book.release(self._conn, [(owner, less)])

    def forget(self, tenant: str, agent: str) -> None:
        """Forget a purge, what was confirmed of it, and what the agent used of quotas."""
        usage, trees = tables.METADATA.tables[USAGE], tables.METADATA.tables[TREES]
        forget_usage(self._conn, usage, trees, Scope(tenant, agent))
        for table in (purges, purge_confirmations):
            self._conn.execute(sa.delete(table).where(*_is(table, tenant, agent)))

    def bury(self, tenant: str, digest: str, now: datetime) -> None:
        """Note that an id is not to be given again."""
        insert_new(self._conn, tombstones, {"tenant": tenant, "digest": digest, "create_time": micros(now)})

    def is_buried(self, tenant: str, digest: str) -> bool:
        """Tell whether an id was that of a purged agent."""
        where = (tombstones.c.tenant == tenant, tombstones.c.digest == digest)
        return self._conn.execute(sa.select(tombstones.c.digest).where(*where)).first() is not None


def _is(table: sa.Table, tenant: str, agent: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.tenant == tenant, table.c.agent == agent)


def _same_pass() -> tuple[sa.ColumnElement[bool], ...]:
    told = purge_confirmations.c
    return (
        told.tenant == purges.c.tenant,
        told.agent == purges.c.agent,
        told.number == purges.c.number,
    )


def _purge(row: sa.Row[Any]) -> Purge:
    return Purge(
        tenant=row.tenant,
        agent=row.agent,
        requester=row.requester,
        requester_kind=Kind(row.requester_kind),
        reason=row.reason,
        create_time=from_micros(row.create_time),
        due_time=from_micros(row.due_time),
        number=row.number,
        depth=row.depth,
        expanded=row.expanded,
    )
