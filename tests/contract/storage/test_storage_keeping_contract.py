"""What every index of files shows besides files: quotas, uploads, search, records, upkeep."""

from dataclasses import replace

import pytest

from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import InvalidRequest, QuotaExceeded
from services.chassis.runtime.clock import SystemClock
from services.storage.core.filters import Filter, Operator
from services.storage.core.rows import Question, Row
from services.storage.core.search import Search
from services.storage.core.uploading import Begin
from services.storage.errors import (
    AlreadyExists,
    ChecksumMismatch,
    EtagMismatch,
    FileNotFound,
    OffsetMismatch,
    QueryInvalid,
    RecordNotFound,
    UploadIncomplete,
    UploadNotFound,
)
from services.storage.model import Attributes, Kind, Mode, Node, SearchMode
from services.storage.ports import FileIndex, Transaction
from services.storage.service.files import NewFile
from tests.contract.storage.indexes import BIG, OnMemory, OnPostgres, OnSqlite, delete, read, recount, text_of
from tests.fakes.storage import CRITIC, PLANNER, STRANGER, Kernel, call, storage_limits


class IndexKeepingContract:
    """Behaviour every FileIndex must show under the use cases, about what is kept with the files."""

    async def test_the_quota_counts_history_and_is_given_back(self, index: FileIndex) -> None:
        kernel = Kernel(index=index, limits=storage_limits(files=5, size=100, versions=2))
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
        kernel = Kernel(index=index, limits=storage_limits(files=2, size=10_000, versions=2))
        await kernel.service.files.write(call(), text_of("a/b"))

        with pytest.raises(QuotaExceeded):
            await kernel.service.files.write(call(), text_of("c"))

    async def test_a_refused_write_leaves_no_blob(self, index: FileIndex) -> None:
        kernel = Kernel(index=index, limits=storage_limits(files=2, size=100, versions=2))
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
        kernel = Kernel(index=index, limits=storage_limits(files=5, size=100, versions=2))
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

    async def test_where_many_scopes_stand_is_told_in_one_look(self, index: FileIndex) -> None:
        for scope, count in ((STRANGER, 3), (PLANNER, 1)):
            for _ in range(count):
                await index.write(scope, lambda tx: tx.next_sequence())

        found = await index.last_sequences([PLANNER, STRANGER, CRITIC])
        assert found == {PLANNER: 1, STRANGER: 3, CRITIC: 0}
        assert await index.last_sequences([]) == {}

    async def test_scopes_are_listed_in_pages(self, index: FileIndex) -> None:
        for scope in (STRANGER, PLANNER, CRITIC):
            await index.write(scope, lambda tx: tx.next_sequence())

        first = await index.scopes(after=None, limit=2)
        assert first == [CRITIC, PLANNER]
        assert await index.scopes(after=first[-1], limit=2) == [STRANGER]


class TestInMemory(IndexKeepingContract, OnMemory):
    pass


class TestSqlite(IndexKeepingContract, OnSqlite):
    pass


@pytest.mark.postgres
class TestPostgres(IndexKeepingContract, OnPostgres):
    pass
