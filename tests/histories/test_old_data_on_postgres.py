"""What a release stored is brought forward on PostgreSQL as it is on SQLite: the same rows, the same sums."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from services.chassis.db import Database, open_database
from services.chassis.db.usage import TREES, USAGE
from tests.histories.restore import RELEASES, restore
from tests.histories.test_old_data import MIGRATIONS

Rows = dict[str, list[dict[str, Any]]]
VERSION: Final = "alembic_version"
ENGINES: Final = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))


def up_to(revision: str, migrations: Path, folder: Path) -> Path:
    """Return a folder with the migrations that a release had."""
    folder.mkdir()
    newest = revision.rpartition("_")[2]
    for file in migrations.glob("*.py"):
        if file.name.partition("_")[0] <= newest:
            shutil.copy(file, folder)
    return folder


def tables(conn: sa.Connection, schema: str) -> Iterator[sa.Table]:
    """Return the tables as the database itself describes them; those of a search index are its own."""
    where = None if conn.dialect.name == "sqlite" else schema
    for name in sorted(sa.inspect(conn).get_table_names(schema=where)):
        if "fts" not in name and name != VERSION:
            yield sa.Table(name, sa.MetaData(), autoload_with=conn, schema=where)


def inserted(conn: sa.Connection, schema: str, rows: Rows) -> None:
    """Put rows into the tables that have their names, as values of this engine."""
    for table in tables(conn, schema):
        flags = [column.name for column in table.columns if isinstance(column.type, sa.Boolean)]
        if found := rows.get(table.name):
            values = [{**row, **{name: bool(row[name]) for name in flags}} for row in found]
            conn.execute(sa.delete(table))  # what migrations put there, the release's own is in its rows
            conn.execute(sa.insert(table), values)


def read(conn: sa.Connection, schema: str) -> Rows:
    """Read every table."""
    return {
        table.name: [dict(row) for row in conn.execute(sa.select(table)).mappings()]
        for table in tables(conn, schema)
    }


@asynccontextmanager
async def at(url: str, service: str, migrations: Path | None) -> AsyncIterator[Database]:
    """Open a database, bring it to where these migrations end, and close it."""
    database = open_database(url, schema=service, migrations=migrations)
    try:
        if migrations is not None:
            await database.migrate()
        yield database
    finally:
        await database.close()


def revision_of(conn: sa.Connection) -> str:
    """Return the revision of a SQLite database."""
    return str(conn.execute(sa.select(sa.column("version_num")).select_from(sa.table(VERSION))).scalar_one())


@pytest.mark.torture
@pytest.mark.postgres
@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
@pytest.mark.parametrize("service", MIGRATIONS)
async def test_rows_of_a_release_come_to_the_same_on_postgres_as_on_sqlite(
    release: Path, service: str, tmp_path: Path, postgres_url: str
) -> None:
    file = next(file for file in restore(release, tmp_path / "data") if file.stem == service)
    async with at(f"sqlite:///{file}", service, None) as old:
        stored = await old.read(lambda conn: read(conn, ""))
        then = up_to(await old.read(revision_of), MIGRATIONS[service], tmp_path / "then")

    async with at(postgres_url, service, then) as before:
        await before.write(lambda conn: inserted(conn, service, stored))
    async with at(postgres_url, service, MIGRATIONS[service]) as after:
        found = await after.read(lambda conn: read(conn, service))
    async with at(f"sqlite:///{file}", service, MIGRATIONS[service]) as same:
        expected = await same.read(lambda conn: read(conn, ""))

    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert told(found[name], rows) == told(rows, found[name]), name


def told(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[str]:
    """Return rows as texts, without what only one engine keeps for its index of words."""
    shared = {*others[0]} if others else set()
    return sorted(
        repr(sorted((name, value) for name, value in row.items() if name in shared)) for row in rows
    )


@pytest.mark.parametrize("engine", ENGINES)
async def test_calls_that_were_kept_before_their_bytes_were_counted_are_counted(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = (
        request.getfixturevalue("postgres_url")
        if engine == "postgres"
        else f"sqlite:///{tmp_path / 'tool.db'}"
    )
    calls = [
        {"tenant": tenant, "agent": agent, "call": f"c{number}", "tool": "send", "state": "succeeded"}
        | {
            "created_us": number,
            "ended_us": number,
            "body": b"b" * number,
            "whole": b"w" * 1000 if number % 2 else None,
        }
        for tenant, agent in (("acme", "planner"), ("acme", "critic"), ("other", "planner"))
        for number in range(1, 5)
    ]
    tree = {"tenant": "acme", "agent": "critic", "tree": "planner"}

    async with at(url, "tool", up_to("0003", MIGRATIONS["tool"], tmp_path / "then")) as before:
        await before.write(lambda conn: inserted(conn, "tool", {"calls": calls, TREES: [tree]}))
    async with at(url, "tool", MIGRATIONS["tool"]) as after:
        found = await after.read(lambda conn: read(conn, "tool"))

    used = {
        (row["tenant"], row["level"], row["subject"]): row["used"]
        for row in found[USAGE]
        if row["quota"] == "call_bytes"
    }
    assert sorted(row["bytes"] for row in found["calls"]) == sorted([2, 4, 1001, 1003] * 3)
    assert used == {
        ("acme", "agent", "planner"): 2010,
        ("acme", "agent", "critic"): 2010,
        ("acme", "tree", "planner"): 4020,
        ("acme", "tenant", ""): 4020,
        ("other", "agent", "planner"): 2010,
        ("other", "tree", "planner"): 2010,
        ("other", "tenant", ""): 2010,
    }
