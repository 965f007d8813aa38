"""The Files port on the storage manager, with the caller's own token, so its own rights and marks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import grpc

from aios.api.storage.v1 import resources_pb2, storage_pb2, storage_pb2_grpc
from services.chassis.auth.identity import Caller, current_caller
from services.chassis.rpc.client import Metadata
from services.chassis.rpc.codes import Code
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.names import in_agent
from services.chassis.rpc.status import peer_error
from services.tool.core import files
from services.tool.core.files import FileContent, FileEdit, FileList, FileStat, Place

_STORAGE: Final = "storage"
_LOOK_SECONDS: Final = 10.0
_MOVE_SECONDS: Final = 30.0
_PAGE: Final = 1_000
_MOST_PAGES: Final = 10


class StorageFiles:
    """Reads and writes on the caller's behalf; storage marks the caller before it sends what is marked."""

    def __init__(self, channel: grpc.aio.Channel, exchange: TokenExchange) -> None:
        self._stub: storage_pb2_grpc.StorageServiceAsyncStub = storage_pb2_grpc.StorageServiceStub(channel)
        self._exchange = exchange

    async def list(self, directory: str, pattern: str, *, limit: int) -> FileList:
        """List files that match; see the port."""
        caller = current_caller()
        where = files.place(directory) if directory else Place("", "")
        request = storage_pb2.ListFilesRequest(
            parent=_name(caller, where.owner, where.path), recursive=True, pattern=pattern, page_size=_PAGE
        )
        found: list[FileStat] = []
        for _ in range(_MOST_PAGES):
            page = await self._page(request, await self._metadata(caller))
            found += [_stat(caller, where.owner, each) for each in page.files if _is_file(each)]
            request.page_token = page.next_page_token
            if len(found) > limit or not page.next_page_token:
                break
        return FileList(tuple(found[:limit]), more=len(found) > limit or bool(request.page_token))

    async def stat(self, path: str) -> FileStat:
        """Tell what a file is; see the port."""
        caller, where = current_caller(), files.place(path)
        request = storage_pb2.StatFileRequest(name=_name(caller, where.owner, where.path))
        metadata = await self._metadata(caller)
        with _refusals():
            answer = await self._stub.StatFile(request, metadata=metadata, timeout=_LOOK_SECONDS)
        return _stat(caller, where.owner, answer.file)

    async def read(self, path: str, *, limit: int, offset: int = 0) -> FileContent:
        """Return a part of a file; see the port."""
        caller, where = current_caller(), files.place(path)
        name = _name(caller, where.owner, where.path)
        # A length of nothing means everything: one byte too many tells nothing and costs nothing.
        request = storage_pb2.ReadFileRequest(name=name, offset=offset, length=max(1, limit))
        metadata = await self._metadata(caller)
        stat, data = None, bytearray()
        with _refusals():
            stream = self._stub.ReadFile(request, metadata=metadata, timeout=_MOVE_SECONDS)
            try:
                async for event in stream:
                    if event.HasField("file"):
                        stat = _stat(caller, where.owner, event.file)
                    data += event.data
                    if len(data) >= limit and stat is not None:
                        break
            finally:
                stream.cancel()
        return FileContent(stat or FileStat(path, len(data), ""), bytes(data[:limit]), offset)

    async def write(self, edits: Sequence[FileEdit], *, request_id: str) -> Sequence[FileStat]:
        """Change several files as one write; see the port."""
        caller, places = current_caller(), files.check_edits(edits)
        metadata = await self._metadata(caller)
        with _refusals():
            if len(edits) == 1 and edits[0].data is not None:
                written: Sequence[resources_pb2.File] = [
                    await self._write_one(caller, places[0], edits[0], request_id, metadata)
                ]
            else:
                written = await self._write_all(caller, places, edits, request_id, metadata)
        return [_stat(caller, places[0].owner, each) for each in written]

    async def _write_one(
        self, caller: Caller, where: Place, edit: FileEdit, request_id: str, metadata: Metadata
    ) -> resources_pb2.File:
        """Write one file: a share of it alone is enough for that."""
        request = storage_pb2.WriteFileRequest(
            name=_name(caller, where.owner, where.path),
            content=edit.data or b"",
            mode=storage_pb2.WRITE_MODE_REPLACE if edit.etag else storage_pb2.WRITE_MODE_CREATE,
            etag=edit.etag,
            request_id=request_id,
        )
        return (await self._stub.WriteFile(request, metadata=metadata, timeout=_MOVE_SECONDS)).file

    async def _write_all(
        self,
        caller: Caller,
        places: Sequence[Place],
        edits: Sequence[FileEdit],
        request_id: str,
        metadata: Metadata,
    ) -> Sequence[resources_pb2.File]:
        directory = files.common_directory([where.path for where in places])
        request = storage_pb2.WriteFilesRequest(
            parent=_name(caller, places[0].owner, directory),
            edits=[_edit(where, directory, edit) for where, edit in zip(places, edits, strict=True)],
            request_id=request_id,
        )
        return (await self._stub.WriteFiles(request, metadata=metadata, timeout=_MOVE_SECONDS)).files

    async def _page(
        self, request: storage_pb2.ListFilesRequest, metadata: Metadata
    ) -> storage_pb2.ListFilesResponse:
        try:
            return await self._stub.ListFiles(request, metadata=metadata, timeout=_LOOK_SECONDS)
        except grpc.aio.AioRpcError as failure:
            error = peer_error(failure)
            if error.code is Code.NOT_FOUND:
                return storage_pb2.ListFilesResponse()
            raise error from failure

    async def _metadata(self, caller: Caller) -> Metadata:
        return await self._exchange.metadata(caller, _STORAGE)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as failure:
        raise peer_error(failure) from failure


def _edit(where: Place, directory: str, edit: FileEdit) -> storage_pb2.FileEdit:
    message = storage_pb2.FileEdit(path=where.path[len(directory) + 1 if directory else 0 :], etag=edit.etag)
    if edit.data is None:
        message.deletion.SetInParent()
    else:
        message.content = edit.data
    return message


def _name(caller: Caller, owner: str, path: str) -> str:
    return in_agent(owner or caller.agent, "files", path).rstrip("/")


def _is_file(file: resources_pb2.File) -> bool:
    return file.kind == resources_pb2.FILE_KIND_FILE


def _stat(caller: Caller, owner: str, file: resources_pb2.File) -> FileStat:
    whose = owner or caller.agent
    return FileStat(
        path=Place(owner, file.name.removeprefix(in_agent(whose, "files", ""))).shown(),
        size=file.size_bytes,
        etag="" if file.HasField("delete_time") else file.etag,
        untrusted=file.untrusted or whose != caller.agent,
        directory=not _is_file(file),
    )
