"""What every release stored is served: its databases are brought forward, and nothing is lost."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

import aios
from services.access.store import sql as access
from services.chassis.db import open_database
from services.context.store import sql as context
from services.memory.store import sql as memory
from services.storage.store import sql as storage
from services.tool.store import sql as tool
from tests.histories.restore import RELEASES, restore
from tests.histories.scenario import read
from tests.system.cluster import cluster

MIGRATIONS: Final = {
    "access": access.MIGRATIONS,
    "context": context.MIGRATIONS,
    "memory": memory.MIGRATIONS,
    "storage": storage.MIGRATIONS,
    "tool": tool.MIGRATIONS,
}


def shape(file: Path) -> set[tuple[str, str]]:
    """Return the columns of every table of a database."""
    with closing(sqlite3.connect(file)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            (table, row[1]) for table in tables for row in connection.execute(f'PRAGMA table_info("{table}")')
        }


def counts(file: Path) -> dict[str, int]:
    """Return how many rows each table has; those of a search index are its own."""
    with closing(sqlite3.connect(file)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - names of tables
            for name in names
            if "fts" not in name and name != "alembic_version"
        }


async def migrate(file: Path, service: str) -> None:
    """Bring a database to its newest form."""
    database = open_database(f"sqlite:///{file}", schema=service, migrations=MIGRATIONS[service])
    await database.migrate()
    await database.close()


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
@pytest.mark.parametrize("service", MIGRATIONS)
async def test_a_database_of_a_release_is_brought_to_the_form_of_a_new_one_and_keeps_its_rows(
    release: Path, service: str, tmp_path: Path
) -> None:
    old = next(file for file in restore(release, tmp_path / "data") if file.stem == service)
    before = counts(old)

    await migrate(old, service)
    await migrate(tmp_path / "new.db", service)

    assert shape(old) == shape(tmp_path / "new.db")
    after = counts(old)
    assert {table: after.get(table) for table in before} == before


@pytest.mark.torture
@pytest.mark.timeout(120)
@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
async def test_a_kernel_started_on_the_data_of_a_release_serves_all_of_it(release: Path) -> None:
    expected = json.loads((release / "expected.json").read_text())

    async with (
        cluster(data=lambda folder: restore(release, folder)) as kernel,
        kernel.admin() as admin,
        aios.connect(kernel.plan.gateway, agent_key=expected["key"]) as amy,
    ):
        found = await read(admin, amy)

    assert plain(found) == expected["reads"]


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return json.loads(json.dumps(value))
