"""Deleting everything of one agent from a service's database, a few hundred rows at a time.

What is deleted is told by the tables themselves: every table that has the columns `tenant` and `agent`. A new
table is therefore covered by itself.
"""

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.db.base import Database
from services.chassis.db.usage import TREES, USAGE, UsageBook
from services.chassis.quotas import Level

BATCH: Final = 500
"""Rows deleted in one transaction, so that others wait for none of them for long."""


def rows_of(table: sa.Table, tenant: str, agent: str, column: str = "agent") -> sa.ColumnElement[bool]:
    """Select an agent's rows of a table."""
    return sa.and_(table.c.tenant == tenant, table.c[column] == agent)


def delete_some(
    conn: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool], limit: int = BATCH
) -> int:
    """Delete up to `limit` rows; return how many."""
    keys = list(table.primary_key)
    chosen = sa.select(*keys).where(where).limit(limit)
    return conn.execute(sa.delete(table).where(sa.tuple_(*keys).in_(chosen))).rowcount


async def purge_tables(
    database: Database, metadata: sa.MetaData, scope: Scope, *, without: Collection[str] = ()
) -> dict[str, int]:
    """Delete an agent's rows from every table but those named; return how many by table.

    The sums of quotas go last: they tell what the rows before them took.
    """
    counts: dict[str, int] = {}
    for table in metadata.sorted_tables:
        if table.name in {USAGE, TREES, *without} or not {"tenant", "agent"} <= set(table.c.keys()):
            continue
        removed = await purge_rows(database, table, rows_of(table, scope.tenant, scope.agent))
        if removed:
            counts[table.name] = removed
    if USAGE in metadata.tables:
        usage, trees = metadata.tables[USAGE], metadata.tables[TREES]
        await database.write(lambda conn: forget_usage(conn, usage, trees, scope))
    return counts


async def purge_rows(database: Database, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    """Delete rows of a table, batch by batch; return how many."""
    total = 0
    while removed := await database.write(lambda conn: delete_some(conn, table, where)):
        total += removed
    return total


def forget_usage(conn: sa.Connection, usage: sa.Table, trees: sa.Table, scope: Scope) -> None:
    """Take an agent that keeps nothing more out of the sums, and the tree of which it was the root."""
    UsageBook(usage, trees).forget(conn, scope.tenant, scope.agent)
    tree = sa.and_(
        usage.c.tenant == scope.tenant, usage.c.level == Level.TREE.value, usage.c.subject == scope.agent
    )
    conn.execute(sa.delete(usage).where(tree))
