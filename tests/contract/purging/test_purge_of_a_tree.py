"""A tree of hundreds of agents is purged in many short transactions, none of which changes many rows."""

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from services.access.model.agents import Agent, AgentState
from services.access.ports.store import Transaction
from services.access.service.purging import PurgeSettings
from services.access.store import sql
from services.chassis.db import Database
from tests.fakes.access_manager import ADMIN, NEW, TENANT, Desk, desk
from tests.fakes.databases import migrated
from tests.fakes.seal_keys import SEAL_KEYS

pytestmark = [pytest.mark.torture, pytest.mark.timeout(300)]

AGENTS = 500
MANAGERS = ("memory", "tool")
MOST_ROWS = 600
"""Changed in one transaction."""


class CountedDatabase:
    """A database that notes how many rows each transaction changed."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.rows: list[int] = []
        self.dialect = inner.dialect

    async def write(self, fn: Callable[[sa.Connection], Any], *, turn: str = "") -> Any:
        """Run `fn` and count."""

        def counted(conn: sa.Connection) -> Any:
            changed = 0

            def note(_conn: Any, cursor: Any, statement: str, *_rest: Any) -> None:
                nonlocal changed
                if not statement.lstrip().upper().startswith("SELECT"):
                    changed += max(0, cursor.rowcount)

            sa.event.listen(conn, "after_cursor_execute", note)
            try:
                return fn(conn)
            finally:
                sa.event.remove(conn, "after_cursor_execute", note)
                self.rows.append(changed)

        return await self._inner.write(counted, turn=turn)

    async def read(self, fn: Callable[[sa.Connection], Any]) -> Any:
        """Run `fn`."""
        return await self._inner.read(fn)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], name="url")
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/access.db"


async def plant(one: Desk) -> None:
    """Keep a killed root with its tree, the agents in four layers."""
    await one.register("root")
    await one.manager.agents.kill(ADMIN, "root", "")
    root = await one.manager.agents.get(ADMIN, "root")
    layers = ("root", "root-a", "root-b", "root-c")
    below: list[Agent] = []
    for number in range(AGENTS - 1):
        depth = number % 3 if number >= 3 else 0
        above = layers[: number + 1] if number < 3 else layers[: depth + 2]
        name = layers[number + 1] if number < 3 else f"root-{number}"
        below.append(dataclasses.replace(root, id=name, parent=above[-1], ancestors=above))

    def work(tx: Transaction) -> None:
        for agent in below:
            assert agent.state is AgentState.KILLED
            tx.agents.insert(agent)

    await one.store.write(work)


async def confirm(one: Desk) -> None:
    """Let every manager do and confirm what there is."""
    for manager in MANAGERS:
        while waiting := await one.manager.purges.waiting_for(manager, 1000):
            for purge in waiting:
                await one.manager.purges.confirm(
                    manager, purge.tenant, purge.agent, purge.number, {"rows": 1}
                )


async def test_no_transaction_of_the_purge_of_a_large_tree_changes_many_rows(
    url: str, tmp_path: Path
) -> None:
    async with migrated(url, sql.MIGRATIONS, schema="access") as database:
        counted = CountedDatabase(database)
        store = sql.SqlStore(cast("Database", counted), SEAL_KEYS)
        settings = PurgeSettings(managers=MANAGERS, settle=timedelta(seconds=60))
        one = await asyncio.to_thread(desk, store, tmp_path, purging=settings)
        await one.register("critic")
        await plant(one)
        counted.rows.clear()

        await one.manager.purges.purge(ADMIN, "root", "asked for", NEW)
        for _ in range(2):
            await one.manager.purges.step()
            await confirm(one)
            await one.manager.purges.step()
            one.clock.advance(61)
        await one.manager.purges.step()

        left, _ = await one.manager.agents.page(ADMIN, "", 10, "")
        assert [(agent.tenant, agent.id) for agent in left] == [(TENANT, "critic")]
        assert one.meter.counts["purged"] == AGENTS
        assert max(counted.rows) <= MOST_ROWS
        assert len(counted.rows) <= 12 * AGENTS
