"""The running sums of what agents, trees and tenants keep, in each service's own database.

They change in the transaction that keeps the thing, so they are exact, and a cap cannot be passed by a race.
A sum is one row, so a charge costs the same however much is kept.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from services.chassis.db.sql import upsert
from services.chassis.quotas import Caps, Level, Owed, Owner, Usage, judge

USAGE: Final = "quota_usage"
TREES: Final = "quota_trees"

_Sum = tuple[str, str, str, str]
"""Tenant, level, subject and quota: the key of a sum."""
_COLUMNS: Final = ("tenant", "level", "subject", "quota", "used")


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


def create(create_table: Callable[..., object]) -> None:
    """Create both tables in a migration: `create(op.create_table)`."""
    # The key is most of a row: on SQLite the rows lie in its index.
    create_table(USAGE, *usage_columns(), sqlite_with_rowid=False)
    create_table(TREES, *tree_columns(), sqlite_with_rowid=False)


def fill(conn: sa.Connection, kept: str) -> None:
    """Sum up what is there already, in a migration: `kept` selects tenant, agent, quota and used.

    Every agent is a tree of its own until its tree is heard of; see `UsageBook.settled`.
    """
    here = "known.tenant = kept.tenant AND known.agent = kept.agent"
    heard = f"SELECT tree FROM {TREES} AS known WHERE {here}"  # noqa: S608 - a name of our own
    rooted = f"SELECT kept.*, COALESCE(({heard}), agent) AS root FROM ({kept}) AS kept"  # noqa: S608 - see above
    for level, subject in ((Level.AGENT, "agent"), (Level.TREE, "root"), (Level.TENANT, "''")):
        owned = "" if level is Level.TENANT else " WHERE agent <> ''"
        by = "tenant, quota" if level is Level.TENANT else f"tenant, quota, {subject}"
        into = f"INSERT INTO {USAGE} ({', '.join(_COLUMNS)}) SELECT tenant, '{level.value}', {subject}, "
        sums = f"quota, SUM(used) FROM ({rooted}) AS rooted{owned} GROUP BY {by}"
        conn.execute(sa.text(into + sums))


class UsageBook:
    """Charges and tells usage on the connection of a running transaction."""

    def __init__(self, usage: sa.Table, trees: sa.Table) -> None:
        self._usage = usage
        self._trees = trees

    def charge(self, conn: sa.Connection, owed: Iterable[Owed], caps: Caps) -> None:
        """Add changes by quota to the sums of owners, their trees and tenants; less is always allowed.

        Raises QuotaExceeded when a sum that grows would pass its cap; the transaction must then be undone.
        """
        changes: dict[_Sum, int] = {}
        whose: dict[_Sum, Owner] = {}
        for asked, by_quota in owed:
            if not any(by_quota.values()):
                continue
            owner = self.settled(conn, asked)
            for quota, change in by_quota.items():
                for level in owner.levels:
                    at = _at(owner, level, quota)
                    changes[at] = changes.get(at, 0) + change
                    whose.setdefault(at, owner)
        for at, total in self._add(conn, changes):
            if changes[at] > 0:
                judge(whose[at], caps, [(at[3], Level(at[1]), total)])

    def told(self, conn: sa.Connection, owner: Owner, caps: Caps) -> list[Usage]:
        """Return what is used of every quota at every level."""
        owner = self.known(conn, owner)
        table = self._usage
        subjects = sa.or_(*(self._is(owner, level) for level in owner.levels))
        query = sa.select(table.c.quota, table.c.level, table.c.used).where(
            table.c.tenant == owner.tenant, subjects
        )
        used = {(row.quota, row.level): row.used for row in conn.execute(query)}
        return [
            Usage(quota, level, used.get((quota, level.value), 0), cap.at(level))
            for quota, cap in sorted(caps.items())
            for level in owner.levels
        ]

    def known(self, conn: sa.Connection, owner: Owner) -> Owner:
        """Return the owner with its tree, as last heard; a tree of its own where nothing was heard."""
        if owner.tree or not owner.agent:
            return owner
        query = _tree(self._trees.name, conn.dialect.name)
        row = conn.exec_driver_sql(query, (owner.tenant, owner.agent)).first()
        return Owner(owner.tenant, owner.agent, row.tree if row else owner.agent)

    def settled(self, conn: sa.Connection, owner: Owner) -> Owner:
        """Return the owner with its tree, and note the tree when it is new. A tree once noted stays.

        What an agent kept before its tree was known was charged to a tree of its own, and moves to the tree.
        """
        before = self.known(conn, Owner(owner.tenant, owner.agent, ""))
        noted = before.tree != before.agent
        if noted or owner.tree in ("", owner.agent):
            return before
        upsert(conn, self._trees, {"tenant": owner.tenant, "agent": owner.agent, "tree": owner.tree})
        self._move(conn, before, owner)
        return owner

    def release(self, conn: sa.Connection, owed: Iterable[Owed]) -> None:
        """Take changes, none of which grows a sum, that nobody is refused for."""
        self.charge(conn, owed, {})

    def forget(self, conn: sa.Connection, tenant: str, agent: str) -> None:
        """Take an agent that keeps nothing more out of the sums."""
        owner = self.known(conn, Owner(tenant, agent, ""))
        kept = self._of_agent(conn, owner)
        self._add(conn, {_at(owner, level, quota): -used for quota, used in kept for level in owner.levels})
        table = self._usage
        conn.execute(sa.delete(table).where(table.c.tenant == tenant, self._is(owner, Level.AGENT)))
        trees = self._trees
        conn.execute(sa.delete(trees).where(trees.c.tenant == tenant, trees.c.agent == agent))

    def _move(self, conn: sa.Connection, before: Owner, after: Owner) -> None:
        kept = self._of_agent(conn, before)
        self._add(conn, {_at(before, Level.TREE, quota): -used for quota, used in kept})
        self._add(conn, {_at(after, Level.TREE, quota): used for quota, used in kept})

    def _of_agent(self, conn: sa.Connection, owner: Owner) -> list[tuple[str, int]]:
        table = self._usage
        query = sa.select(table.c.quota, table.c.used).where(
            table.c.tenant == owner.tenant, self._is(owner, Level.AGENT), table.c.used != 0
        )
        return [(row.quota, row.used) for row in conn.execute(query)]

    def _add(self, conn: sa.Connection, changes: Mapping[_Sum, int]) -> list[tuple[_Sum, int]]:
        """Add to sums, in one statement and always in one order, and return what they are then."""
        rows = [(at, change) for at, change in sorted(changes.items()) if change]
        if not rows:
            return []
        values = tuple(value for at, change in rows for value in (*at, change))
        found = conn.exec_driver_sql(_adding(self._usage.name, len(rows), conn.dialect.name), values)
        return [((row.tenant, row.level, row.subject, row.quota), int(row.used)) for row in found]

    def _is(self, owner: Owner, level: Level) -> sa.ColumnElement[bool]:
        table = self._usage
        return sa.and_(table.c.level == level.value, table.c.subject == owner.subject(level))


def _at(owner: Owner, level: Level, quota: str) -> _Sum:
    return owner.tenant, level.value, owner.subject(level), quota


# SQL as the driver takes it: compiling a statement and binding many values takes longer than running it.
_MARKS: Final = {"sqlite": "?", "postgresql": "%s"}


@cache
def _adding(table: str, rows: int, dialect: str) -> str:
    names = ", ".join(_COLUMNS)
    row = "(" + ", ".join([_MARKS[dialect]] * len(_COLUMNS)) + ")"
    insert = f"INSERT INTO {table} ({names}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - names of our own
    total = f"DO UPDATE SET used = {table}.used + excluded.used"
    return f"{insert} ON CONFLICT (tenant, level, subject, quota) {total} RETURNING {names}"


@cache
def _tree(table: str, dialect: str) -> str:
    mark = _MARKS[dialect]
    return f"SELECT tree FROM {table} WHERE tenant = {mark} AND agent = {mark}"  # noqa: S608 - a name of our own
