"""Several files changed as one write, on every index: all of it or nothing."""

from dataclasses import replace

import pytest

from services.chassis.rpc.errors import (
    IdempotencyMismatch,
    InvalidRequest,
    KernelError,
    PermissionDenied,
    QuotaExceeded,
)
from services.storage.core.change_sets import ChangeSet
from services.storage.errors import AlreadyExists, EtagMismatch, FileNotFound, PathInvalid, WrongFileKind
from services.storage.model import RequestContext
from services.storage.service.change_sets import Edit
from services.storage.service.files import NewFile
from tests.contract.storage.indexes import (
    BIG,
    OnMemory,
    OnPostgres,
    OnSqlite,
    delete,
    listing,
    read,
    recount,
)
from tests.fakes.storage import PLANNER, Kernel, call


async def commit(kernel: Kernel, *edits: Edit, who: RequestContext | None = None) -> ChangeSet:
    return await kernel.service.change_sets.commit(who or call(), edits, "")


async def put(kernel: Kernel, path: str, data: bytes = b"old") -> str:
    return (await kernel.service.files.write(call(), NewFile(path, data))).node.etag


MISFITS = [
    (Edit("kept", "not-this", b"x"), EtagMismatch),
    (Edit("kept", "not-this", None), EtagMismatch),
    (Edit("kept", "", b"x"), AlreadyExists),
    (Edit("nowhere", "e1", b"x"), FileNotFound),
    (Edit("nowhere", "e1", None), FileNotFound),
    (Edit("kept/below", "", b"x"), WrongFileKind),
    (Edit("dir", "e1", None), WrongFileKind),
    (Edit("dir", "", b"x"), WrongFileKind),
    (Edit("kept", "", None), InvalidRequest),
    (Edit("fresh", "", b"again"), InvalidRequest),
    (Edit("../up", "", b"x"), PathInvalid),
    (Edit("a\0b", "", b"x"), PathInvalid),
    (Edit("big", "", b"x" * 9_000_000), QuotaExceeded),
]


class ChangeSetContract:
    """Behaviour every FileIndex must show when several files change as one write."""

    async def test_files_are_made_replaced_and_deleted_as_one_change(self, kernel: Kernel) -> None:
        kept, gone = await put(kernel, "src/kept"), await put(kernel, "src/gone")

        made = await commit(
            kernel,
            Edit("src/new/file", "", BIG),
            Edit("src/gone", gone, None),
            Edit("src/kept", kept, b"new"),
        )

        assert await listing(kernel, "src") == ["src/kept", "src/new", "src/new/file"]
        assert await read(kernel, "src/kept") == b"new"
        assert await read(kernel, "src/new/file") == BIG
        first, second, third = made.outcomes
        assert first.written is not None
        assert first.written.created
        assert second.removed is not None
        assert second.removed.trashed_at is not None
        assert third.written is not None
        assert third.written.node.version == 2
        totals, _ = await kernel.service.files.usage(PLANNER)
        assert totals == await recount(kernel)

    async def test_one_edit_that_does_not_fit_leaves_everything_as_it_was(self, kernel: Kernel) -> None:
        await put(kernel, "kept")
        await put(kernel, "dir/inside")
        before = await listing(kernel)

        for bad, error in MISFITS:
            with pytest.raises(error):
                await commit(kernel, Edit("fresh", "", BIG), bad, Edit("later", "", b"x"))

            assert await listing(kernel) == before, bad
            assert await read(kernel, "kept") == b"old"
            assert kernel.blobs.idle(PLANNER, seconds=0, limit=10) == []

    async def test_of_two_change_sets_made_from_one_state_the_second_is_refused_whole(
        self, kernel: Kernel
    ) -> None:
        etag = await put(kernel, "shared")
        await commit(kernel, Edit("shared", etag, b"first"), Edit("one", "", b"1"))

        with pytest.raises(EtagMismatch) as refused:
            await commit(kernel, Edit("two", "", b"2"), Edit("shared", etag, b"second"))

        assert refused.value.metadata["path"] == "shared"
        assert await listing(kernel) == ["one", "shared"]
        assert await read(kernel, "shared") == b"first"

    async def test_a_repeated_change_set_is_made_once_and_another_one_is_refused(
        self, kernel: Kernel
    ) -> None:
        etag = await put(kernel, "a")
        edits = (Edit("a", etag, b"new"), Edit("b", "", b"made"))
        first = await commit(kernel, *edits, who=call(request_id="r1"))
        again = await commit(kernel, *edits, who=call(request_id="r1"))

        assert again == first
        assert (await kernel.service.files.stat(PLANNER, "a")).version == 2
        for other in (edits[:1], (*edits[:1], Edit("b", "", b"other")), (*edits[:1], Edit("b", "x", None))):
            with pytest.raises(IdempotencyMismatch):
                await commit(kernel, *other, who=call(request_id="r1"))

    async def test_a_directory_can_take_the_place_of_a_file(self, kernel: Kernel) -> None:
        etag = await put(kernel, "thing")

        await commit(kernel, Edit("thing/inside", "", b"x"), Edit("thing", etag, None))

        assert await listing(kernel) == ["thing", "thing/inside"]

    async def test_what_a_marked_agent_commits_nobody_vouches_for(self, kernel: Kernel) -> None:
        await commit(kernel, Edit("a", "", b"x"), who=replace(call(), untrusted=True))

        assert (await kernel.service.files.stat(PLANNER, "a")).untrusted

    async def test_watchers_hear_of_each_file(self, kernel: Kernel) -> None:
        etag = await put(kernel, "a")
        await commit(kernel, Edit("b", "", b"x"), Edit("a", etag, None))

        changes = await kernel.index.read(PLANNER, lambda tx: tx.changes(after=1, limit=10))
        told = [(change.kind.value, change.node.path) for change in changes]
        assert told == [("deleted", "a"), ("created", "b")]

    async def test_a_right_to_the_directory_does_not_outweigh_a_rule_about_one_file(
        self, kernel: Kernel
    ) -> None:
        etag = await put(kernel, "rules/locked")
        for action, edit in (
            ("storage.write", Edit("rules/locked", etag, b"x")),
            ("storage.delete", Edit("rules/locked", etag, None)),
        ):
            kernel.access.denied = {(action, "agents/planner/files/rules/locked")}
            with pytest.raises(PermissionDenied):
                await commit(kernel, Edit("rules/free", "", b"x"), edit)

        assert await listing(kernel, "rules") == ["rules/locked"]

    async def test_a_grant_from_a_vacated_name_lets_nobody_commit_there(self, kernel: Kernel) -> None:
        await put(kernel, "d/a")
        kernel.access.away = True
        await delete(kernel, "d/a")
        guest = RequestContext(PLANNER, "critic")

        with pytest.raises(KernelError):
            await commit(kernel, Edit("d/free", "", b"x"), Edit("d/a", "", b"x"), who=guest)

        assert await listing(kernel, "d") == []


class TestChangeSetsInMemory(OnMemory, ChangeSetContract):
    """The index in RAM."""


class TestChangeSetsOnSqlite(OnSqlite, ChangeSetContract):
    """The index in a SQLite file."""


@pytest.mark.postgres
class TestChangeSetsOnPostgres(OnPostgres, ChangeSetContract):
    """The index in PostgreSQL."""
