"""Databases for tests of stores."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from services.chassis.db import Database, open_database

_SQLITE: Final = "sqlite:///"
_templates: dict[Path, bytes] = {}
"""A new SQLite file by its migrations, made once: hundreds of tests begin with one."""


@asynccontextmanager
async def migrated(url: str, migrations: Path, *, schema: str = "") -> AsyncIterator[Database]:
    """Open a database, bring it to its newest form, close it at the end; `schema` is for PostgreSQL."""
    if url.startswith(_SQLITE):
        await _begin_file(Path(url.removeprefix(_SQLITE)), migrations)
    async with _opened(url, migrations, schema) as database:
        yield database


@asynccontextmanager
async def _opened(url: str, migrations: Path, schema: str) -> AsyncIterator[Database]:
    database = open_database(url, schema=schema, migrations=migrations)
    await database.migrate()
    try:
        if url in _lent:
            _lent.discard(url)
            await database.write(partial(_begin_again, url=url, schema=schema))
        yield database
    finally:
        await database.close()


async def _begin_file(path: Path, migrations: Path) -> None:
    """Put a copy of the template where there is no file yet."""
    if migrations not in _templates:
        with tempfile.TemporaryDirectory(prefix="aios-") as directory:
            template = Path(directory) / "template.db"
            async with _opened(f"{_SQLITE}{template}", migrations, ""):
                pass
            _templates[migrations] = await asyncio.to_thread(template.read_bytes)
    if not await asyncio.to_thread(path.exists):
        await asyncio.to_thread(path.write_bytes, _templates[migrations])


@dataclass(frozen=True)
class _Beginning:
    """The tables of a database, and the rows that migrations leave there."""

    tables: Sequence[str]
    rows: Sequence[tuple[sa.Table, Sequence[Any]]]


_lent: set[str] = set()
_beginnings: dict[str, _Beginning] = {}


def lend(url: str) -> None:
    """Have the next `migrated` of this PostgreSQL database bring it back to how migrations leave it."""
    _lent.add(url)


def _begin_again(conn: sa.Connection, *, url: str, schema: str) -> None:
    conn.execute(sa.text("SET LOCAL lock_timeout = '10s'"))  # what a test left open is an error, not a wait
    if url not in _beginnings:
        _beginnings[url] = _beginning(conn, schema)
        return
    known = _beginnings[url]
    look = " UNION ALL ".join(f"(SELECT '{name}' AS name FROM {name} LIMIT 1)" for name in known.tables)  # noqa: S608 - names that migrations gave
    filled = list(conn.execute(sa.text(look)).scalars())
    if filled:
        conn.execute(sa.text(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE"))
    for table, rows in known.rows:
        conn.execute(sa.insert(table), rows)


def _beginning(conn: sa.Connection, schema: str) -> _Beginning:
    tables = []
    rows = []
    for name in sa.inspect(conn).get_table_names(schema=schema):
        table = sa.Table(name, sa.MetaData(), autoload_with=conn, schema=schema)
        tables.append(f"{schema}.{name}")
        if found := [dict(row) for row in conn.execute(sa.select(table)).mappings()]:
            rows.append((table, found))
    return _Beginning(tables, rows)
