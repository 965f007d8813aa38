"""Databases for tests of stores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.chassis.db import Database, open_database


@asynccontextmanager
async def migrated(url: str, migrations: Path, *, schema: str = "") -> AsyncIterator[Database]:
    """Open a database, bring it to its newest form, close it at the end; `schema` is for PostgreSQL."""
    database = open_database(url, schema=schema, migrations=migrations)
    await database.migrate()
    try:
        yield database
    finally:
        await database.close()
