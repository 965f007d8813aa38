"""Over a real socket: no method lets an old grantee use a name that lost the file it was shared for."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from aios.api.storage.v1 import storage_pb2_grpc
from services.storage.main import servicer
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.rpc import reason, serving
from tests.fakes.storage import Kernel

ME = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
NAME = "agents/planner/files/a"
ROOT = "agents/planner/files"
OTHER = "agents/planner/files/b"

CALLS: dict[str, Any] = {
    "ReadFile": pb.ReadFileRequest(name=NAME),
    "StatFile": pb.StatFileRequest(name=NAME),
    "ListFiles": pb.ListFilesRequest(parent=NAME),
    "ListVersions": pb.ListVersionsRequest(name=NAME),
    "DiffVersions": pb.DiffVersionsRequest(name=NAME),
    "WatchFiles": pb.WatchFilesRequest(parent=NAME),
    "SearchFiles": pb.SearchFilesRequest(parent=NAME, query="new"),
    "WriteFile": pb.WriteFileRequest(name=NAME, content=b"mine"),
    "WriteFiles": pb.WriteFilesRequest(parent=ROOT, edits=[pb.FileEdit(path="a", content=b"mine")]),
    "BeginUpload": pb.BeginUploadRequest(file=NAME),
    "MakeDirectory": pb.MakeDirectoryRequest(name=NAME),
    "SetFileMetadata": pb.SetFileMetadataRequest(name=NAME, media_type="text/plain"),
    "MoveFile": pb.MoveFileRequest(name=NAME, destination=OTHER, overwrite=True),
    "CopyFile": pb.CopyFileRequest(source=NAME, destination=OTHER, overwrite=True),
    "DeleteFile": pb.DeleteFileRequest(name=NAME),
    "RestoreFile": pb.RestoreFileRequest(name=NAME),
    "RollbackFile": pb.RollbackFileRequest(name=NAME, version=1),
}
UNGUARDED = {
    # Names of uploads, collections and agents, which are not vacated; shares, which access itself decides on.
    "UploadChunk", "GetUpload", "CommitUpload", "AbortUpload", "ListTrash", "PutRecords", "QueryRecords",
    "DeleteRecords", "ListCollections", "GetUsage", "ShareFile", "RevokeShare", "ListShares",
}  # fmt: skip


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
async def stub(kernel: Kernel) -> AsyncIterator[Any]:
    rights = [
        ("critic", f"storage.{what}", name) for what in ("read", "write", "delete") for name in (NAME, OTHER)
    ]
    rights.append(("critic", "storage.write", ROOT))
    async with serving(servicer(kernel.service), authorizer=AllowOwner(*rights)) as channel:
        yield storage_pb2_grpc.StorageServiceStub(channel)


def test_every_method_that_names_a_file_is_tried() -> None:
    methods = pb.DESCRIPTOR.services_by_name["StorageService"].methods_by_name
    assert set(methods) == set(CALLS) | UNGUARDED


@pytest.mark.parametrize("method", CALLS)
async def test_an_old_grantee_is_refused(stub: Any, kernel: Kernel, method: str) -> None:
    await stub.WriteFile(pb.WriteFileRequest(name=NAME, content=b"old"), metadata=ME)
    share = pb.ShareFileRequest(name=NAME, grantee="agents/critic", role=res.SHARE_ROLE_WRITER)
    await stub.ShareFile(share, metadata=ME)
    kernel.access.away = True
    await stub.MoveFile(pb.MoveFileRequest(name=NAME, destination=OTHER), metadata=ME)
    await stub.WriteFile(pb.WriteFileRequest(name=NAME, content=b"new"), metadata=ME)
    kernel.access.away = False

    call = getattr(stub, method)(CALLS[method], metadata=CRITIC)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await (call.read() if method in {"ReadFile", "WatchFiles"} else call)
    assert (refused.value.code(), reason(refused.value)) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )
    assert "no longer there" in (refused.value.details() or "")
