"""Every index that storage can run on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

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
    url = request.getfixturevalue("lent_postgres_url") if postgres else f"sqlite:///{tmp_path}/storage.db"
    async with migrated(url, MIGRATIONS, schema=SCHEMA if postgres else "") as database:
        yield SqlIndex(database, SystemClock())


@pytest.fixture(scope="session")
def one_postgres_url(postgres_server: Any) -> str:
    """Create a database for all tests of the contracts."""
    postgres_server.psql("CREATE DATABASE storage_contract")
    return str(postgres_server.get_uri()).replace("/postgres?", "/storage_contract?")
