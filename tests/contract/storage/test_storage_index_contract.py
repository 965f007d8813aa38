"""What every index of files shows the use cases, whichever store is behind it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services.chassis.rpc.errors import IdempotencyMismatch
from services.storage.core.history import Target
from services.storage.core.search import Search
from services.storage.errors import (
    AlreadyExists,
    ChecksumMismatch,
    DirectoryNotEmpty,
    EtagMismatch,
    FileNotFound,
    PathInvalid,
    WrongFileKind,
)
from services.storage.model import Attributes, Kind, Mode, SearchMode, Totals
from services.storage.service.files import NewFile
from tests.contract.storage.indexes import (
    BIG,
    OnMemory,
    OnPostgres,
    OnSqlite,
    delete,
    listing,
    read,
    text_of,
)
from tests.fakes.storage import CRITIC, PLANNER, STRANGER, Kernel, call


class IndexContract:
    """Behaviour every FileIndex must show under the use cases: files, versions, directories and trash."""

    async def test_what_was_written_is_read(self, kernel: Kernel) -> None:
        written = await kernel.service.files.write(call(), text_of("notes/a.txt"))

        assert written.created
        assert written.node.version == 1
        assert written.node.label.media_type == "text/plain"
        assert await read(kernel, "notes/a.txt") == b"hello"
        assert (await kernel.service.files.stat(PLANNER, "notes")).kind is Kind.DIRECTORY

    async def test_what_nobody_vouches_for_is_kept_with_versions_and_nodes(self, kernel: Kernel) -> None:
        dirty = replace(call(), untrusted=True)
        for by in (call(), dirty, call()):
            await kernel.service.files.write(by, text_of("notes/a.txt"))
        node, versions = await kernel.service.reading.versions(PLANNER, "notes/a.txt", before=0, limit=9)
        assert [version.untrusted for version in versions] == [False, True, False]
        assert not node.untrusted

        moved = await kernel.service.files.move(dirty, "notes/a.txt", "notes/b.txt", etag="", overwrite=False)
        assert moved.untrusted
        assert (await kernel.service.files.stat(PLANNER, "notes/b.txt")).untrusted
        await delete(kernel, "notes/b.txt")
        assert (await kernel.service.files.restore(call(), "notes/b.txt")).untrusted

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


class TestInMemory(IndexContract, OnMemory):
    pass


class TestSqlite(IndexContract, OnSqlite):
    pass


@pytest.mark.postgres
class TestPostgres(IndexContract, OnPostgres):
    pass
