"""Files and records that nobody vouches for: which they are, and whom they mark, over a real socket."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from aios.api.storage.v1 import storage_pb2_grpc
from services.storage.main import servicer
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.rpc import serving
from tests.fakes.storage import Kernel

ME = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
ADMIN = tokens.metadata("root", kind="admin")
FILE = "agents/planner/files/shared"
COPY = "agents/planner/files/copy"
ROOT = "agents/planner/files"
RECORDS = "agents/planner/collections/facts"


@pytest.fixture
def access() -> AllowOwner:
    rights = [("storage.read", FILE), ("storage.write", FILE), ("storage.write", RECORDS)]
    return AllowOwner(*(("critic", action, name) for action, name in rights))


@pytest.fixture
async def stub(access: AllowOwner) -> AsyncIterator[Any]:
    async with serving(servicer(Kernel().service), authorizer=access) as channel:
        yield storage_pb2_grpc.StorageServiceStub(channel)


async def write(stub: Any, who: Any = ME, content: bytes = b"orders", **fields: Any) -> res.File:
    request = pb.WriteFileRequest(name=FILE, content=content, **fields)
    written: pb.WriteFileResponse = await stub.WriteFile(request, metadata=who)
    return written.file


async def read(stub: Any, name: str = FILE, who: Any = ME, **fields: Any) -> res.File:
    request = pb.ReadFileRequest(name=name, **fields)
    events = [event async for event in stub.ReadFile(request, metadata=who)]
    opened: res.File = events[0].file
    return opened


async def write_marked(stub: Any, access: AllowOwner, **fields: Any) -> None:
    """Write as a marked agent whose mark is then cleared."""
    access.marked["planner"] = "tools/browse"
    await write(stub, **fields)
    access.marked.clear()


async def test_an_agents_own_files_mark_nobody(stub: Any, access: AllowOwner) -> None:
    await write(stub)

    assert not (await read(stub)).untrusted
    assert not access.marked


async def test_who_reads_another_agents_file_is_marked(stub: Any, access: AllowOwner) -> None:
    await write(stub)
    await read(stub, who=CRITIC)

    assert access.marked == {"critic": FILE}


async def test_who_writes_to_another_agent_is_not_marked_and_its_owner_is_when_it_reads(
    stub: Any, access: AllowOwner
) -> None:
    await write(stub, CRITIC)
    assert not access.marked

    await read(stub)
    assert access.marked == {"planner": FILE}


async def test_a_label_that_somebody_else_gave_marks_who_is_told_it_in_answer_to_a_write(
    stub: Any, access: AllowOwner
) -> None:
    await write(stub, metadata={"hint": "do as I say"})
    await write(stub, CRITIC)

    assert access.marked == {"critic": FILE}


@pytest.mark.parametrize(
    "look",
    [
        lambda stub: stub.StatFile(pb.StatFileRequest(name=FILE), metadata=ME),
        lambda stub: stub.ListFiles(pb.ListFilesRequest(parent=ROOT), metadata=ME),
        lambda stub: stub.SearchFiles(pb.SearchFilesRequest(parent=ROOT, query="orders"), metadata=ME),
        lambda stub: stub.ListVersions(pb.ListVersionsRequest(name=FILE), metadata=ME),
        lambda stub: stub.DiffVersions(pb.DiffVersionsRequest(name=FILE), metadata=ME),
        lambda stub: stub.CopyFile(pb.CopyFileRequest(source=FILE, destination=COPY), metadata=ME),
        lambda stub: stub.MoveFile(pb.MoveFileRequest(name=FILE, destination=COPY), metadata=ME),
        read,
    ],
)
async def test_what_a_marked_agent_wrote_marks_whoever_looks_at_it(
    stub: Any, access: AllowOwner, look: Any
) -> None:
    await write_marked(stub, access)
    await look(stub)

    assert list(access.marked) == ["planner"]


async def test_a_watch_marks_before_it_tells_what_another_agent_did(stub: Any, access: AllowOwner) -> None:
    watch = stub.WatchFiles(pb.WatchFilesRequest(parent=ROOT), metadata=ME)
    async for event in watch:
        if event.HasField("file"):
            break
        await write(stub, CRITIC)
    watch.cancel()

    assert event.file.untrusted
    assert list(access.marked) == ["planner"]


async def test_copies_moves_appends_and_rollbacks_keep_the_mark(stub: Any, access: AllowOwner) -> None:
    await write_marked(stub, access)
    await write(stub, content=b"clean")
    access.marked.clear()
    assert not (await read(stub)).untrusted

    await stub.RollbackFile(pb.RollbackFileRequest(name=FILE, version=1), metadata=ME)
    assert (await read(stub)).untrusted
    await stub.MoveFile(pb.MoveFileRequest(name=FILE, destination=COPY), metadata=ME)
    assert (await read(stub, COPY)).untrusted
    access.marked.clear()
    more = pb.WriteFileRequest(name=COPY, content=b" and more", append=True)
    await stub.WriteFile(more, metadata=ME)
    assert (await read(stub, COPY)).untrusted


async def test_a_copy_of_another_agents_file_is_untrusted_and_marks_who_made_it(
    stub: Any, access: AllowOwner
) -> None:
    await write(stub)
    mine = "agents/critic/files/mine"
    await stub.CopyFile(pb.CopyFileRequest(source=FILE, destination=mine), metadata=CRITIC)
    assert access.marked == {"critic": mine}

    access.marked.clear()
    assert (await read(stub, mine, CRITIC)).untrusted


async def test_an_upload_is_as_untrusted_as_its_worst_part(stub: Any, access: AllowOwner) -> None:
    begun = await stub.BeginUpload(pb.BeginUploadRequest(file=FILE), metadata=ME)
    access.marked["planner"] = "tools/browse"
    chunk = pb.UploadChunkRequest(upload=begun.upload.name, data=b"orders")
    await stub.UploadChunk(chunk, metadata=ME)
    access.marked.clear()
    await stub.CommitUpload(pb.CommitUploadRequest(upload=begun.upload.name), metadata=ME)

    assert (await read(stub)).untrusted


async def test_records_of_another_writer_mark_their_owner(stub: Any, access: AllowOwner) -> None:
    for who in (ME, CRITIC):
        record = res.Record(key="k", text="orders")
        await stub.PutRecords(pb.PutRecordsRequest(collection=RECORDS, records=[record]), metadata=who)
        await stub.QueryRecords(pb.QueryRecordsRequest(collection=RECORDS), metadata=ME)

    assert access.marked == {"planner": RECORDS}


async def test_administrators_are_vouched_for_and_never_marked(stub: Any, access: AllowOwner) -> None:
    await write(stub, CRITIC)
    await read(stub, who=ADMIN)
    assert not access.marked

    await write(stub, ADMIN)
    assert not (await read(stub)).untrusted


async def test_a_change_set_keeps_the_mark_of_its_writer_and_tells_a_clean_one_nothing(
    stub: Any, access: AllowOwner
) -> None:
    edits = [pb.FileEdit(path="one", content=b"x"), pb.FileEdit(path="two", content=b"y")]
    made = await stub.WriteFiles(pb.WriteFilesRequest(parent=ROOT, edits=edits), metadata=ME)
    assert not access.marked

    access.marked["planner"] = "tools/browse"
    edits = [pb.FileEdit(path="one", content=b"z", etag=made.files[0].etag)]
    await stub.WriteFiles(pb.WriteFilesRequest(parent=ROOT, edits=edits), metadata=ME)
    access.marked.clear()

    assert (await read(stub, f"{ROOT}/one")).untrusted
    assert not (await read(stub, f"{ROOT}/two")).untrusted
