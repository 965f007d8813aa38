"""The running sums of what agents, trees and tenants keep, in each service's own database.

They change in the transaction that keeps the thing, so they are exact, and a cap cannot be passed by a race.
A sum is one row, so a charge costs the same however much is kept.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.chassis.db.sql import upsert
from services.chassis.quotas import Caps, Level, Owner, Usage, judge

USAGE: Final = "quota_usage"
TREES: Final = "quota_trees"


def usage_columns() -> list[sa.Column[Any]]:
    """Return the columns of the sums, for a migration: `op.create_table(USAGE, *usage_columns())`.

    `subject` is an agent's id, a root's id, or empty for the tenant.
    """
    return [
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("level", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("quota", sa.Text, primary_key=True),
        sa.Column("used", sa.BigInteger, nullable=False),
    ]


def tree_columns() -> list[sa.Column[Any]]:
    """Return the columns of the tree that each owner belongs to, for changes that no call of its makes."""
    return [
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("tree", sa.Text, nullable=False),
    ]


def tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Return the tables of sums and of trees for a service's metadata."""
    return (
        sa.Table(USAGE, metadata, *usage_columns()),
        sa.Table(TREES, metadata, *tree_columns()),
    )


class UsageBook:
    """Charges and tells usage on the connection of a running transaction."""

    def __init__(self, usage: sa.Table, trees: sa.Table, caps: Caps) -> None:
        self._usage = usage
        self._trees = trees
        self._caps = caps

    def charge(self, conn: sa.Connection, owner: Owner, changes: Mapping[str, int]) -> None:
        """Add `changes` by quota to the sums of an owner, its tree and its tenant; less is always allowed.

        Raises QuotaExceeded when a sum that grows would pass its cap; the transaction must then be undone.
        """
        owner = self.settled(conn, owner)
        grown: list[tuple[str, Level, int]] = []
        for quota, change in changes.items():
            if not change:
                continue
            for level in _levels(owner):
                total = self._add(conn, owner, quota, level, change)
                if change > 0:
                    grown.append((quota, level, total))
        judge(owner, self._caps, grown)

    def told(self, conn: sa.Connection, owner: Owner) -> list[Usage]:
        """Return what is used of every quota at every level."""
        owner = self.known(conn, owner)
        table = self._usage
        subjects = sa.or_(*(self._is(owner, level) for level in _levels(owner)))
        query = sa.select(table.c.quota, table.c.level, table.c.used).where(
            table.c.tenant == owner.tenant, subjects
        )
        used = {(row.quota, row.level): row.used for row in conn.execute(query)}
        return [
            Usage(quota, level, used.get((quota, level.value), 0), cap.at(level))
            for quota, cap in sorted(self._caps.items())
            for level in _levels(owner)
        ]

    def known(self, conn: sa.Connection, owner: Owner) -> Owner:
        """Return the owner with its tree, as last heard; a tree of its own where nothing was heard."""
        if owner.tree or not owner.agent:
            return owner
        table = self._trees
        query = sa.select(table.c.tree).where(table.c.tenant == owner.tenant, table.c.agent == owner.agent)
        return Owner(owner.tenant, owner.agent, conn.execute(query).scalar_one_or_none() or owner.agent)

    def settled(self, conn: sa.Connection, owner: Owner) -> Owner:
        """Return the owner with its tree, and note the tree when it is new.

        What an agent kept before its tree was known was charged to a tree of its own, and moves to the tree.
        """
        before = self.known(conn, Owner(owner.tenant, owner.agent, ""))
        if not owner.agent or not owner.tree or before.tree == owner.tree:
            return before if owner.agent else owner
        row = {"tenant": owner.tenant, "agent": owner.agent, "tree": owner.tree}
        upsert(conn, self._trees, row)
        self._move(conn, before, owner)
        return owner

    def forget(self, conn: sa.Connection, tenant: str, agent: str) -> None:
        """Take an agent that keeps nothing more out of the sums."""
        owner = self.known(conn, Owner(tenant, agent, ""))
        for quota, used in self._of_agent(conn, owner):
            for level in (Level.TREE, Level.TENANT):
                self._add(conn, owner, quota, level, -used)
        table = self._usage
        conn.execute(sa.delete(table).where(table.c.tenant == tenant, self._is(owner, Level.AGENT)))
        trees = self._trees
        conn.execute(sa.delete(trees).where(trees.c.tenant == tenant, trees.c.agent == agent))

    def _move(self, conn: sa.Connection, before: Owner, after: Owner) -> None:
        for quota, used in self._of_agent(conn, before):
            self._add(conn, before, quota, Level.TREE, -used)
            self._add(conn, after, quota, Level.TREE, used)

    def _of_agent(self, conn: sa.Connection, owner: Owner) -> list[tuple[str, int]]:
        table = self._usage
        query = sa.select(table.c.quota, table.c.used).where(
            table.c.tenant == owner.tenant, self._is(owner, Level.AGENT), table.c.used != 0
        )
        return [(row.quota, row.used) for row in conn.execute(query)]

    def _add(self, conn: sa.Connection, owner: Owner, quota: str, level: Level, change: int) -> int:
        row = {
            "tenant": owner.tenant,
            "level": level.value,
            "subject": owner.subject(level),
            "quota": quota,
            "used": change,
        }
        return int(conn.execute(_adding(self._usage, conn.dialect.name), row).scalar_one())

    def _is(self, owner: Owner, level: Level) -> sa.ColumnElement[bool]:
        table = self._usage
        return sa.and_(table.c.level == level.value, table.c.subject == owner.subject(level))


def _levels(owner: Owner) -> Iterator[Level]:
    """Yield the levels that an owner has: what belongs to the tenant has only that."""
    if owner.agent:
        yield Level.AGENT
        yield Level.TREE
    yield Level.TENANT


# Building a statement takes longer than running it on SQLite, so each is built once.
@cache
def _adding(table: sa.Table, dialect: str) -> sa.Executable:
    given = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    total = table.c.used + given.excluded.used
    keys = [column.name for column in table.primary_key]
    return given.on_conflict_do_update(index_elements=keys, set_={"used": total}).returning(table.c.used)
