"""Purges in SQL. See ports.Purges."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from services.access.core.audit_chain import ERASED
from services.access.model.agents import Purge
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


_NAMES: Final[tuple[tuple[sa.Table, sa.Column[Any], str], ...]] = (
    (tables.grants, tables.grants.c.creator, ERASED),
    (tables.approvals, tables.approvals.c.root, ""),
    (tables.revocations, tables.revocations.c.charged, ""),
    (tables.policies, tables.policies.c.author, ERASED),
    (tables.approval_rules, tables.approval_rules.c.creator, ERASED),
    (tables.persons, tables.persons.c.creator, ERASED),
    (tables.persons, tables.persons.c.key_maker, ERASED),
)
"""Columns that may hold the id in rows of others, and what stands there afterwards."""


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
        """Delete or blank up to `limit` rows that tell of an agent; return how many."""
        done = 0
        for step in (
            self._drop_arguments,  # all of them, before the approvals that lead to them
            self._drop_own,
            self._drop_grants,
            self._drop_memberships,
            self._blank_answers,
            self.forget_decider,
            self._blank_names,
            self._blank_sources,
        ):
            if done < limit:
                done += step(tenant, agent, limit - done)
        return done

    def forget_decider(self, tenant: str, decider: str, limit: int) -> int:
        """Blank who decided, and who voted, in up to `limit` approvals; return in how many."""
        table = tables.approvals
        # As the votes are written: what a comment quotes has its quotation marks escaped.
        voted = sa.cast(table.c.votes, sa.Text).contains(f'"decider": "{decider}"', autoescape=True)
        told = sa.and_(table.c.tenant == tenant, sa.or_(table.c.decider == decider, voted))
        found = self._conn.execute(
            sa.select(table.c.id, table.c.decider, table.c.votes).where(told).limit(limit)
        )
        rows = found.all()
        for row in rows:
            votes = [{**vote, "decider": _blanked(vote["decider"], decider)} for vote in row.votes]
            values = {"decider": _blanked(row.decider, decider), "votes": votes}
            mine = (table.c.tenant == tenant, table.c.id == row.id)
            self._conn.execute(sa.update(table).where(*mine).values(values))
        return len(rows)

    def _drop_arguments(self, tenant: str, agent: str, limit: int) -> int:
        arguments = tables.approval_arguments
        mine = sa.select(tables.approvals.c.id).where(rows_of(tables.approvals, tenant, agent))
        shown = sa.and_(arguments.c.tenant == tenant, arguments.c.approval.in_(mine))
        return delete_some(self._conn, arguments, shown, limit)

    def _drop_own(self, tenant: str, agent: str, limit: int) -> int:
        done = 0
        for table in tables.METADATA.sorted_tables:
            told = table.name not in _KEPT and {"tenant", "agent"} <= set(table.c.keys())
            if told and done < limit:
                done += delete_some(self._conn, table, rows_of(table, tenant, agent), limit - done)
        return done

    def _drop_memberships(self, tenant: str, agent: str, limit: int) -> int:
        members = tables.members
        mine = sa.and_(members.c.tenant == tenant, members.c.member == f"agents/{agent}")
        left = delete_some(self._conn, members, mine, limit)
        self._release(Owner(tenant, "", ""), memberships=left)
        return left

    def _blank_answers(self, tenant: str, agent: str, limit: int) -> int:
        reply = tables.answers.c.reply
        return self._blank(tables.answers, reply, ERASED.encode(), limit, _in(tenant, reply, agent.encode()))

    def _blank_names(self, tenant: str, agent: str, limit: int) -> int:
        done = 0
        for table, column, put in _NAMES:
            if done < limit:
                done += self._blank(table, column, put, limit - done, _in(tenant, column, agent))
        return done

    def _blank_sources(self, tenant: str, agent: str, limit: int) -> int:
        agents, name = tables.agents, f"agents/{agent}"
        source = agents.c.untrusted_source
        theirs = sa.or_(source == name, source.startswith(f"{name}/", autoescape=True))
        marked = sa.and_(agents.c.tenant == tenant, agents.c.id != agent, theirs)
        return self._blank(agents, source, ERASED, limit, marked)

    def _blank(
        self,
        table: sa.Table,
        column: sa.Column[Any],
        put: str | bytes,
        limit: int,
        where: sa.ColumnElement[bool],
    ) -> int:
        keys = list(table.primary_key)
        chosen = sa.tuple_(*keys).in_(sa.select(*keys).where(where).limit(limit))
        return self._conn.execute(sa.update(table).where(chosen).values({column.name: put})).rowcount

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


def _in(tenant: str, column: sa.Column[Any], value: str | bytes) -> sa.ColumnElement[bool]:
    return sa.and_(column.table.c.tenant == tenant, column == value)


def _blanked(name: str, gone: str) -> str:
    return ERASED if name == gone else name


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
