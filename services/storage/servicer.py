"""StorageService over gRPC: each method converts, calls the use case, converts back."""

from collections.abc import AsyncIterator
from typing import Any

from aios.api.storage.v1 import storage_pb2 as pb
from aios.api.storage.v1 import storage_pb2_grpc
from services.chassis.auth.identity import Caller, current_caller
from services.chassis.db import rankings
from services.chassis.rpc import paging
from services.chassis.rpc.wire import moment, quota_usage
from services.chassis.shares import Openings
from services.storage.model import Attributes
from services.storage.service import StorageService
from services.storage.wire import files as wire
from services.storage.wire import records

_FILES = {"default": 100, "maximum": 1000}
_VERSIONS = {"default": 50, "maximum": 500}
_HITS = {"default": 10, "maximum": 100}


class StorageServicer(storage_pb2_grpc.StorageServiceServicer):
    """Implements aios.api.storage.v1.StorageService. The proto says what each method promises."""

    def __init__(self, service: StorageService, openings: Openings | None = None) -> None:
        self._openings = openings
        self._service = service
        self._wire = wire.Wire(service.files.trash_life)

    async def WriteFile(self, request: pb.WriteFileRequest, context: Any) -> pb.WriteFileResponse:
        caller = current_caller()
        new = wire.new_file(request, caller)
        written = await self._service.files.write(wire.call(caller, request.request_id), new)
        return pb.WriteFileResponse(file=self._wire.written(caller, written), created=written.created)

    async def WriteFiles(self, request: pb.WriteFilesRequest, context: Any) -> pb.WriteFilesResponse:
        caller = current_caller()
        call = wire.call(caller, request.request_id)
        made = await self._service.change_sets.commit(call, wire.edits(request, caller), request.comment)
        return pb.WriteFilesResponse(files=[self._wire.outcome(caller, each) for each in made.outcomes])

    async def BeginUpload(self, request: pb.BeginUploadRequest, context: Any) -> pb.BeginUploadResponse:
        caller = current_caller()
        command = wire.begin(request, caller)
        upload = await self._service.uploads.begin(wire.call(caller, request.request_id), command)
        return wire.begun(caller.owner, upload)

    async def UploadChunk(self, request: pb.UploadChunkRequest, context: Any) -> pb.UploadChunkResponse:
        caller = current_caller()
        upload = await self._service.uploads.take(
            wire.call(caller),
            wire.upload_id(request.upload, caller),
            request.offset,
            request.data,
            request.sha256,
        )
        return pb.UploadChunkResponse(upload=wire.upload(caller.owner, upload))

    async def GetUpload(self, request: pb.GetUploadRequest, context: Any) -> pb.GetUploadResponse:
        caller = current_caller()
        upload = await self._service.uploads.get(caller.scope, wire.upload_id(request.name, caller))
        return pb.GetUploadResponse(upload=wire.upload(caller.owner, upload))

    async def CommitUpload(self, request: pb.CommitUploadRequest, context: Any) -> pb.CommitUploadResponse:
        caller = current_caller()
        upload_id = wire.upload_id(request.upload, caller)
        call = wire.call(caller, request.request_id)
        written = await self._service.uploads.commit(call, upload_id, request.sha256)
        return pb.CommitUploadResponse(file=self._wire.written(caller, written), created=written.created)

    async def AbortUpload(self, request: pb.AbortUploadRequest, context: Any) -> pb.AbortUploadResponse:
        caller = current_caller()
        upload_id = wire.upload_id(request.upload, caller)
        await self._service.uploads.abort(wire.call(caller, request.request_id), upload_id)
        return pb.AbortUploadResponse()

    async def ReadFile(self, request: pb.ReadFileRequest, context: Any) -> AsyncIterator[pb.ReadFileResponse]:
        caller = current_caller()
        scope, path = caller.scope, wire.path(request.name, caller)
        reading, offset = self._service.reading, request.offset
        opened = await reading.open(
            scope, path, version=request.version, offset=offset, caller=wire.call(caller)
        )
        yield self._wire.opened(caller.owner, opened)
        async for data in reading.stream(scope, opened, offset=offset, length=request.length):
            yield pb.ReadFileResponse(data=data)

    async def StatFile(self, request: pb.StatFileRequest, context: Any) -> pb.StatFileResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        node = await self._service.files.stat(caller.scope, path, caller=wire.call(caller))
        return pb.StatFileResponse(file=self._wire.file(caller.owner, node))

    async def ListFiles(self, request: pb.ListFilesRequest, context: Any) -> pb.ListFilesResponse:
        caller = current_caller()
        directory = wire.path(request.parent, caller, "parent")
        query = (*_list_of(caller, "files"), directory, int(request.recursive), request.pattern)
        size = paging.page_size(request.page_size, **_FILES)
        nodes = await self._service.files.list_directory(
            caller.scope,
            directory,
            recursive=request.recursive,
            pattern=request.pattern,
            after=_text(request.page_token, query),
            limit=size + 1,
            caller=wire.call(caller),
        )
        token = paging.encode([nodes[size - 1].path], *query) if len(nodes) > size else ""
        files = self._wire.files(caller.owner, nodes[:size])
        return pb.ListFilesResponse(files=files, next_page_token=token)

    async def MakeDirectory(self, request: pb.MakeDirectoryRequest, context: Any) -> pb.MakeDirectoryResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        call = wire.call(caller, request.request_id)
        node = await self._service.files.make_directory(call, path, allow_existing=request.allow_existing)
        return pb.MakeDirectoryResponse(file=self._wire.made(caller, node))

    async def SetFileMetadata(
        self, request: pb.SetFileMetadataRequest, context: Any
    ) -> pb.SetFileMetadataResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        label = Attributes(request.media_type, dict(request.set))
        call = wire.call(caller, request.request_id)
        node = await self._service.files.set_attributes(call, path, label, list(request.remove), request.etag)
        return pb.SetFileMetadataResponse(file=self._wire.file(caller.owner, node))

    async def MoveFile(self, request: pb.MoveFileRequest, context: Any) -> pb.MoveFileResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        destination = wire.path(request.destination, caller, "destination")
        call = wire.call(caller, request.request_id)
        node = await self._service.files.move(
            call, path, destination, etag=request.etag, overwrite=request.overwrite
        )
        return pb.MoveFileResponse(file=self._wire.file(caller.owner, node))

    async def CopyFile(self, request: pb.CopyFileRequest, context: Any) -> pb.CopyFileResponse:
        """Copy, possibly from another agent."""
        caller = current_caller()
        node = await self._service.files.copy(
            wire.call(caller, request.request_id),
            wire.place(request.source, caller, "source"),
            wire.path(request.destination, caller, "destination"),
            version=request.version,
            overwrite=request.overwrite,
            etag=request.destination_etag,
        )
        return pb.CopyFileResponse(file=self._wire.file(caller.owner, node))

    async def DeleteFile(self, request: pb.DeleteFileRequest, context: Any) -> pb.DeleteFileResponse:
        """Move to the trash, or purge."""
        caller = current_caller()
        deleted = await self._service.files.delete(
            wire.call(caller, request.request_id),
            wire.path(request.name, caller),
            etag=request.etag,
            recursive=request.recursive,
            missing_ok=request.allow_missing,
            purge=request.purge,
        )
        return self._wire.deleted(caller.owner, deleted)

    async def ListTrash(self, request: pb.ListTrashRequest, context: Any) -> pb.ListTrashResponse:
        caller = current_caller()
        query = _list_of(caller, "trash")
        size = paging.page_size(request.page_size, **_FILES)
        nodes = await self._service.files.list_trash(
            caller.scope, before=_number(request.page_token, query), limit=size + 1
        )
        token = paging.encode([nodes[size - 1].trash_id], *query) if len(nodes) > size else ""
        files = self._wire.files(caller.owner, nodes[:size])
        return pb.ListTrashResponse(files=files, next_page_token=token)

    async def RestoreFile(self, request: pb.RestoreFileRequest, context: Any) -> pb.RestoreFileResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        node = await self._service.files.restore(wire.call(caller, request.request_id), path)
        return pb.RestoreFileResponse(file=self._wire.file(caller.owner, node))

    async def ListVersions(self, request: pb.ListVersionsRequest, context: Any) -> pb.ListVersionsResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        query = (*_list_of(caller, "versions"), path)
        size = paging.page_size(request.page_size, **_VERSIONS)
        _, versions = await self._service.reading.versions(
            caller.scope,
            path,
            before=_number(request.page_token, query),
            limit=size + 1,
            caller=wire.call(caller),
        )
        token = paging.encode([versions[size - 1].number], *query) if len(versions) > size else ""
        return pb.ListVersionsResponse(
            versions=[wire.version(each) for each in versions[:size]], next_page_token=token
        )

    async def DiffVersions(self, request: pb.DiffVersionsRequest, context: Any) -> pb.DiffVersionsResponse:
        caller = current_caller()
        found = await self._service.reading.compare(
            caller.scope,
            wire.path(request.name, caller),
            old=request.from_version,
            new=request.to_version,
            context=wire.context_lines(request),
            caller=wire.call(caller),
        )
        return wire.comparison(found)

    async def RollbackFile(self, request: pb.RollbackFileRequest, context: Any) -> pb.RollbackFileResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        call = wire.call(caller, request.request_id)
        node = await self._service.reading.roll_back(call, path, wire.target(request), etag=request.etag)
        return pb.RollbackFileResponse(file=self._wire.file(caller.owner, node))

    async def SearchFiles(self, request: pb.SearchFilesRequest, context: Any) -> pb.SearchFilesResponse:
        caller = current_caller()
        search = wire.search(request, caller)
        query = (
            *_list_of(caller, "hits"),
            search.directory,
            search.query,
            search.mode.value,
            search.pattern,
            search.min_score,
            int(request.include_shared),
        )
        place = rankings.place(request.page_token, *query)
        size = paging.page_size(request.page_size, **_HITS)
        hits = await self._service.search.search(
            wire.call(caller),
            search,
            shared=request.include_shared,
            skip=place.rank,
            limit=size + 1,
            ranking=place.ranking,
        )
        token = paging.encode([place.ranking, hits[size].rank], *query) if len(hits) > size else ""
        return pb.SearchFilesResponse(
            hits=[self._wire.hit(hit, caller) for hit in hits[:size]], next_page_token=token
        )

    async def ShareFile(self, request: pb.ShareFileRequest, context: Any) -> pb.ShareFileResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        expires = moment(request, "expire_time")
        call = wire.call(caller, request.request_id)
        share = await self._service.sharing.share(call, path, request.grantee, wire.role(request), expires)
        return pb.ShareFileResponse(share=wire.share(caller.owner, share))

    async def RevokeShare(self, request: pb.RevokeShareRequest, context: Any) -> pb.RevokeShareResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        await self._service.sharing.revoke(wire.call(caller, request.request_id), path, request.grantee)
        return pb.RevokeShareResponse()

    async def ListShares(self, request: pb.ListSharesRequest, context: Any) -> pb.ListSharesResponse:
        caller = current_caller()
        path = wire.path(request.name, caller)
        query = (*_list_of(caller, "shares"), path)
        size = paging.page_size(request.page_size, **_VERSIONS)
        after = wire.share_position(paging.decode(request.page_token, *query, shape=(int, str)))
        shares = await self._service.sharing.list_shares(caller.scope, path)
        shares = [each for each in shares if after is None or each.position > after]
        token = paging.encode(shares[size - 1].position, *query) if len(shares) > size else ""
        return pb.ListSharesResponse(
            shares=[wire.share(caller.owner, each) for each in shares[:size]], next_page_token=token
        )

    async def WatchFiles(
        self, request: pb.WatchFilesRequest, context: Any
    ) -> AsyncIterator[pb.WatchFilesResponse]:
        caller = current_caller()
        path = wire.path(request.parent, caller, "parent")
        async for item in self._service.watching.watch(
            caller.scope, path, request.after_sequence, caller=wire.call(caller)
        ):
            yield self._wire.change(caller.owner, item)

    async def PutRecords(self, request: pb.PutRecordsRequest, context: Any) -> pb.PutRecordsResponse:
        caller = current_caller()
        name = records.collection(request.collection, caller)
        call = wire.call(caller, request.request_id)
        rows, mode = records.rows(request.records), wire.MODES[request.mode]
        put = await self._service.records.put(call, name, rows, mode)
        return pb.PutRecordsResponse(etags=put.etags, created_count=put.created)

    async def QueryRecords(self, request: pb.QueryRecordsRequest, context: Any) -> pb.QueryRecordsResponse:
        caller = current_caller()
        name = records.collection(request.collection, caller)
        question = records.question(request)
        query = (*_list_of(caller, "records"), name, question.fingerprint())
        size = paging.page_size(request.page_size, **_VERSIONS)
        if question.ranked:
            place = rankings.place(request.page_token, *query)
            found = await self._service.records.query(
                caller.scope,
                name,
                question,
                after="",
                skip=place.rank,
                limit=size + 1,
                ranking=place.ranking,
            )
            token = paging.encode([place.ranking, found[size].rank], *query) if len(found) > size else ""
        else:
            after = _text(request.page_token, query)
            found = await self._service.records.query(
                caller.scope, name, question, after=after, skip=0, limit=size + 1
            )
            token = paging.encode([found[size - 1].record.key], *query) if len(found) > size else ""
        hits = [records.hit(each, vector=request.include_vectors) for each in found[:size]]
        return pb.QueryRecordsResponse(hits=hits, next_page_token=token)

    async def DeleteRecords(self, request: pb.DeleteRecordsRequest, context: Any) -> pb.DeleteRecordsResponse:
        caller = current_caller()
        name = records.collection(request.collection, caller)
        call = wire.call(caller, request.request_id)
        question = records.doomed(request)
        count = await self._service.records.delete(call, name, question, everything=request.all)
        return pb.DeleteRecordsResponse(deleted_count=count)

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, context: Any
    ) -> pb.ListCollectionsResponse:
        caller = current_caller()
        query = _list_of(caller, "collections")
        size = paging.page_size(request.page_size, **_VERSIONS)
        found = await self._service.records.collections(
            caller.scope, after=_text(request.page_token, query), limit=size + 1
        )
        token = paging.encode([found[size - 1].name], *query) if len(found) > size else ""
        return pb.ListCollectionsResponse(
            collections=[records.collection_message(caller.owner, each) for each in found[:size]],
            next_page_token=token,
        )

    async def GetUsage(self, request: pb.GetUsageRequest, context: Any) -> pb.GetUsageResponse:
        caller = current_caller()
        totals, limits = await self._service.files.usage(caller.scope)
        used = await self._service.files.quotas(caller.scope)
        return wire.usage(totals, limits, quota_usage(used, caller, self._openings))


def _list_of(caller: Caller, what: str) -> tuple[str, str, str]:
    """Return what ties a page token to a list of this scope."""
    return (what, caller.tenant, caller.owner)


def _text(token: str, query: tuple[paging.Key, ...]) -> str:
    """Return the position in a page token of a list ordered by text; "" at the beginning."""
    position = paging.decode(token, *query, shape=(str,))
    return str(position[0]) if position else ""


def _number(token: str, query: tuple[paging.Key, ...]) -> int:
    """Return the position in a page token of a list counted by numbers; 0 at the beginning."""
    position = paging.decode(token, *query, shape=(int,))
    return int(position[0] or 0) if position else 0
