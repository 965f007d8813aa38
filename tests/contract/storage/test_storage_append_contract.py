"""Appending on every index: it costs what it adds, and the file is what was written to it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.db import Database
from services.chassis.rpc.errors import DataCorrupt, IdempotencyMismatch
from services.chassis.runtime.clock import SystemClock
from services.storage.core.history import Target
from services.storage.core.search import Search
from services.storage.model import Piece, SearchMode
from services.storage.ports import FileIndex, Transaction
from services.storage.service import appending
from services.storage.service.files import NewFile
from services.storage.store.directory import DirectoryBlobs
from services.storage.store.sql import MIGRATIONS, SqlIndex
from services.storage.store.tables import METADATA
from tests.fakes.databases import migrated
from tests.fakes.storage import CRITIC, PLANNER, Kernel, call, storage_limits
from tests.fakes.stores.storage import MemoryBlobs

LIMITS = storage_limits(files=100, size=50_000_000, versions=5)
BIG = b"0123456789abcdef" * 131_072  # 2 MiB
LINE = b"one line\n"


class CountingBlobs(MemoryBlobs):
    """Blobs in RAM that count the bytes put and got."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def put(self, scope: Scope, digest: str, data: bytes) -> None:
        self.moved += len(data)
        super().put(scope, digest, data)

    def get(self, scope: Scope, digest: str) -> bytes:
        data = super().get(scope, digest)
        self.moved += len(data)
        return data

    def damage(self, digest: str) -> None:
        """Flip a bit."""
        for key, (data, at) in self._blobs.items():
            if key[1] == digest:
                self._blobs[key] = (bytes([data[0] ^ 1]) + data[1:], at)


@pytest.fixture
def blobs() -> CountingBlobs:
    return CountingBlobs()


@pytest.fixture
def kernel(any_index: FileIndex, blobs: CountingBlobs) -> Kernel:
    return Kernel(index=any_index, blobs=blobs, limits=LIMITS)


async def append(kernel: Kernel, data: bytes, path: str = "log", request_id: str = "") -> str:
    written = await kernel.service.files.write(call(request_id=request_id), NewFile(path, data, append=True))
    return written.node.etag


async def read(kernel: Kernel, path: str = "log", scope: Scope = PLANNER, **options: int) -> bytes:
    offset, length = options.get("offset", 0), options.get("length", 0)
    opened = await kernel.service.reading.open(scope, path, version=options.get("version", 0), offset=offset)
    stream = kernel.service.reading.stream(scope, opened, offset=offset, length=length)
    return b"".join([part async for part in stream])


async def pieces(kernel: Kernel, path: str = "log") -> tuple[Piece, ...]:
    opened = await kernel.service.reading.open(PLANNER, path, version=0, offset=0)
    return opened.content.pieces


async def test_an_append_moves_no_byte_of_the_blobs_that_the_file_has(
    kernel: Kernel, blobs: CountingBlobs
) -> None:
    await kernel.service.files.write(call(), NewFile("log", BIG))
    blobs.moved = 0
    etags = [await append(kernel, LINE) for _ in range(20)]

    assert blobs.moved == 0
    assert len(set(etags)) == 20
    assert await read(kernel) == BIG + LINE * 20


async def test_many_small_appends_leave_few_pieces_and_move_few_bytes(
    kernel: Kernel, blobs: CountingBlobs
) -> None:
    await kernel.service.files.write(call(), NewFile("log", b"x" * 16_384))
    for _ in range(300):
        await append(kernel, b"y" * 999)

    assert await read(kernel) == b"x" * 16_384 + b"y" * 299_700
    assert len(await pieces(kernel)) < 14
    # Put, and read again to be joined: a few times each byte, not once more with every append.
    assert blobs.moved < 299_700 * 16


async def test_ranges_and_versions_of_an_appended_file_are_the_bytes_of_then(kernel: Kernel) -> None:
    whole = BIG
    await kernel.service.files.write(call(), NewFile("log", whole))
    for size in (1, 20_000, 3, 2_000_000):
        part = bytes([size % 251]) * size
        whole += part
        await append(kernel, part)

    assert await read(kernel, offset=len(BIG) - 3, length=20_010) == whole[len(BIG) - 3 :][:20_010]
    assert await read(kernel, version=2) == whole[: len(BIG) + 1]
    assert await read(kernel, version=1) == BIG
    assert await read(kernel) == whole


async def test_an_old_version_comes_back_and_grows_another_way(kernel: Kernel) -> None:
    await kernel.service.files.write(call(), NewFile("log", BIG))
    await append(kernel, b"left")
    await append(kernel, b"over")
    await kernel.service.reading.roll_back(call(), "log", Target(number=2), etag="")
    await append(kernel, b"right")
    await append(kernel, b"")

    assert await read(kernel) == BIG + b"leftright"
    assert await read(kernel, version=3) == BIG + b"leftover"


async def test_copies_of_an_appended_file_go_on_by_themselves(kernel: Kernel) -> None:
    await kernel.service.files.write(call(), NewFile("log", BIG))
    await append(kernel, LINE)
    for scope in (PLANNER, CRITIC):
        await kernel.service.files.copy(
            call(scope), (PLANNER, "log"), "copy", version=0, overwrite=False, etag=""
        )
        await kernel.service.files.write(call(scope), NewFile("copy", b"mine", append=True))
        assert await read(kernel, "copy", scope) == BIG + LINE + b"mine"
    assert await read(kernel) == BIG + LINE


async def test_the_quota_counts_bytes_that_versions_share_once(kernel: Kernel) -> None:
    await kernel.service.files.write(call(), NewFile("log", BIG))
    for _ in range(7):
        await append(kernel, LINE)
    grown, _ = await kernel.service.files.usage(PLANNER)
    await kernel.service.files.write(call(), NewFile("log", b"short"))
    cut, _ = await kernel.service.files.usage(PLANNER)
    await kernel.service.files.delete(call(), "log", etag="", recursive=False, missing_ok=False, purge=True)
    gone, _ = await kernel.service.files.usage(PLANNER)

    assert (grown.live, grown.history) == (len(BIG) + 7 * len(LINE), 0)
    assert (cut.live, cut.history) == (5, len(BIG) + 7 * len(LINE))
    assert gone.used == 0


async def test_maintenance_keeps_every_piece_that_a_version_needs_and_no_other(
    kernel: Kernel, blobs: CountingBlobs
) -> None:
    kernel.service.upkeep._blob_rest = timedelta(0)
    await kernel.service.files.write(call(), NewFile("log", BIG))
    whole = BIG
    for number in range(12):
        part = bytes([number]) * 30_000
        whole += part
        await append(kernel, part)
    await kernel.service.upkeep.sweep()

    assert await read(kernel) == whole
    assert await read(kernel, version=9) == whole[: len(BIG) + 8 * 30_000]
    await kernel.service.files.delete(call(), "log", etag="", recursive=False, missing_ok=False, purge=True)
    await kernel.service.upkeep.sweep()
    assert blobs.idle(PLANNER, seconds=0, limit=100) == []


@pytest.mark.parametrize("which", [0, 1, 2, 3])
async def test_a_flipped_bit_in_any_piece_is_found(kernel: Kernel, blobs: CountingBlobs, which: int) -> None:
    await kernel.service.files.write(call(), NewFile("log", BIG))
    await append(kernel, b"a" * 200_000)
    await append(kernel, b"b" * 60_000)
    found = await pieces(kernel)
    assert len(found) == 4
    blobs.damage(found[which].digest)

    with pytest.raises(DataCorrupt):
        await read(kernel)


async def test_a_repeated_append_is_made_once(kernel: Kernel) -> None:
    await kernel.service.files.write(call(), NewFile("log", BIG))
    first = await append(kernel, LINE, request_id="r1")
    await append(kernel, b"other", request_id="r2")
    again = await append(kernel, LINE, request_id="r1")

    assert again == first
    assert await read(kernel) == BIG + LINE + b"other"
    with pytest.raises(IdempotencyMismatch):
        await append(kernel, b"different", request_id="r1")


async def test_appends_at_once_are_all_there_each_whole(kernel: Kernel, any_index: FileIndex) -> None:
    other = Kernel(index=any_index, blobs=kernel.blobs, limits=LIMITS, new_id=lambda: "other")
    await kernel.service.files.write(call(), NewFile("log", BIG))
    lines = [f"line {number} ".encode() for number in range(12)]
    await asyncio.gather(*(append((kernel, other)[i % 2], line) for i, line in enumerate(lines)))

    added = (await read(kernel))[len(BIG) :]
    assert sorted(added.split(b"line ")[1:]) == sorted(line.removeprefix(b"line ") for line in lines)


async def found(kernel: Kernel, query: str) -> list[str]:
    search = Search("", query, SearchMode.LEXICAL)
    hits = await kernel.service.search.search(call(), search, shared=False, skip=0, limit=10)
    return [hit.node.path for hit in hits]


async def test_search_knows_the_appended_words_at_once(kernel: Kernel) -> None:
    await kernel.service.files.write(call(), NewFile("log", b"word " * 5_000))
    await append(kernel, b"zephyr ")
    assert await found(kernel, "zephyr") == ["log"]


async def test_a_text_whose_last_character_arrives_in_two_appends_is_found(kernel: Kernel) -> None:
    await kernel.service.files.write(call(), NewFile("log", b"word " * 5_000))
    letter = "é".encode()
    await append(kernel, b"caf" + letter[:1])
    assert await found(kernel, "word") == []
    await append(kernel, letter[1:] + b" zephyr")

    assert await found(kernel, "café") == ["log"]
    assert await found(kernel, "word") == ["log"]
    await append(kernel, b"\xff")
    assert await found(kernel, "word") == []


async def test_appending_to_a_long_text_leaves_its_entry_in_search_as_it_is(
    kernel: Kernel, blobs: CountingBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kernel.service.files.write(call(), NewFile("log", b"word " * 300_000))
    monkeypatch.setattr(appending, "index_text", lambda _: pytest.fail("the text was indexed again"))

    def entry(tx: Transaction) -> object:
        node = tx.node("log")
        return tx.document(node.id) if node else None

    before = await kernel.index.read(PLANNER, entry)
    blobs.moved = 0
    await append(kernel, b"zephyr")

    assert await kernel.index.read(PLANNER, entry) == before
    assert blobs.moved == 0
    assert await found(kernel, "word") == ["log"]


async def test_a_crash_between_piece_and_row_leaves_the_file_as_it_was(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kernel.service.files.write(call(), NewFile("log", BIG))

    async def crash(*_: object) -> None:
        raise ConnectionError("the process died")

    with monkeypatch.context() as broken:
        broken.setattr(kernel.index, "write", crash)
        with pytest.raises(ConnectionError):
            await append(kernel, b"z" * 100_000)
    assert await read(kernel) == BIG
    await append(kernel, b"z" * 100_000)
    assert await read(kernel) == BIG + b"z" * 100_000


@pytest.fixture
async def old_database(tmp_path: Path) -> AsyncIterator[Database]:
    """Yield a database as the version before left it: one big file, and a deleted one."""
    async with migrated(f"sqlite:///{tmp_path}/storage.db", MIGRATIONS) as database:
        kernel = Kernel(
            index=SqlIndex(database, SystemClock()), blobs=DirectoryBlobs(tmp_path / "blobs"), limits=LIMITS
        )
        await kernel.service.files.write(call(), NewFile("log", BIG))
        await kernel.service.files.write(call(), NewFile("gone", b"old"))
        await kernel.service.files.delete(
            call(), "gone", etag="", recursive=False, missing_ok=False, purge=False
        )
        await database.write(_downgrade)
    async with migrated(f"sqlite:///{tmp_path}/storage.db", MIGRATIONS) as database:
        yield database


def _downgrade(conn: sa.Connection) -> None:
    for name in ("links", "vacated_names", "rankings", "quota_usage", "quota_trees"):
        METADATA.tables[name].drop(conn)
    for table in ("nodes", "versions"):
        conn.execute(sa.text(f"DROP INDEX {table}_by_writer"))
    conn.execute(sa.text("ALTER TABLE versions DROP COLUMN shared"))
    for name in ("nodes", "versions", "records"):
        conn.execute(sa.text(f"ALTER TABLE {name} DROP COLUMN untrusted"))
    conn.execute(sa.text("UPDATE alembic_version SET version_num = 'storage_0001'"))


async def test_a_file_of_the_version_before_keeps_its_etag_and_can_be_appended_to(
    old_database: Database, tmp_path: Path
) -> None:
    kernel = Kernel(
        index=SqlIndex(old_database, SystemClock()), blobs=DirectoryBlobs(tmp_path / "blobs"), limits=LIMITS
    )
    node = await kernel.service.files.stat(PLANNER, "log")
    assert node.etag == f"1-1-{node.id[:12]}"
    assert await read(kernel) == BIG
    vacated = await kernel.index.read(PLANNER, lambda tx: tx.vacated(limit=10))
    assert [name.path for name in vacated] == ["gone"], "its shares may still stand"
    await append(kernel, LINE)

    assert await read(kernel) == BIG + LINE
    assert await read(kernel, version=1) == BIG
    vacated = await kernel.index.read(PLANNER, lambda tx: tx.vacated(limit=10))
    assert vacated == [], "the owner's first change ends the shares of what was deleted before"
