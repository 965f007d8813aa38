"""What every index of files shows the use cases, whichever store is behind it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import IdempotencyMismatch, InvalidRequest
from services.chassis.runtime.clock import SystemClock
from services.storage.core.filters import Filter, Operator
from services.storage.core.history import Target
from services.storage.core.rows import Question, Row
from services.storage.core.search import Search
from services.storage.core.uploading import Begin
from services.storage.errors import (
    AlreadyExists,
    ChecksumMismatch,
    DirectoryNotEmpty,
    EtagMismatch,
    FileNotFound,
    OffsetMismatch,
    PathInvalid,
    QueryInvalid,
    QuotaExceeded,
    RecordNotFound,
    UploadIncomplete,
    UploadNotFound,
    WrongFileKind,
)
from services.storage.model import Attributes, Kind, Mode, Node, SearchMode, StorageLimits, Totals
from services.storage.ports import FileIndex, Transaction
from services.storage.service.files import NewFile
from services.storage.store.sql import MIGRATIONS, SCHEMA, SqlIndex
from services.storage.store.tables import METADATA
from tests.fakes.databases import migrated
from tests.fakes.storage import CRITIC, PLANNER, STRANGER, Kernel, call
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


class IndexContract:
    """Behaviour every FileIndex must show under the use cases; subclasses supply `index`."""

    @pytest.fixture
    def kernel(self, index: FileIndex) -> Kernel:
        return Kernel(index=index)

    async def test_what_was_written_is_read(self, kernel: Kernel) -> None:
        written = await kernel.service.files.write(call(), text_of("notes/a.txt"))

        assert written.created
        assert written.node.version == 1
        assert written.node.label.media_type == "text/plain"
        assert await read(kernel, "notes/a.txt") == b"hello"
        assert (await kernel.service.files.stat(PLANNER, "notes")).kind is Kind.DIRECTORY

    @pytest.mark.parametrize("data", [b"", b"\0\xff binary", BIG, BIG + b"tail"])
    async def test_any_bytes_come_back_as_they_were(self, kernel: Kernel, data: bytes) -> None:
        await kernel.service.files.write(call(), NewFile("x", data))

        assert await read(kernel, "x") == data
        assert await read(kernel, "x", offset=min(3, len(data)), length=5) == data[3:8]

    async def test_a_file_is_invisible_to_another_agent_and_another_tenant(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), text_of("secret", "canary"))

        for other in (CRITIC, STRANGER):
            with pytest.raises(FileNotFound):
                await kernel.service.files.stat(other, "secret")
            found = await kernel.service.search.search(
                call(other), Search("", "canary", SearchMode.HYBRID), shared=False, skip=0, limit=10
            )
            assert found == []

    async def test_every_write_is_a_version_and_the_oldest_are_dropped(self, kernel: Kernel) -> None:
        for number in range(1, 8):
            await kernel.service.files.write(call(), text_of("a", f"text {number}"))

        _, versions = await kernel.service.reading.versions(PLANNER, "a", before=0, limit=10)
        assert [version.number for version in versions] == [7, 6, 5, 4, 3]
        assert await read(kernel, "a", version=3) == b"text 3"
        with pytest.raises(FileNotFound):
            await read(kernel, "a", version=2)

    async def test_a_stale_etag_is_refused(self, kernel: Kernel) -> None:
        first = await kernel.service.files.write(call(), text_of("a", "one"))
        await kernel.service.files.write(call(), text_of("a", "two"))

        with pytest.raises(EtagMismatch) as refused:
            await kernel.service.files.write(call(), replace(text_of("a", "three"), etag=first.node.etag))
        assert refused.value.metadata["current_etag"] != first.node.etag
        assert await read(kernel, "a") == b"two"

    async def test_only_one_of_many_writers_with_the_same_etag_wins(self, kernel: Kernel) -> None:
        first = await kernel.service.files.write(call(), text_of("a", "start"))
        attempts = [replace(text_of("a", f"writer {i}"), etag=first.node.etag) for i in range(6)]

        outcomes = await asyncio.gather(
            *(kernel.service.files.write(call(), each) for each in attempts), return_exceptions=True
        )

        assert sum(isinstance(outcome, EtagMismatch) for outcome in outcomes) == 5

    async def test_modes_say_what_to_do_about_a_file_that_exists_or_not(self, kernel: Kernel) -> None:
        with pytest.raises(FileNotFound):
            await kernel.service.files.write(call(), replace(text_of("a"), mode=Mode.REPLACE))
        with pytest.raises(FileNotFound):
            await kernel.service.files.write(call(), replace(text_of("a"), etag="1-1-x"))
        await kernel.service.files.write(call(), replace(text_of("a"), mode=Mode.CREATE))

        with pytest.raises(AlreadyExists):
            await kernel.service.files.write(call(), replace(text_of("a"), mode=Mode.CREATE))

    async def test_a_wrong_checksum_writes_nothing(self, kernel: Kernel) -> None:
        with pytest.raises(ChecksumMismatch):
            await kernel.service.files.write(call(), replace(text_of("a"), sha256="0" * 64))

        with pytest.raises(FileNotFound):
            await kernel.service.files.stat(PLANNER, "a")

    async def test_a_repeated_request_gets_the_first_answer_and_writes_once(self, kernel: Kernel) -> None:
        first = await kernel.service.files.write(call(request_id="r1"), text_of("a"))
        again = await kernel.service.files.write(call(request_id="r1"), text_of("a"))

        assert again == first
        assert kernel.meter.counts["repeated"] == 1
        with pytest.raises(IdempotencyMismatch):
            await kernel.service.files.write(call(request_id="r1"), text_of("a", "other"))

    async def test_appends_arrive_once_each_in_any_order(self, kernel: Kernel) -> None:
        lines = [replace(text_of("log", f"line {i}\n"), append=True) for i in range(12)]

        await asyncio.gather(
            *(kernel.service.files.write(call(request_id=f"r{i}"), line) for i, line in enumerate(lines))
        )
        await kernel.service.files.write(call(request_id="r3"), lines[3])

        content = await read(kernel, "log")
        assert sorted(content.decode().splitlines()) == sorted(f"line {i}" for i in range(12))

    async def test_appending_grows_over_pieces(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), NewFile("x", BIG[:-7]))
        await kernel.service.files.write(call(), NewFile("x", b"tail" * 10, append=True))

        assert await read(kernel, "x") == BIG[:-7] + b"tail" * 10

    async def test_a_path_through_a_file_is_refused(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), text_of("a"))

        with pytest.raises(WrongFileKind):
            await kernel.service.files.write(call(), text_of("a/b"))
        with pytest.raises(WrongFileKind):
            await kernel.service.files.make_directory(call(), "a", allow_existing=True)

    async def test_a_directory_is_made_with_those_above_it(self, kernel: Kernel) -> None:
        await kernel.service.files.make_directory(call(), "a/b/c", allow_existing=False)

        assert await listing(kernel) == ["a", "a/b", "a/b/c"]
        assert await listing(kernel, recursive=False) == ["a"]
        with pytest.raises(AlreadyExists):
            await kernel.service.files.make_directory(call(), "a/b", allow_existing=False)

    async def test_lists_are_in_byte_order_and_continue_where_they_stopped(self, kernel: Kernel) -> None:
        for path in ("b", "a/z", "a", "B", "ä", "a-", "a0"):
            if path != "a":
                await kernel.service.files.write(call(), text_of(path))
        everything = await listing(kernel)

        assert everything == sorted(everything)
        pages = []
        position = ""
        while batch := await kernel.service.files.list_directory(
            PLANNER, "", recursive=True, pattern="", after=position, limit=2
        ):
            pages += [node.path for node in batch]
            position = batch[-1].path
        assert pages == everything

    async def test_a_pattern_selects_by_path(self, kernel: Kernel) -> None:
        for path in ("a/one.md", "a/two.txt", "a/b/three.md", "four.md"):
            await kernel.service.files.write(call(), text_of(path))

        assert await listing(kernel, pattern="**.md") == ["a/b/three.md", "a/one.md", "four.md"]
        assert await listing(kernel, "a", pattern="*.md") == ["a/one.md"]

    async def test_a_directory_moves_with_all_it_holds_and_its_history(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), text_of("a/b/x", "one"))
        await kernel.service.files.write(call(), text_of("a/b/x", "two"))
        moved = await kernel.service.files.move(call(), "a/b", "c/d", etag="", overwrite=False)

        assert moved.path == "c/d"
        assert await listing(kernel) == ["a", "c", "c/d", "c/d/x"]
        assert await read(kernel, "c/d/x", version=1) == b"one"

    async def test_a_directory_cannot_move_into_itself(self, kernel: Kernel) -> None:
        await kernel.service.files.make_directory(call(), "a", allow_existing=False)

        with pytest.raises(PathInvalid):
            await kernel.service.files.move(call(), "a", "a/b", etag="", overwrite=False)

    async def test_moving_onto_a_file_needs_overwrite_and_keeps_the_old_in_the_trash(
        self, kernel: Kernel
    ) -> None:
        await kernel.service.files.write(call(), text_of("a", "new"))
        await kernel.service.files.write(call(), text_of("b", "old"))
        with pytest.raises(AlreadyExists):
            await kernel.service.files.move(call(), "a", "b", etag="", overwrite=False)

        await kernel.service.files.move(call(), "a", "b", etag="", overwrite=True)

        assert await read(kernel, "b") == b"new"
        trash = await kernel.service.files.list_trash(PLANNER, before=0, limit=10)
        assert [node.path for node in trash] == ["b"]

    async def test_a_copy_shares_no_fate_with_its_source(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), NewFile("d/x", BIG))
        await kernel.service.files.write(call(), text_of("d/y", "searchable"))
        copy = await kernel.service.files.copy(
            call(), (PLANNER, "d"), "e", version=0, overwrite=False, etag=""
        )
        await delete(kernel, "d", recursive=True, purge=True)

        assert copy.path == "e"
        assert await read(kernel, "e/x") == BIG
        hits = await kernel.service.search.search(
            call(), Search("", "searchable", SearchMode.LEXICAL), shared=False, skip=0, limit=10
        )
        assert [hit.node.path for hit in hits] == ["e/y"]

    async def test_a_copy_from_another_agent_brings_the_bytes(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(CRITIC), NewFile("x", BIG))
        await kernel.service.files.copy(call(), (CRITIC, "x"), "y", version=0, overwrite=False, etag="")

        assert await read(kernel, "y") == BIG
        assert kernel.access.asked == [("storage.read", "agents/critic/files/x")]

    async def test_a_directory_is_deleted_only_when_empty_or_recursively(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), text_of("a/b/x"))
        with pytest.raises(DirectoryNotEmpty):
            await delete(kernel, "a")

        assert await delete(kernel, "a", recursive=True) == 3
        assert await listing(kernel) == []
        with pytest.raises(FileNotFound):
            await delete(kernel, "a")
        assert await delete(kernel, "a", missing_ok=True) == 0

    async def test_the_last_deletion_of_a_name_comes_back_with_its_versions(self, kernel: Kernel) -> None:
        for content in ("one", "two"):
            await kernel.service.files.write(call(), text_of("a/x", content))
            if content == "one":
                await delete(kernel, "a", recursive=True)
        await kernel.service.files.write(call(), text_of("a/x", "three"))
        await delete(kernel, "a", recursive=True)

        await kernel.service.files.restore(call(), "a")

        assert await read(kernel, "a/x") == b"three"
        assert await read(kernel, "a/x", version=1) == b"two"
        with pytest.raises(AlreadyExists):
            await kernel.service.files.restore(call(), "a")
        with pytest.raises(FileNotFound):
            await kernel.service.files.restore(call(), "b")

    async def test_purging_leaves_nothing_in_trash_or_usage(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), text_of("a"))
        await delete(kernel, "a")
        await kernel.service.files.write(call(), text_of("a"))

        assert await delete(kernel, "a", purge=True) == 2
        assert await kernel.service.files.list_trash(PLANNER, before=0, limit=10) == []
        assert (await kernel.service.files.usage(PLANNER))[0] == Totals()

    async def test_a_rollback_writes_the_old_content_as_a_new_version(self, kernel: Kernel) -> None:
        for content in ("one", "two", "three"):
            kernel.clock.advance(60)
            await kernel.service.files.write(call(), text_of("a", content))
        moment = kernel.clock.now() - timedelta(seconds=90)

        by_number = await kernel.service.reading.roll_back(call(), "a", Target(number=2), etag="")
        assert (by_number.version, await read(kernel, "a")) == (4, b"two")
        await kernel.service.reading.roll_back(call(), "a", Target(steps=1), etag="")
        assert await read(kernel, "a") == b"three"
        await kernel.service.reading.roll_back(call(), "a", Target(before=moment), etag="")
        assert await read(kernel, "a") == b"one"
        _, versions = await kernel.service.reading.versions(PLANNER, "a", before=0, limit=1)
        assert versions[0].restored == 1
        with pytest.raises(FileNotFound):
            await kernel.service.reading.roll_back(call(), "a", Target(steps=50), etag="")

    async def test_versions_are_compared_line_by_line(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), text_of("a", "one\ntwo\n"))
        await kernel.service.files.write(call(), text_of("a", "one\n2\n"))

        found = await kernel.service.reading.compare(PLANNER, "a", old=0, new=0, context=3)

        assert (found.old, found.new, found.added, found.removed) == (1, 2, 1, 1)
        assert found.text.splitlines()[2:] == ["@@ -1,2 +1,2 @@", " one", "-two", "+2"]

    async def test_metadata_changes_without_a_version(self, kernel: Kernel) -> None:
        written = await kernel.service.files.write(
            call(), replace(text_of("a"), label=Attributes("text/x-note", {"k": "v", "old": "1"}))
        )
        node = await kernel.service.files.set_attributes(
            call(), "a", Attributes("", {"k": "w"}), ["old"], written.node.etag
        )

        assert (node.label.media_type, dict(node.label.metadata)) == ("text/x-note", {"k": "w"})
        assert node.version == 1
        assert node.etag != written.node.etag

    async def test_the_quota_counts_history_and_is_given_back(self, index: FileIndex) -> None:
        kernel = Kernel(index=index, limits=StorageLimits(bytes=100, nodes=5, versions=2))
        for _ in range(3):
            await kernel.service.files.write(call(), NewFile("a", b"x" * 50))

        with pytest.raises(QuotaExceeded) as refused:
            await kernel.service.files.write(call(), NewFile("b", b"y"))
        assert refused.value.quota is not None
        assert refused.value.quota.subject == "agents/planner"
        await delete(kernel, "a", purge=True)
        await kernel.service.files.write(call(), NewFile("b", b"y" * 100))
        assert kernel.meter.counts["refused bytes"] == 1

    async def test_the_number_of_files_is_limited(self, index: FileIndex) -> None:
        kernel = Kernel(index=index, limits=StorageLimits(bytes=10_000, nodes=2, versions=2))
        await kernel.service.files.write(call(), text_of("a/b"))

        with pytest.raises(QuotaExceeded):
            await kernel.service.files.write(call(), text_of("c"))

    async def test_a_refused_write_leaves_no_blob(self, index: FileIndex) -> None:
        kernel = Kernel(index=index, limits=StorageLimits(bytes=100, nodes=2, versions=2))
        with pytest.raises(QuotaExceeded):
            await kernel.service.files.write(call(), NewFile("x", BIG))

        assert kernel.blobs.idle(PLANNER, seconds=0, limit=10) == []

    async def test_an_upload_becomes_a_file_when_committed(self, kernel: Kernel) -> None:
        begin = Begin("big", 0, Mode.ANY, "", Attributes(), "from far")
        upload = await kernel.service.uploads.begin(call(), begin)
        chunks = [BIG[:1_000_000], b"small", BIG[1_000_000:]]
        offset = 0
        for chunk in chunks:
            upload = await kernel.service.uploads.take(call(), upload.id, offset, chunk, "")
            upload = await kernel.service.uploads.take(call(), upload.id, offset, chunk, "")
            offset += len(chunk)
        with pytest.raises(FileNotFound):
            await kernel.service.files.stat(PLANNER, "big")

        written = await kernel.service.uploads.commit(call(request_id="c"), upload.id, "")
        again = await kernel.service.uploads.commit(call(request_id="c"), upload.id, "")

        assert written == again
        assert await read(kernel, "big") == b"".join(chunks)
        assert await read(kernel, "big", offset=999_990, length=30) == b"".join(chunks)[999_990:1_000_020]
        assert (await kernel.service.files.usage(PLANNER))[0].uploads == 0
        with pytest.raises(UploadNotFound):
            await kernel.service.uploads.get(PLANNER, upload.id)

    async def test_an_upload_refuses_gaps_other_bytes_and_too_few(self, kernel: Kernel) -> None:
        begin = Begin("big", 10, Mode.ANY, "", Attributes(), "")
        upload = await kernel.service.uploads.begin(call(), begin)
        await kernel.service.uploads.take(call(), upload.id, 0, b"12345", "")

        for offset, data in ((3, b"12"), (6, b"12"), (0, b"54321")):
            with pytest.raises(OffsetMismatch) as refused:
                await kernel.service.uploads.take(call(), upload.id, offset, data, "")
            assert refused.value.metadata["expected_offset"] == "5"
        with pytest.raises(InvalidRequest):
            await kernel.service.uploads.take(call(), upload.id, 5, b"1234567", "")
        with pytest.raises(UploadIncomplete):
            await kernel.service.uploads.commit(call(), upload.id, "")
        await kernel.service.uploads.take(call(), upload.id, 5, b"67890", "")
        with pytest.raises(ChecksumMismatch):
            await kernel.service.uploads.commit(call(), upload.id, "0" * 64)

    async def test_an_announced_upload_reserves_its_quota(self, index: FileIndex) -> None:
        kernel = Kernel(index=index, limits=StorageLimits(bytes=100, nodes=5, versions=2))
        begin = Begin("big", 80, Mode.ANY, "", Attributes(), "")
        upload = await kernel.service.uploads.begin(call(), begin)

        with pytest.raises(QuotaExceeded):
            await kernel.service.uploads.begin(call(), replace(begin, path="other"))
        await kernel.service.uploads.abort(call(), upload.id)
        await kernel.service.uploads.abort(call(), upload.id)
        await kernel.service.uploads.begin(call(), begin)

    async def test_search_finds_words_and_forgets_what_is_gone(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), text_of("a/x.md", "The quick brown fox of Zürich"))
        await kernel.service.files.write(call(), text_of("b/y.md", "a lazy dog, a quick dog"))
        await kernel.service.files.write(call(), NewFile("c", b"quick \xff binary"))

        async def found(query: str, directory: str = "", mode: SearchMode = SearchMode.LEXICAL) -> list[str]:
            hits = await kernel.service.search.search(
                call(), Search(directory, query, mode), shared=False, skip=0, limit=10
            )
            return [hit.node.path for hit in hits]

        assert sorted(await found("quick")) == ["a/x.md", "b/y.md"]
        assert await found("zurich FOX") == ["a/x.md"]
        assert await found("quick", "b") == ["b/y.md"]
        assert (await found("lazy quick dog", mode=SearchMode.HYBRID))[0] == "b/y.md"
        assert (await found("the brown foxes", mode=SearchMode.SEMANTIC))[0] == "a/x.md"
        await kernel.service.files.write(call(), text_of("a/x.md", "something else"))
        await delete(kernel, "b", recursive=True)
        assert await found("quick fox dog") == []
        with pytest.raises(QueryInvalid):
            await found("?!")

    async def test_a_hit_shows_the_passage_and_scores_within_bounds(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), text_of("a", "lead " * 100 + "needle in the hay"))
        hits = await kernel.service.search.search(
            call(), Search("", "needle", SearchMode.HYBRID), shared=False, skip=0, limit=10
        )

        assert "needle" in hits[0].excerpt
        assert hits[0].excerpt_offset > 0
        assert all(0 <= score <= 1 for hit in hits for score in (hit.score, hit.lexical, hit.semantic))

    async def test_records_are_found_by_key_filter_text_and_vector(self, kernel: Kernel) -> None:
        rows = [
            Row(f"k{i}", f'{{"n": {i}, "tags": ["t{i % 2}"], "who": {{"name": "w{i}"}}}}', text)
            for i, text in enumerate(["red apple", "green apple pie", "blue sky"])
        ]
        put = await kernel.service.records.put(call(), "fruit", rows, Mode.ANY)
        service = kernel.service.records

        async def found(question: Question) -> list[str]:
            hits = await service.query(PLANNER, "fruit", question, after="", skip=0, limit=10)
            return [hit.record.key for hit in hits]

        assert (put.created, len(put.etags)) == (3, 3)
        assert await found(Question()) == ["k0", "k1", "k2"]
        assert await found(Question(keys=("k2", "k9", "k0"))) == ["k0", "k2"]
        assert await found(Question(filters=(Filter("n", Operator.GREATER, 0),))) == ["k1", "k2"]
        assert await found(Question(filters=(Filter("tags", Operator.CONTAINS, "t0"),))) == ["k0", "k2"]
        assert await found(Question(filters=(Filter("who.name", Operator.IN, ["w1"]),))) == ["k1"]
        assert (await found(Question(text="apples", mode=SearchMode.SEMANTIC)))[0] in ("k0", "k1")
        assert await found(Question(text="pie", mode=SearchMode.LEXICAL)) == ["k1"]
        assert await service.delete(call(), "fruit", Question(keys=("k0", "k9")), everything=False) == 1
        assert [c.count for c in await service.collections(PLANNER, after="", limit=10)] == [2]
        assert await service.delete(call(), "fruit", Question(), everything=True) == 2
        assert await service.collections(PLANNER, after="", limit=10) == []

    async def test_records_are_written_all_or_none(self, kernel: Kernel) -> None:
        service = kernel.service.records
        first = await service.put(call(), "c", [Row("a", "{}")], Mode.CREATE)

        with pytest.raises(AlreadyExists):
            await service.put(call(), "c", [Row("b", "{}"), Row("a", "{}")], Mode.CREATE)
        with pytest.raises(RecordNotFound):
            await service.put(call(), "c", [Row("b", "{}")], Mode.REPLACE)
        with pytest.raises(EtagMismatch):
            await service.put(call(), "c", [Row("a", "{}", etag="9-9")], Mode.ANY)
        await service.put(call(), "c", [Row("a", '{"x":1}', etag=first.etags[0])], Mode.ANY)
        with pytest.raises(InvalidRequest):
            await service.put(call(), "c", [Row("z", "{}", vector=b"1234")] * 2, Mode.ANY)
        hits = await service.query(PLANNER, "c", Question(), after="", skip=0, limit=10)
        assert [(hit.record.key, hit.record.fields) for hit in hits] == [("a", '{"x":1}')]

    async def test_a_collection_has_vectors_of_one_length(self, kernel: Kernel) -> None:
        service = kernel.service.records
        await service.put(call(), "v", [Row("a", "{}", vector=b"\0\0\x80?" * 3)], Mode.ANY)

        with pytest.raises(InvalidRequest):
            await service.put(call(), "v", [Row("b", "{}", vector=b"\0\0\x80?" * 4)], Mode.ANY)
        with pytest.raises(QueryInvalid):
            await service.query(PLANNER, "v", Question(vector=b"\0\0\x80?"), after="", skip=0, limit=10)
        hits = await service.query(
            PLANNER, "v", Question(vector=b"\0\0\x80?" * 3), after="", skip=0, limit=10
        )
        assert hits[0].score == pytest.approx(1.0)

    async def test_the_sums_agree_with_what_is_there(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), NewFile("a/x", b"12345"))
        await kernel.service.files.write(call(), NewFile("a/x", b"123"))
        await kernel.service.files.write(call(), NewFile("b", b"1"))
        await kernel.service.files.copy(call(), (PLANNER, "a"), "c", version=0, overwrite=False, etag="")
        await kernel.service.files.move(call(), "b", "c/x", etag="", overwrite=True)
        await delete(kernel, "a", recursive=True)
        await kernel.service.records.put(call(), "r", [Row("k", "{}", "text")], Mode.ANY)
        totals, _ = await kernel.service.files.usage(PLANNER)

        assert totals == await recount(kernel)
        assert totals.used > 0

    async def test_maintenance_removes_what_is_due_and_nothing_else(self, kernel: Kernel) -> None:
        await kernel.service.files.write(call(), NewFile("keep", BIG))
        await kernel.service.files.write(call(), NewFile("gone", BIG + b"x" * 100_000))
        upload = await kernel.service.uploads.begin(call(), Begin("u", 5, Mode.ANY, "", Attributes(), ""))
        await delete(kernel, "gone")
        kernel.clock.advance(31 * 86_400)

        await kernel.service.upkeep.sweep()

        assert await read(kernel, "keep") == BIG
        assert await kernel.service.files.list_trash(PLANNER, before=0, limit=10) == []
        with pytest.raises(UploadNotFound):
            await kernel.service.uploads.get(PLANNER, upload.id)
        assert kernel.meter.counts["collected blobs"] == 1
        assert (await kernel.service.files.usage(PLANNER))[0] == await recount(kernel)

    async def test_a_failing_transaction_changes_nothing(self, index: FileIndex) -> None:
        def work(tx: Transaction) -> None:
            now = SystemClock().now()
            tx.put_nodes([Node("i", "p", Kind.DIRECTORY, now, now)])
            tx.next_sequence()
            raise KeyError("on purpose")

        with pytest.raises(KeyError):
            await index.write(PLANNER, work)

        assert await index.read(PLANNER, lambda tx: (tx.node("p"), tx.last_sequence())) == (None, 0)

    async def test_a_reply_is_recalled_only_by_the_same_request_of_the_same_caller(
        self, index: FileIndex
    ) -> None:
        actor = RequestIdentity("planner", "M", "r1", b"d")
        await index.write(PLANNER, lambda tx: tx.remember(actor, b"answer"))

        assert await index.read(PLANNER, lambda tx: tx.recall(actor)) == b"answer"
        for other in (
            replace(actor, agent="critic"),
            replace(actor, method="N"),
            replace(actor, request_id="r2"),
        ):
            assert await index.read(PLANNER, lambda tx, who=other: tx.recall(who)) is None  # type: ignore[misc]
        assert await index.read(STRANGER, lambda tx: tx.recall(actor)) is None

    async def test_scopes_are_listed_in_pages(self, index: FileIndex) -> None:
        for scope in (STRANGER, PLANNER, CRITIC):
            await index.write(scope, lambda tx: tx.next_sequence())

        first = await index.scopes(after=None, limit=2)
        assert first == [CRITIC, PLANNER]
        assert await index.scopes(after=first[-1], limit=2) == [STRANGER]


class TestInMemory(IndexContract):
    """The index in RAM."""

    @pytest.fixture
    def index(self) -> FileIndex:
        return MemoryIndex()


class TestSqlite(IndexContract):
    """The index in a SQLite file."""

    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[FileIndex]:
        async with migrated(f"sqlite:///{tmp_path}/storage.db", MIGRATIONS) as database:
            yield SqlIndex(database, SystemClock())


@pytest.fixture(scope="module")
def one_postgres_url(postgres_server: Any) -> str:
    """Create a database for all tests of this file."""
    postgres_server.psql("CREATE DATABASE storage_contract")
    return str(postgres_server.get_uri()).replace("/postgres?", "/storage_contract?")


@pytest.mark.postgres
class TestPostgres(IndexContract):
    """The index in PostgreSQL: one database for all tests, emptied before each."""

    @pytest.fixture
    async def index(self, one_postgres_url: str) -> AsyncIterator[FileIndex]:
        async with migrated(one_postgres_url, MIGRATIONS, schema=SCHEMA) as database:
            await database.write(empty)
            yield SqlIndex(database, SystemClock())


def empty(conn: sa.Connection) -> None:
    """Delete every row."""
    for table in METADATA.sorted_tables:
        conn.execute(sa.delete(table))
