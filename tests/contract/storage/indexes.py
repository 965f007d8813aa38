"""What every index of files is tried with: the stores it runs on, and short ways to ask for files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.runtime.clock import SystemClock
from services.storage.model import Totals
from services.storage.ports import FileIndex, Transaction
from services.storage.service.files import NewFile
from services.storage.store.sql import MIGRATIONS, SCHEMA, SqlIndex
from services.storage.store.tables import METADATA
from tests.fakes.databases import migrated
from tests.fakes.storage import PLANNER, Kernel, call
from tests.fakes.stores.storage import MemoryIndex

BIG = bytes(range(256)) * 8192  # 2 MiB: two pieces, kept as blobs


def text_of(path: str, content: str = "hello") -> NewFile:
    return NewFile(path, content.encode())


async def read(kernel: Kernel, path: str, scope: Scope = PLANNER, **options: int) -> bytes:
    offset, length = options.get("offset", 0), options.get("length", 0)
    opened = await kernel.service.reading.open(scope, path, version=options.get("version", 0), offset=offset)
    stream = kernel.service.reading.stream(scope, opened, offset=offset, length=length)
    return b"".join([part async for part in stream])


async def listing(
    kernel: Kernel, directory: str = "", pattern: str = "", *, recursive: bool = True
) -> list[str]:
    found = await kernel.service.files.list_directory(
        PLANNER, directory, recursive=recursive, pattern=pattern, after="", limit=100
    )
    return [node.path for node in found]


async def delete(kernel: Kernel, path: str, **options: bool) -> int:
    deleted = await kernel.service.files.delete(
        call(),
        path,
        etag="",
        recursive=options.get("recursive", False),
        missing_ok=options.get("missing_ok", False),
        purge=options.get("purge", False),
    )
    return deleted.count


async def recount(kernel: Kernel) -> Totals:
    """Add everything up again, the slow way."""

    def work(tx: Transaction) -> Totals:
        live = tx.tree("", after="", limit=1000)
        trashed = [n for root in tx.trashed_roots(before=0, limit=1000) for n in tx.trashed(root.trash_id)]
        newest = sum(node.size for node in live)
        collections = tx.collections(after="", limit=100)
        return Totals(
            live=newest,
            history=tx.version_bytes([node.id for node in live]) - newest,
            trash=tx.version_bytes([node.id for node in trashed]),
            uploads=tx.totals().uploads,
            records=sum(r.size for c in collections for r in tx.records(c.name, after="", limit=1000)),
            nodes=len(live),
        )

    return await kernel.index.read(PLANNER, work)


class OnStore:
    """Tests of `kernel`, on the store that a subclass supplies as `index`."""

    @pytest.fixture
    def kernel(self, index: FileIndex) -> Kernel:
        return Kernel(index=index)


class OnMemory(OnStore):
    """The index in RAM."""

    @pytest.fixture
    def index(self) -> FileIndex:
        return MemoryIndex()


class OnSqlite(OnStore):
    """The index in a SQLite file."""

    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[FileIndex]:
        async with migrated(f"sqlite:///{tmp_path}/storage.db", MIGRATIONS) as database:
            yield SqlIndex(database, SystemClock())


class OnPostgres(OnStore):
    """The index in PostgreSQL: one database for all tests of a process, emptied before each."""

    @pytest.fixture
    async def index(self, one_postgres_url: str) -> AsyncIterator[FileIndex]:
        async with migrated(one_postgres_url, MIGRATIONS, schema=SCHEMA) as database:
            await database.write(empty)
            yield SqlIndex(database, SystemClock())


def empty(conn: sa.Connection) -> None:
    """Delete every row."""
    for table in METADATA.sorted_tables:
        conn.execute(sa.delete(table))
