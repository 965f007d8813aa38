"""Databases for tests of stores."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

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
