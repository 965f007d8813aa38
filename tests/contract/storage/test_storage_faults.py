"""Lost replies, damaged bytes, blobs that vanish, files purged while they are read."""

import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from services.chassis.auth.identity import Scope
from services.chassis.db import open_database
from services.chassis.rpc.errors import DataCorrupt, ServiceUnavailable
from services.chassis.runtime.clock import SystemClock
from services.storage.core.file_tree import Written
from services.storage.errors import FileNotFound
from services.storage.model import RequestContext
from services.storage.ports import FileIndex, Transaction
from services.storage.service.files import NewFile
from services.storage.store.directory import DirectoryBlobs
from services.storage.store.sql import MIGRATIONS, SCHEMA, SqlIndex
from tests.fakes.databases import migrated
from tests.fakes.storage import PLANNER, Kernel, call
from tests.fakes.stores.storage import MemoryIndex

T = TypeVar("T")
BIG = b"some larger content " * 5000


class LosesReplies:
    """An index whose commits happen while some of its answers are lost."""

    def __init__(self, inner: FileIndex, *, every: float, seed: int = 1) -> None:
        self._inner = inner
        self._every = every
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self.lost = 0

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        result = await self._inner.write(scope, work)
        if self._random.random() < self._every:
            self.lost += 1
            raise ServiceUnavailable("the reply was lost")
        return result

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        return await self._inner.read(scope, work)

    async def last_sequences(self, scopes: Sequence[Scope]) -> dict[Scope, int]:
        return await self._inner.last_sequences(scopes)

    async def scopes(self, *, after: Scope | None, limit: int) -> list[Scope]:
        return await self._inner.scopes(after=after, limit=limit)

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        return await self._inner.purge(scope)

    async def forget_replies(self) -> int:
        return await self._inner.forget_replies()


@pytest.fixture
async def sqlite_index(tmp_path: Path) -> AsyncIterator[FileIndex]:
    async with migrated(f"sqlite:///{tmp_path}/storage.db", MIGRATIONS) as database:
        yield SqlIndex(database, SystemClock())


@pytest.fixture(params=["memory", "sqlite"])
def index(request: pytest.FixtureRequest, sqlite_index: FileIndex) -> FileIndex:
    return MemoryIndex() if request.param == "memory" else sqlite_index


async def until_answered(kernel: Kernel, who: RequestContext, new: NewFile) -> Written:
    while True:
        try:
            return await kernel.service.files.write(who, new)
        except ServiceUnavailable:
            continue


async def whole(kernel: Kernel, path: str) -> bytes:
    opened = await kernel.service.reading.open(PLANNER, path, version=0, offset=0)
    stream = kernel.service.reading.stream(PLANNER, opened, offset=0, length=0)
    return b"".join([part async for part in stream])


@pytest.mark.parametrize("keyed", [True, False])
async def test_lost_replies_double_no_effect_of_a_request_with_an_id(
    index: FileIndex, *, keyed: bool
) -> None:
    """Without an id effects are doubled: the control that shows that replies were lost."""
    losing = LosesReplies(index, every=0.3)
    kernel = Kernel(index=losing)
    for number in range(40):
        who = call(request_id=f"r{number}" if keyed else "")
        await until_answered(kernel, who, NewFile("log", b"x", append=True))

    length = len(await whole(kernel, "log"))
    assert losing.lost > 5
    assert length == 40 if keyed else length > 40


async def test_damaged_bytes_are_reported_and_never_sent(sqlite_index: FileIndex, tmp_path: Path) -> None:
    kernel = Kernel(index=sqlite_index, blobs=DirectoryBlobs(tmp_path / "blobs"))
    await kernel.service.files.write(call(), NewFile("x", BIG))
    damage(tmp_path / "blobs")

    with pytest.raises(DataCorrupt):
        await whole(kernel, "x")
    assert kernel.meter.counts["corrupt"] == 1
    await kernel.service.files.write(call(), NewFile("y", BIG + b"other"))
    assert await whole(kernel, "y") == BIG + b"other"


def damage(directory: Path) -> None:
    """Change the last byte of every blob."""
    for path in directory.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.postgres
async def test_blobs_on_disk_do_not_hold_up_the_loop_of_a_postgres_transaction(
    postgres_url: str, tmp_path: Path
) -> None:
    database = open_database(postgres_url, schema=SCHEMA, migrations=MIGRATIONS)
    await database.migrate()
    kernel = Kernel(index=SqlIndex(database, SystemClock()), blobs=DirectoryBlobs(tmp_path))
    await kernel.service.files.write(call(), NewFile("x", BIG))
    await kernel.service.files.write(call(), NewFile("y", BIG + b"more"))
    await kernel.service.files.delete(call(), "y", etag="", recursive=False, missing_ok=False, purge=True)
    kernel.service.upkeep._blob_rest = timedelta(0)
    await kernel.service.upkeep.sweep()

    assert await whole(kernel, "x") == BIG
    assert kernel.meter.counts["collected blobs"] == 1
    await database.close()


async def test_damage_in_the_database_is_noticed(sqlite_index: FileIndex, tmp_path: Path) -> None:
    kernel = Kernel(index=sqlite_index)
    await kernel.service.files.write(call(), NewFile("x", b"right"))
    with sqlite3.connect(tmp_path / "storage.db") as connection:
        connection.execute("UPDATE pieces SET data = ?", (b"wrong",))
    connection.close()

    with pytest.raises(DataCorrupt):
        await whole(kernel, "x")


async def test_a_file_purged_while_it_is_read_is_gone_not_damaged() -> None:
    kernel = Kernel()
    await kernel.service.files.write(call(), NewFile("x", BIG * 20))
    opened = await kernel.service.reading.open(PLANNER, "x", version=0, offset=0)
    stream = kernel.service.reading.stream(PLANNER, opened, offset=0, length=0)
    await anext(stream)
    await kernel.service.files.delete(call(), "x", etag="", recursive=False, missing_ok=False, purge=True)
    kernel.clock.advance(3600)
    await kernel.service.upkeep.sweep()

    with pytest.raises(FileNotFound):
        [part async for part in stream]


async def test_a_blob_collected_before_it_was_referred_to_is_put_again(index: FileIndex) -> None:
    """The first attempt finds its blob gone, as if maintenance of another process had come between."""
    kernel = Kernel(index=index)
    put = kernel.blobs.put
    attempts = []

    def vanishing(scope: Scope, digest: str, data: bytes) -> None:
        put(scope, digest, data)
        attempts.append(digest)
        if len(attempts) == 1:
            kernel.blobs.remove(scope, digest)

    kernel.blobs.put = vanishing  # type: ignore[method-assign]
    await kernel.service.files.write(call(), NewFile("x", BIG))

    assert len(attempts) == 2
    assert await whole(kernel, "x") == BIG
