"""Every test of this folder runs on every store: in memory, on SQLite, on PostgreSQL.

A test that takes `database` runs on the SQL ones alone.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.access.ports.store import Store
from services.access.store.sql import MIGRATIONS, SqlStore
from services.chassis.db import Database
from tests.fakes.access_manager import Desk, desk
from tests.fakes.databases import migrated
from tests.fakes.seal_keys import SEAL_KEYS
from tests.fakes.stores.access import MemoryStore

MEMORY = "memory"
SQL = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the adapters of a test."""
    if "adapter" in metafunc.fixturenames:
        only_sql = "database" in metafunc.function.__code__.co_varnames
        metafunc.parametrize("adapter", SQL if only_sql else [MEMORY, *SQL])


@pytest.fixture
def url(adapter: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database; empty for the store in memory."""
    if adapter == "postgres":
        return str(request.getfixturevalue("lent_postgres_url"))
    return f"sqlite:///{tmp_path}/access.db" if adapter == "sqlite" else ""


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database | None]:
    """Open and migrate the database; None for the store in memory."""
    if not url:
        yield None
        return
    async with migrated(url, MIGRATIONS, schema="access") as opened:
        yield opened


@pytest.fixture
def store(database: Database | None) -> Store:
    """Return an empty store."""
    return SqlStore(database, SEAL_KEYS) if database else MemoryStore()


@pytest.fixture(name="desk")
async def _desk(store: Store, tmp_path: Path) -> Desk:
    return await asyncio.to_thread(desk, store, tmp_path)
