"""Every index that storage can run on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.chassis.runtime.clock import SystemClock
from services.storage.ports import FileIndex
from services.storage.store.sql import MIGRATIONS, SCHEMA, SqlIndex
from tests.fakes.databases import migrated
from tests.fakes.stores.storage import MemoryIndex


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def any_index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FileIndex]:
    """Yield an empty index: in RAM, in SQLite, in PostgreSQL."""
    if request.param == "memory":
        yield MemoryIndex()
        return
    postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres_url") if postgres else f"sqlite:///{tmp_path}/storage.db"
    async with migrated(url, MIGRATIONS, schema=SCHEMA if postgres else "") as database:
        yield SqlIndex(database, SystemClock())
