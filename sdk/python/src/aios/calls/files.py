"""`kernel.files`: the agent's versioned files."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from aios._paging import pages
from aios._streams import follow_forever
from aios._transport import Transport
from aios._wire import files as wire
from aios._wire.common import agent_name, timestamp
from aios.api.storage.v1 import storage_pb2 as pb
from aios.calls.upload import Source, upload
from aios.types.files import (
    FileDiff,
    FileEvent,
    FileHit,
    FileInfo,
    FileVersion,
    ShareRole,
    StorageUsage,
    WriteMode,
)
from aios.types.files import Share as FileShare
from aios.types.memory import SearchMode

SMALL = 1024 * 1024
"""Content up to this many bytes is written in one call, larger content in chunks."""


class Files:
    """Reads and writes files by path.

    `agent` names another agent's files, which needs a share; default: the own.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def write(
        self,
        path: str,
        content: str | bytes,
        *,
        append: bool = False,
        mode: WriteMode = "any",
        etag: str = "",
        media_type: str = "",
        metadata: Mapping[str, str] | None = None,
        comment: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> FileInfo:
        """Write a whole file as a new version and make its directories; text is UTF-8.

        Content beyond 1 MiB goes in chunks. `mode` `create` refuses to replace, `replace` refuses to
        create; `etag` replaces only that version. Raises AlreadyExists, NotFound, EtagMismatch,
        QuotaExceeded, DiskFull, PreconditionFailed where a directory is in the way.
        """
        data = content.encode() if isinstance(content, str) else content
        if len(data) > SMALL and not append:
            return await self.upload(
                path, data, mode=mode, etag=etag, media_type=media_type, metadata=metadata, comment=comment,
                agent=agent, timeout=timeout,
            )  # fmt: skip
        request = pb.WriteFileRequest(
            name=wire.file_name(path, agent),
            content=data,
            append=append,
            mode=wire.write_mode(mode),
            etag=etag,
            media_type=media_type,
            metadata=metadata or {},
            comment=comment,
            sha256="" if append else hashlib.sha256(data).hexdigest(),
        )
        response = await self._transport.call(request, pb.WriteFileResponse, timeout=timeout)
        return wire.file(response.file)

    async def write_all(
        self,
        files: Mapping[str, str | bytes | None],
        *,
        etags: Mapping[str, str] | None = None,
        comment: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> list[FileInfo]:
        """Change up to 256 files as one write, all or none; None as content moves a file to the trash.

        `etags` names what each file was read at; of one without there must be none. Raises AlreadyExists,
        NotFound, EtagMismatch, QuotaExceeded, PreconditionFailed, InvalidRequest.
        """
        known = etags or {}
        request = pb.WriteFilesRequest(
            parent=wire.file_name("", agent),
            edits=[wire.edit(path, known.get(path, ""), content) for path, content in files.items()],
            comment=comment,
        )
        response = await self._transport.call(request, pb.WriteFilesResponse, timeout=timeout)
        return [wire.file(file) for file in response.files]

    async def upload(
        self,
        path: str,
        source: Source,
        *,
        mode: WriteMode = "any",
        etag: str = "",
        media_type: str = "",
        metadata: Mapping[str, str] | None = None,
        comment: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> FileInfo:
        """Write a big file in chunks from bytes or a local file; it appears whole or not at all.

        Survives restarts of the kernel. `timeout` bounds each chunk. Errors as for `write`; OSError from
        the local file.
        """
        begin = pb.BeginUploadRequest(
            file=wire.file_name(path, agent),
            mode=wire.write_mode(mode),
            etag=etag,
            media_type=media_type,
            metadata=metadata or {},
            comment=comment,
        )
        return wire.file(await upload(self._transport, begin, source, timeout))

    async def read(
        self,
        path: str,
        *,
        version: int = 0,
        offset: int = 0,
        length: int = 0,
        agent: str = "me",
        timeout: float | None = None,
    ) -> bytes:
        """Return a file's bytes: of the newest or a given version, whole or from `offset` for `length`.

        Raises NotFound, PermissionDenied, PreconditionFailed for a directory, OutOfRange, DataLoss.
        """
        parts = self.stream(path, version=version, offset=offset, length=length, agent=agent, timeout=timeout)
        return b"".join([part async for part in parts])

    async def read_text(
        self, path: str, *, version: int = 0, agent: str = "me", timeout: float | None = None
    ) -> str:
        """Return a file as text. Raises UnicodeDecodeError when it is not UTF-8, and what `read` raises."""
        return (await self.read(path, version=version, agent=agent, timeout=timeout)).decode()

    async def stream(
        self,
        path: str,
        *,
        version: int = 0,
        offset: int = 0,
        length: int = 0,
        agent: str = "me",
        timeout: float | None = None,
    ) -> AsyncIterator[bytes]:
        """Yield a file's bytes in pieces, each once, also after a broken connection. Errors as for `read`."""
        position, seen = offset, version

        def request() -> pb.ReadFileRequest:
            left = length - (position - offset) if length else 0
            return pb.ReadFileRequest(
                name=wire.file_name(path, agent), version=seen, offset=position, length=left
            )

        def resume() -> pb.ReadFileRequest | None:
            return None if length and position - offset >= length else request()

        responses = self._transport.stream(request(), pb.ReadFileResponse, timeout=timeout, resume=resume)
        async with aclosing(responses):
            async for response in responses:
                if response.WhichOneof("event") == "file":
                    seen = response.file.version
                    continue
                position += len(response.data)
                yield response.data

    async def stat(self, path: str, *, agent: str = "me", timeout: float | None = None) -> FileInfo:
        """Return what a file or directory is. Raises NotFound, PermissionDenied."""
        request = pb.StatFileRequest(name=wire.file_name(path, agent))
        return wire.file((await self._transport.call(request, pb.StatFileResponse, timeout=timeout)).file)

    async def list(
        self,
        path: str = "",
        *,
        recursive: bool = False,
        pattern: str = "",
        agent: str = "me",
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[FileInfo]:
        """Return what a directory holds, by name; `pattern`: `*` any but a slash, `**` any, `?` one.

        Raises NotFound, PreconditionFailed for a file. `timeout` bounds each page.
        """

        async def page(token: str) -> tuple[list[FileInfo], str]:
            request = pb.ListFilesRequest(
                parent=wire.file_name(path, agent),
                recursive=recursive,
                pattern=pattern,
                page_size=500,
                page_token=token,
            )
            response = await self._transport.call(request, pb.ListFilesResponse, timeout=timeout)
            return [wire.file(file) for file in response.files], response.next_page_token

        return await pages(page, limit)

    async def mkdir(
        self, path: str, *, exist_ok: bool = True, agent: str = "me", timeout: float | None = None
    ) -> FileInfo:
        """Make a directory and those it lies in.

        Raises AlreadyExists unless `exist_ok`, PreconditionFailed.
        """
        request = pb.MakeDirectoryRequest(name=wire.file_name(path, agent), allow_existing=exist_ok)
        return wire.file(
            (await self._transport.call(request, pb.MakeDirectoryResponse, timeout=timeout)).file
        )

    async def move(
        self,
        path: str,
        destination: str,
        *,
        overwrite: bool = False,
        etag: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> FileInfo:
        """Move or rename a file, or a directory with all it holds.

        Raises NotFound, AlreadyExists, EtagMismatch.
        """
        request = pb.MoveFileRequest(
            name=wire.file_name(path, agent),
            destination=wire.file_name(destination, agent),
            etag=etag,
            overwrite=overwrite,
        )
        return wire.file((await self._transport.call(request, pb.MoveFileResponse, timeout=timeout)).file)

    async def copy(
        self,
        path: str,
        destination: str,
        *,
        version: int = 0,
        overwrite: bool = False,
        agent: str = "me",
        to_agent: str = "me",
        timeout: float | None = None,
    ) -> FileInfo:
        """Copy a file or directory, possibly to another agent.

        Raises NotFound, AlreadyExists, QuotaExceeded.
        """
        request = pb.CopyFileRequest(
            source=wire.file_name(path, agent),
            destination=wire.file_name(destination, to_agent),
            version=version,
            overwrite=overwrite,
        )
        return wire.file((await self._transport.call(request, pb.CopyFileResponse, timeout=timeout)).file)

    async def delete(
        self,
        path: str,
        *,
        recursive: bool = False,
        missing_ok: bool = False,
        purge: bool = False,
        etag: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> int:
        """Move a file or directory to the trash, or `purge` it for good; return how many went.

        Raises NotFound unless `missing_ok`, PreconditionFailed for a full directory unless `recursive`,
        EtagMismatch.
        """
        request = pb.DeleteFileRequest(
            name=wire.file_name(path, agent),
            etag=etag,
            recursive=recursive,
            allow_missing=missing_ok,
            purge=purge,
        )
        return (await self._transport.call(request, pb.DeleteFileResponse, timeout=timeout)).deleted_count

    async def restore(self, path: str, *, agent: str = "me", timeout: float | None = None) -> FileInfo:
        """Bring the last deleted file or directory of a path back, with its versions.

        Raises NotFound, AlreadyExists.
        """
        request = pb.RestoreFileRequest(name=wire.file_name(path, agent))
        return wire.file((await self._transport.call(request, pb.RestoreFileResponse, timeout=timeout)).file)

    async def trash(self, *, agent: str = "me", timeout: float | None = None) -> Sequence[FileInfo]:
        """Return what is in the trash, last deleted first."""

        async def page(token: str) -> tuple[list[FileInfo], str]:
            request = pb.ListTrashRequest(parent=agent_name(agent), page_size=500, page_token=token)
            response = await self._transport.call(request, pb.ListTrashResponse, timeout=timeout)
            return [wire.file(file) for file in response.files], response.next_page_token

        return await pages(page, None)

    async def versions(
        self, path: str, *, agent: str = "me", limit: int | None = None, timeout: float | None = None
    ) -> Sequence[FileVersion]:
        """Return the versions of a file, newest first.

        Raises NotFound, PreconditionFailed for a directory.
        """

        async def page(token: str) -> tuple[list[FileVersion], str]:
            request = pb.ListVersionsRequest(
                name=wire.file_name(path, agent), page_size=200, page_token=token
            )
            response = await self._transport.call(request, pb.ListVersionsResponse, timeout=timeout)
            return [wire.version(version) for version in response.versions], response.next_page_token

        return await pages(page, limit)

    async def diff(
        self,
        path: str,
        *,
        from_version: int = 0,
        to_version: int = 0,
        context_lines: int = 3,
        agent: str = "me",
        timeout: float | None = None,
    ) -> FileDiff:
        """Compare two versions line by line; by default the newest with the one before it.

        Raises NotFound, PreconditionFailed when they are no text.
        """
        request = pb.DiffVersionsRequest(
            name=wire.file_name(path, agent),
            from_version=from_version,
            to_version=to_version,
            context_lines=context_lines,
        )
        return wire.diff(await self._transport.call(request, pb.DiffVersionsResponse, timeout=timeout))

    async def rollback(
        self,
        path: str,
        *,
        version: int = 0,
        steps: int = 0,
        before: datetime | None = None,
        etag: str = "",
        agent: str = "me",
        timeout: float | None = None,
    ) -> FileInfo:
        """Write an old version again as the newest: that version, so many `steps` back, or the one of a time.

        Give exactly one of the three. Raises NotFound, EtagMismatch, QuotaExceeded.
        """
        request = pb.RollbackFileRequest(
            name=wire.file_name(path, agent),
            version=version,
            steps=steps,
            before_time=timestamp(before),
            etag=etag,
        )
        return wire.file((await self._transport.call(request, pb.RollbackFileResponse, timeout=timeout)).file)

    async def search(
        self,
        query: str,
        *,
        path: str = "",
        mode: SearchMode = "hybrid",
        pattern: str = "",
        min_score: float = 0.0,
        include_shared: bool = False,
        limit: int = 10,
        agent: str = "me",
        timeout: float | None = None,
    ) -> Sequence[FileHit]:
        """Return the text files below a directory that fit the query, best first.

        Raises InvalidRequest, NotFound.
        """
        request = pb.SearchFilesRequest(
            parent=wire.file_name(path, agent),
            query=query,
            mode=wire.search_mode(mode),
            pattern=pattern,
            min_score=min_score,
            include_shared=include_shared,
            page_size=limit,
        )
        response = await self._transport.call(request, pb.SearchFilesResponse, timeout=timeout)
        return [wire.hit(hit) for hit in response.hits]

    async def share(
        self,
        path: str,
        grantee: str,
        *,
        role: ShareRole = "reader",
        expire_time: datetime | None = None,
        timeout: float | None = None,
    ) -> FileShare:
        """Let an agent (or `groups/...`) use a file, or a directory with all it holds. Raises NotFound."""
        request = pb.ShareFileRequest(
            name=wire.file_name(path),
            grantee=_grantee(grantee),
            role=wire.role(role),
            expire_time=timestamp(expire_time),
        )
        return wire.share((await self._transport.call(request, pb.ShareFileResponse, timeout=timeout)).share)

    async def revoke_share(self, path: str, grantee: str, *, timeout: float | None = None) -> None:
        """Take a share back; the grantee loses access at once."""
        request = pb.RevokeShareRequest(name=wire.file_name(path), grantee=_grantee(grantee))
        await self._transport.call(request, pb.RevokeShareResponse, timeout=timeout)

    async def shares(self, path: str, *, timeout: float | None = None) -> Sequence[FileShare]:
        """Return the shares of a file or directory, those of the directories it lies in included."""

        async def page(token: str) -> tuple[list[FileShare], str]:
            request = pb.ListSharesRequest(name=wire.file_name(path), page_size=200, page_token=token)
            response = await self._transport.call(request, pb.ListSharesResponse, timeout=timeout)
            return [wire.share(share) for share in response.shares], response.next_page_token

        return await pages(page, None)

    async def watch(
        self, path: str = "", *, after_sequence: int = 0, agent: str = "me", timeout: float | None = None
    ) -> AsyncIterator[FileEvent]:
        """Yield what changes below a directory, each change once, also after a broken connection.

        `timeout` bounds the whole watch. Unit: seconds; default: no bound. Raises NotFound, OutOfRange when
        events after `after_sequence` are no longer kept, PermissionDenied also when a share is taken back.
        """
        position = after_sequence

        def request() -> pb.WatchFilesRequest:
            return pb.WatchFilesRequest(parent=wire.file_name(path, agent), after_sequence=position)

        responses = follow_forever(self._transport, request, pb.WatchFilesResponse, timeout=timeout)
        async with aclosing(responses):
            async for response in responses:
                position = max(position, response.sequence)
                yield wire.event(response)

    async def usage(self, *, agent: str = "me", timeout: float | None = None) -> StorageUsage:
        """Return how much storage the agent uses and may use."""
        request = pb.GetUsageRequest(name=agent_name(agent))
        return wire.usage(await self._transport.call(request, pb.GetUsageResponse, timeout=timeout))

    async def download(
        self,
        path: str,
        target: Path,
        *,
        version: int = 0,
        agent: str = "me",
        timeout: float | None = None,
    ) -> int:
        """Copy a file, the newest or a given version, to a local path and return its length in bytes.

        The local file is replaced once all has come. Raises what `read` raises, and OSError.
        """
        from aios.calls.upload import store  # noqa: PLC0415  # local files are rarely touched

        pieces = self.stream(path, version=version, agent=agent, timeout=timeout)
        return await store(pieces, target)


def _grantee(name: str) -> str:
    return name if "/" in name else f"agents/{name}"
