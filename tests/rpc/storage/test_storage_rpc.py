"""StorageService over a real socket: names, identity, errors, streams."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from aios.api.storage.v1 import storage_pb2_grpc
from services.chassis.rpc.status import status_of
from services.storage.main import servicer
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import reason, serving
from tests.fakes.storage import Kernel, storage_limits

ME = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(limits=storage_limits(files=100, size=3_000_000, versions=5))


@pytest.fixture
def authorizer() -> AllowOwner:
    return AllowOwner()


@pytest.fixture
async def stub(kernel: Kernel, authorizer: AllowOwner) -> AsyncIterator[Any]:
    async with serving(servicer(kernel.service), authorizer=authorizer) as channel:
        yield storage_pb2_grpc.StorageServiceStub(channel)


async def write(stub: Any, name: str, content: bytes = b"hello", **fields: Any) -> pb.WriteFileResponse:
    request = pb.WriteFileRequest(name=f"agents/me/files/{name}", content=content, **fields)
    written: pb.WriteFileResponse = await stub.WriteFile(request, metadata=ME)
    return written


async def read(stub: Any, name: str, metadata: Any = ME, **fields: Any) -> tuple[res.File, bytes]:
    request = pb.ReadFileRequest(name=name, **fields)
    events = [event async for event in stub.ReadFile(request, metadata=metadata)]
    return events[0].file, b"".join(event.data for event in events[1:])


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), reason(refused.value)


async def test_a_file_is_written_and_read_back_under_its_full_name(stub: Any) -> None:
    written = await write(stub, "reports/may.md", b"# May\n", metadata={"k": "v"}, comment="first")
    file, content = await read(stub, "agents/planner/files/reports/may.md")

    assert content == b"# May\n"
    assert written.created
    assert file == written.file
    assert file.name == "agents/planner/files/reports/may.md"
    assert (file.kind, file.version, file.size_bytes) == (res.FILE_KIND_FILE, 1, 6)
    assert (file.media_type, file.writer, dict(file.metadata)) == (
        "text/markdown",
        "agents/planner",
        {"k": "v"},
    )


async def test_a_large_file_streams_in_small_parts_from_any_offset(stub: Any) -> None:
    content = bytes(range(251)) * 8000
    await write(stub, "x", content)
    parts = [
        len(event.data)
        async for event in stub.ReadFile(pb.ReadFileRequest(name="agents/me/files/x"), metadata=ME)
        if event.data
    ]
    _, tail = await read(stub, "agents/me/files/x", offset=1_048_570, length=20)

    assert sum(parts) == len(content)
    assert max(parts) <= 262_144
    assert tail == content[1_048_570:1_048_590]
    beyond = read(stub, "agents/me/files/x", offset=len(content) + 1)
    assert await refusal(beyond) == (grpc.StatusCode.OUT_OF_RANGE, "OFFSET_MISMATCH")


async def test_another_agent_is_denied_before_it_learns_whether_the_file_exists(stub: Any) -> None:
    await write(stub, "here")

    for name in ("here", "nowhere"):
        request = pb.StatFileRequest(name=f"agents/planner/files/{name}")
        denied = await refusal(stub.StatFile(request, metadata=CRITIC))
        assert denied == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_an_agent_with_a_grant_works_in_the_owners_scope(stub: Any, authorizer: AllowOwner) -> None:
    name = "agents/planner/files/shared"
    authorizer.grants |= {("critic", "storage.write", name), ("critic", "storage.read", name)}
    request = pb.WriteFileRequest(name=name, content=b"from critic")
    await stub.WriteFile(request, metadata=CRITIC)

    file, content = await read(stub, "agents/me/files/shared")
    assert (file.writer, content) == ("agents/critic", b"from critic")


async def test_the_same_name_in_another_tenant_is_another_file(stub: Any) -> None:
    await write(stub, "x", b"acme")
    other = tokens.metadata("planner", tenant="globex")

    request = pb.StatFileRequest(name="agents/me/files/x")
    missing = await refusal(stub.StatFile(request, metadata=other))
    assert missing == (grpc.StatusCode.NOT_FOUND, "FILE_NOT_FOUND")


@pytest.mark.parametrize(
    "path", ["../x", "a/../x", "/etc/passwd", "a//b", "./a", "a\\b", "a\u202eb", "cafe\u0301"]
)
async def test_a_path_that_is_not_in_its_one_spelling_is_refused(stub: Any, path: str) -> None:
    refused = await refusal(write(stub, path))

    assert refused[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert refused[1] in ("PATH_INVALID", "INVALID_REQUEST")


async def test_quota_failures_name_the_agent(stub: Any) -> None:
    await write(stub, "a", b"x" * 2_000_000)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await write(stub, "b", b"y" * 2_000_000)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(refused.value) == "QUOTA_EXCEEDED"
    status = status_of(refused.value)
    assert status is not None
    assert any(detail.type_url.endswith("QuotaFailure") for detail in status.details)


async def test_a_stale_etag_is_aborted(stub: Any) -> None:
    first = await write(stub, "a", b"1")
    await write(stub, "a", b"2", etag=first.file.etag)

    assert await refusal(write(stub, "a", b"3", etag=first.file.etag)) == (
        grpc.StatusCode.ABORTED,
        "ETAG_MISMATCH",
    )


async def test_a_repeat_returns_the_first_answer(stub: Any) -> None:
    first = await write(stub, "a", b"1", request_id="r1")
    again = await write(stub, "a", b"1", request_id="r1")

    assert first == again
    assert (await refusal(write(stub, "a", b"2", request_id="r1")))[1] == "IDEMPOTENCY_MISMATCH"


async def test_an_upload_is_resumed_where_it_stands(stub: Any) -> None:
    begun = await stub.BeginUpload(
        pb.BeginUploadRequest(file="agents/me/files/big", total_bytes=2_000_000), metadata=ME
    )
    name = begun.upload.name
    await stub.UploadChunk(pb.UploadChunkRequest(upload=name, offset=0, data=b"a" * 1_000_000), metadata=ME)
    stands = await stub.GetUpload(pb.GetUploadRequest(name=name), metadata=ME)
    assert stands.upload.offset == 1_000_000
    incomplete = await refusal(stub.CommitUpload(pb.CommitUploadRequest(upload=name), metadata=ME))
    await stub.UploadChunk(
        pb.UploadChunkRequest(upload=name, offset=1_000_000, data=b"b" * 1_000_000), metadata=ME
    )
    committed = await stub.CommitUpload(pb.CommitUploadRequest(upload=name), metadata=ME)

    assert incomplete == (grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_INCOMPLETE")
    assert begun.chunk_bytes == 1_048_576
    assert committed.file.size_bytes == 2_000_000
    _, content = await read(stub, "agents/me/files/big", offset=999_999, length=2)
    assert content == b"ab"


async def test_a_foreign_upload_id_finds_nothing(stub: Any) -> None:
    begun = await stub.BeginUpload(pb.BeginUploadRequest(file="agents/me/files/big"), metadata=ME)
    name = begun.upload.name.replace("planner", "critic")

    missing = await refusal(stub.GetUpload(pb.GetUploadRequest(name=name), metadata=CRITIC))
    assert missing == (grpc.StatusCode.NOT_FOUND, "UPLOAD_NOT_FOUND")


async def test_lists_are_paged_and_tokens_belong_to_their_list(stub: Any) -> None:
    for name in ("a", "b", "c"):
        await write(stub, name)
    first = await stub.ListFiles(pb.ListFilesRequest(parent="agents/me/files", page_size=2), metadata=ME)
    second = await stub.ListFiles(
        pb.ListFilesRequest(parent="agents/me/files", page_size=2, page_token=first.next_page_token),
        metadata=ME,
    )

    names = [file.name for page in (first, second) for file in page.files]
    assert names == [f"agents/planner/files/{name}" for name in "abc"]
    assert second.next_page_token == ""
    other = pb.ListFilesRequest(parent="agents/me/files", recursive=True, page_token=first.next_page_token)
    assert (await refusal(stub.ListFiles(other, metadata=ME)))[1] == "INVALID_PAGE_TOKEN"


async def test_a_forged_page_token_is_an_invalid_argument_of_every_list(stub: Any) -> None:
    for name in ("a", "b", "x", "y"):
        await write(stub, name, b"needle")
    await write(stub, "a", b"another needle")
    for name in ("x", "y"):
        await stub.DeleteFile(pb.DeleteFileRequest(name=f"agents/me/files/{name}"), metadata=ME)
    for name in ("one", "two"):
        records = [res.Record(key=key, text="needle") for key in ("k1", "k2")]
        put = pb.PutRecordsRequest(collection=f"agents/me/collections/{name}", records=records)
        await stub.PutRecords(put, metadata=ME)

    lists = [
        (stub.ListFiles, pb.ListFilesRequest(parent="agents/me/files")),
        (stub.ListTrash, pb.ListTrashRequest(parent="agents/me")),
        (stub.ListVersions, pb.ListVersionsRequest(name="agents/me/files/a")),
        (stub.SearchFiles, pb.SearchFilesRequest(parent="agents/me/files", query="needle")),
        (stub.ListCollections, pb.ListCollectionsRequest(parent="agents/me")),
        (stub.QueryRecords, pb.QueryRecordsRequest(collection="agents/me/collections/one")),
        (stub.QueryRecords, pb.QueryRecordsRequest(collection="agents/me/collections/one", query="needle")),
    ]
    for method, request in lists:
        await refuses_forgeries(method, request, ME)


async def test_delete_restore_and_trash(stub: Any) -> None:
    await write(stub, "d/x")
    full = await refusal(stub.DeleteFile(pb.DeleteFileRequest(name="agents/me/files/d"), metadata=ME))
    deleted = await stub.DeleteFile(
        pb.DeleteFileRequest(name="agents/me/files/d", recursive=True), metadata=ME
    )
    trash = await stub.ListTrash(pb.ListTrashRequest(parent="agents/me"), metadata=ME)
    await stub.RestoreFile(pb.RestoreFileRequest(name="agents/me/files/d"), metadata=ME)

    assert full == (grpc.StatusCode.FAILED_PRECONDITION, "DIRECTORY_NOT_EMPTY")
    assert deleted.deleted_count == 2
    assert list(trash.files) == [deleted.file]
    assert deleted.file.purge_time.seconds - deleted.file.delete_time.seconds == 30 * 86_400
    assert (await read(stub, "agents/me/files/d/x"))[1] == b"hello"


async def test_a_diff_shows_as_many_unchanged_lines_as_are_asked_for_and_none_is_a_number(stub: Any) -> None:
    await write(stub, "a", b"1\n2\n3\n4\n5\n")
    await write(stub, "a", b"1\n2\n3\n4\nfive\n")
    shown = []
    for lines in ({}, {"context_lines": 0}, {"context_lines": 1}):
        request = pb.DiffVersionsRequest(name="agents/me/files/a", **lines)
        diff = (await stub.DiffVersions(request, metadata=ME)).unified_diff
        shown.append(sum(line.startswith(" ") for line in diff.splitlines()))

    assert shown == [3, 0, 1]


async def test_versions_diff_and_rollback(stub: Any) -> None:
    for content in (b"one\n", b"two\n", b"three\n"):
        await write(stub, "a", content)
    page = await stub.ListVersions(pb.ListVersionsRequest(name="agents/me/files/a", page_size=2), metadata=ME)
    rest = await stub.ListVersions(
        pb.ListVersionsRequest(name="agents/me/files/a", page_size=2, page_token=page.next_page_token),
        metadata=ME,
    )
    diff = await stub.DiffVersions(pb.DiffVersionsRequest(name="agents/me/files/a"), metadata=ME)
    rolled = await stub.RollbackFile(pb.RollbackFileRequest(name="agents/me/files/a", steps=2), metadata=ME)

    assert [version.version for version in (*page.versions, *rest.versions)] == [3, 2, 1]
    assert "-two\n+three\n" in diff.unified_diff
    assert rolled.file.version == 4
    assert (await read(stub, "agents/me/files/a"))[1] == b"one\n"
    both = pb.RollbackFileRequest(name="agents/me/files/a", steps=2, version=1)
    assert (await refusal(stub.RollbackFile(both, metadata=ME)))[1] == "INVALID_REQUEST"


async def test_move_copy_and_directories(stub: Any, kernel: Kernel) -> None:
    await write(stub, "a/x")
    made = await stub.MakeDirectory(pb.MakeDirectoryRequest(name="agents/me/files/empty"), metadata=ME)
    moved = await stub.MoveFile(
        pb.MoveFileRequest(name="agents/me/files/a", destination="agents/me/files/b/c"), metadata=ME
    )
    copied = await stub.CopyFile(
        pb.CopyFileRequest(source="agents/me/files/b/c/x", destination="agents/me/files/y"), metadata=ME
    )
    elsewhere = pb.MoveFileRequest(name="agents/me/files/b", destination="agents/critic/files/b")

    assert made.file.kind == res.FILE_KIND_DIRECTORY
    assert moved.file.name == "agents/planner/files/b/c"
    assert copied.file.name == "agents/planner/files/y"
    assert (await refusal(stub.MoveFile(elsewhere, metadata=ME)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    kernel.access.denied.add(("storage.read", "agents/critic/files/secret"))
    foreign = pb.CopyFileRequest(source="agents/critic/files/secret", destination="agents/me/files/z")
    assert (await refusal(stub.CopyFile(foreign, metadata=ME)))[1] == "PERMISSION_DENIED"


async def test_metadata_is_set_and_removed(stub: Any) -> None:
    await write(stub, "a", metadata={"x": "1", "y": "2"})
    changed = await stub.SetFileMetadata(
        pb.SetFileMetadataRequest(name="agents/me/files/a", set={"z": "3"}, remove=["x"]), metadata=ME
    )

    assert dict(changed.file.metadata) == {"y": "2", "z": "3"}
    assert changed.file.version == 1


async def test_search_pages_through_hits(stub: Any) -> None:
    for name in ("a", "b", "c"):
        await write(stub, name, f"needle number {name}".encode())
    request = pb.SearchFilesRequest(parent="agents/me/files", query="needle", page_size=2)
    first = await stub.SearchFiles(request, metadata=ME)
    request.page_token = first.next_page_token
    second = await stub.SearchFiles(request, metadata=ME)

    names = {hit.file.name for page in (first, second) for hit in page.hits}
    assert len(names) == 3
    assert first.hits[0].lexical_score > 0
    assert first.hits[0].semantic_score > 0
    assert "needle" in first.hits[0].snippet
    nothing = pb.SearchFilesRequest(parent="agents/me/files", query="???")
    assert (await refusal(stub.SearchFiles(nothing, metadata=ME)))[1] == "QUERY_INVALID"


async def test_a_share_lets_search_find_the_owners_file(stub: Any, kernel: Kernel) -> None:
    await write(stub, "team/plan", b"the canary sings")
    await write(stub, "private", b"another canary")
    expires = Timestamp()
    expires.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    request = pb.ShareFileRequest(
        name="agents/me/files/team", grantee="agents/critic", role=res.SHARE_ROLE_READER, expire_time=expires
    )
    shared = await stub.ShareFile(request, metadata=ME)
    again = await stub.ShareFile(request, metadata=ME)
    listed = await stub.ListShares(pb.ListSharesRequest(name="agents/me/files/team/plan"), metadata=ME)
    search = pb.SearchFilesRequest(parent="agents/me/files", query="canary", include_shared=True)
    found = await stub.SearchFiles(search, metadata=CRITIC)

    assert shared.share.file == "agents/planner/files/team"
    assert again.share.grant != shared.share.grant
    assert [(s.file, s.grantee) for s in listed.shares] == [("agents/planner/files/team", "agents/critic")]
    assert [hit.file.name for hit in found.hits] == ["agents/planner/files/team/plan"]
    await stub.RevokeShare(
        pb.RevokeShareRequest(name="agents/me/files/team", grantee="agents/critic"), metadata=ME
    )
    assert kernel.access.kept == []
    assert list((await stub.SearchFiles(search, metadata=CRITIC)).hits) == []


async def test_moving_a_shared_file_ends_its_shares(stub: Any, kernel: Kernel) -> None:
    await write(stub, "d/x")
    for name in ("d", "d/x"):
        request = pb.ShareFileRequest(
            name=f"agents/me/files/{name}", grantee="groups/team", role=res.SHARE_ROLE_WRITER
        )
        await stub.ShareFile(request, metadata=ME)
    await stub.MoveFile(
        pb.MoveFileRequest(name="agents/me/files/d", destination="agents/me/files/e"), metadata=ME
    )

    assert kernel.access.kept == []


async def test_a_watch_sees_changes_in_order_and_continues_after_a_break(stub: Any) -> None:
    await stub.MakeDirectory(pb.MakeDirectoryRequest(name="agents/me/files/d"), metadata=ME)
    stream = stub.WatchFiles(pb.WatchFilesRequest(parent="agents/me/files/d"), metadata=ME)
    alive = await stream.read()
    await write(stub, "elsewhere")
    await write(stub, "d/x")
    created = await stream.read()
    stream.cancel()
    await write(stub, "d/x", b"new")
    await stub.MoveFile(
        pb.MoveFileRequest(name="agents/me/files/d/x", destination="agents/me/files/out"), metadata=ME
    )
    later = stub.WatchFiles(
        pb.WatchFilesRequest(parent="agents/me/files/d", after_sequence=created.sequence), metadata=ME
    )
    events: list[pb.WatchFilesResponse] = []
    while len(events) < 2:
        event = await asyncio.wait_for(later.read(), 30)
        events += [event] if event.change else []
    later.cancel()

    assert alive.change == pb.FILE_CHANGE_UNSPECIFIED
    assert (created.change, created.file.name) == (pb.FILE_CHANGE_CREATED, "agents/planner/files/d/x")
    assert [event.change for event in events] == [pb.FILE_CHANGE_UPDATED, pb.FILE_CHANGE_DELETED]
    assert events[1].file.name == "agents/planner/files/d/x"
    future = pb.WatchFilesRequest(parent="agents/me/files", after_sequence=10**9)
    expired = await refusal(stub.WatchFiles(future, metadata=ME).read())
    assert expired == (grpc.StatusCode.OUT_OF_RANGE, "EVENTS_EXPIRED")


async def test_records_round_trip_with_filters_and_vectors(stub: Any) -> None:
    fields = Struct()
    fields.update({"year": 2024, "tags": ["a", "b"], "author": {"name": "Ann"}})
    other = Struct()
    other.update({"year": 1999})
    put = await stub.PutRecords(
        pb.PutRecordsRequest(
            collection="agents/me/collections/papers",
            records=[
                res.Record(key="p1", fields=fields, text="about attention", vector=[1, 0, 0]),
                res.Record(key="p2", fields=other, text="about queues", vector=[0, 1, 0]),
            ],
        ),
        metadata=ME,
    )
    condition = res.FieldFilter(
        field="author.name", operator=res.FILTER_OPERATOR_EQUAL, value=Value(string_value="Ann")
    )
    filtered = await stub.QueryRecords(
        pb.QueryRecordsRequest(collection="agents/me/collections/papers", filters=[condition]), metadata=ME
    )
    nearest = await stub.QueryRecords(
        pb.QueryRecordsRequest(
            collection="agents/me/collections/papers", vector=[0.1, 0.9, 0], include_vectors=True, page_size=1
        ),
        metadata=ME,
    )
    listed = await stub.ListCollections(pb.ListCollectionsRequest(parent="agents/me"), metadata=ME)
    deleted = await stub.DeleteRecords(
        pb.DeleteRecordsRequest(collection="agents/me/collections/papers", all=True), metadata=ME
    )

    assert put.created_count == 2
    assert [(hit.record.key, hit.record.fields["year"]) for hit in filtered.hits] == [("p1", 2024)]
    assert filtered.hits[0].record.etag == put.etags[0]
    assert (nearest.hits[0].record.key, list(nearest.hits[0].record.vector)) == ("p2", [0, 1, 0])
    assert nearest.next_page_token
    assert (listed.collections[0].record_count, listed.collections[0].vector_length) == (2, 3)
    assert deleted.deleted_count == 2


async def test_usage_adds_up(stub: Any) -> None:
    await write(stub, "a", b"12345")
    await write(stub, "a", b"123")
    usage = await stub.GetUsage(pb.GetUsageRequest(name="agents/me"), metadata=ME)

    assert (usage.file_bytes, usage.version_bytes, usage.file_count) == (3, 5, 1)
    assert (usage.quota_bytes, usage.max_versions) == (3_000_000, 5)


async def test_the_root_is_a_directory(stub: Any) -> None:
    root = await stub.StatFile(pb.StatFileRequest(name="agents/me/files"), metadata=ME)

    assert root.file.name == "agents/planner/files"
    assert root.file.kind == res.FILE_KIND_DIRECTORY


async def test_several_files_are_changed_as_one_write(stub: Any) -> None:
    old = (await write(stub, "src/old")).file
    edits = [
        pb.FileEdit(path="new", content=b"made"),
        pb.FileEdit(path="old", etag=old.etag, deletion=pb.FileDeletion()),
    ]
    request = pb.WriteFilesRequest(parent="agents/me/files/src", edits=edits, request_id="one")
    made = await stub.WriteFiles(request, metadata=ME)
    again = await stub.WriteFiles(request, metadata=ME)

    assert again == made
    assert [file.name for file in made.files] == [
        "agents/planner/files/src/new",
        "agents/planner/files/src/old",
    ]
    assert not made.files[0].HasField("delete_time")
    assert made.files[1].HasField("delete_time")
    assert (await read(stub, "agents/planner/files/src/new"))[1] == b"made"


@pytest.mark.parametrize(
    ("edit", "refused"),
    [
        (pb.FileEdit(path="x", etag="stale", content=b"y"), (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")),
        (pb.FileEdit(path="x", content=b"y"), (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")),
        (pb.FileEdit(path="x"), (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")),
        (pb.FileEdit(path="x", deletion={}), (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")),
        (pb.FileEdit(path="a/../x", content=b"y"), (grpc.StatusCode.INVALID_ARGUMENT, "PATH_INVALID")),
        (pb.FileEdit(path="/x", content=b"y"), (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")),
        (pb.FileEdit(path="a\\b", content=b"y"), (grpc.StatusCode.INVALID_ARGUMENT, "PATH_INVALID")),
    ],
)
async def test_a_change_set_with_an_edit_that_does_not_fit_is_refused(
    stub: Any, edit: pb.FileEdit, refused: tuple[grpc.StatusCode, str]
) -> None:
    await write(stub, "x")
    edits = [pb.FileEdit(path="fresh", content=b"z"), edit]
    request = pb.WriteFilesRequest(parent="agents/me/files", edits=edits)

    assert await refusal(stub.WriteFiles(request, metadata=ME)) == refused
    listed = await stub.ListFiles(pb.ListFilesRequest(parent="agents/me/files"), metadata=ME)
    assert [file.name for file in listed.files] == ["agents/planner/files/x"]
