"""Whether the sums that quotas are judged by are what a count of the rows says."""

from collections import Counter

import sqlalchemy as sa

from services.chassis.db import Database

Amounts = dict[tuple[str, str, str], int]
"""What is used, by tenant, subject and quota; what nothing is used of is left out."""


async def agree(database: Database, kept: str, trees: dict[str, str]) -> None:
    """Compare sums with rows: `kept` selects tenant, agent, quota and used.

    `trees` are the roots of those agents that are no roots themselves.
    """
    rows = await database.read(lambda conn: _counted(conn, kept))
    sums = await database.read(_sums)
    by_tree: Counter[tuple[str, str, str]] = Counter()
    whole: Counter[tuple[str, str, str]] = Counter()
    for (tenant, agent, quota), used in rows.items():
        whole[tenant, "", quota] += used
        if agent:
            by_tree[tenant, trees.get(agent, agent), quota] += used

    assert rows, "the test makes something"
    assert sums["agent"] == {at: used for at, used in rows.items() if at[1]}
    assert sums["tree"] == dict(by_tree)
    assert sums["tenant"] == dict(whole)


def _counted(conn: sa.Connection, kept: str) -> Amounts:
    found = conn.execute(sa.text(kept))
    return {(row.tenant, row.agent, row.quota): int(row.used) for row in found if row.used}


def _sums(conn: sa.Connection) -> dict[str, Amounts]:
    levels: dict[str, Amounts] = {"agent": {}, "tree": {}, "tenant": {}}
    query = "SELECT tenant, level, subject, quota, used FROM quota_usage WHERE used <> 0"
    for row in conn.execute(sa.text(query)):
        levels[row.level][row.tenant, row.subject, row.quota] = row.used
    return levels
