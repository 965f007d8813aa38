"""The files of a fake kernel: versions in lists."""

import difflib
import hashlib
import re
from collections.abc import AsyncIterator

from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from aios.errors import AlreadyExists, EtagMismatch, NotFound, OutOfRange, PreconditionFailed
from aios.testing.caller import Caller

PIECE = 64 * 1024


class FakeFiles:
    """Keeps every version of every file in memory. Directories exist as long as something lies in them."""

    def __init__(self) -> None:
        self.versions: dict[str, list[tuple[bytes, res.FileVersion]]] = {}
        self._uploads: dict[str, tuple[pb.BeginUploadRequest, bytearray]] = {}
        self._trash: dict[str, list[tuple[bytes, res.FileVersion]]] = {}

    async def write_file(self, request: pb.WriteFileRequest, caller: Caller) -> pb.WriteFileResponse:
        name = caller.resolve(request.name, write=True)
        created = self._check(name, request.mode, request.etag)
        old = b"" if created or not request.append else self.versions[name][-1][0]
        self._add(name, old + request.content, caller, request.comment)
        return pb.WriteFileResponse(file=self._file(name), created=created)

    async def write_files(self, request: pb.WriteFilesRequest, caller: Caller) -> pb.WriteFilesResponse:
        """WriteFiles: everything is checked before anything is changed."""
        parent = caller.resolve(request.parent, write=True)
        names = [f"{parent}/{edit.path}" for edit in request.edits]
        for name, edit in zip(names, request.edits, strict=True):
            self._check(name, pb.WRITE_MODE_REPLACE if edit.etag else pb.WRITE_MODE_CREATE, edit.etag)
        changed = []
        for name, edit in zip(names, request.edits, strict=True):
            if edit.HasField("deletion"):
                changed.append(self._file(name))
                self._trash[name] = self.versions.pop(name)
            else:
                self._add(name, edit.content, caller, request.comment)
                changed.append(self._file(name))
        return pb.WriteFilesResponse(files=changed)

    async def begin_upload(self, request: pb.BeginUploadRequest, caller: Caller) -> pb.BeginUploadResponse:
        request.file = caller.resolve(request.file, write=True)
        name = f"agents/{caller.agent}/uploads/{len(self._uploads) + 1}"
        self._uploads[name] = (request, bytearray())
        upload = res.Upload(name=name, file=request.file, total_bytes=request.total_bytes)
        return pb.BeginUploadResponse(upload=upload, chunk_bytes=PIECE)

    async def upload_chunk(self, request: pb.UploadChunkRequest, caller: Caller) -> pb.UploadChunkResponse:
        begun, received = self._upload(request.upload, caller)
        if request.offset > len(received):
            raise OutOfRange(
                "the chunk leaves a gap",
                reason="OFFSET_MISMATCH",
                metadata={"expected_offset": str(len(received))},
            )
        received[request.offset :] = request.data
        upload = res.Upload(name=request.upload, file=begun.file, offset=len(received))
        return pb.UploadChunkResponse(upload=upload)

    async def commit_upload(self, request: pb.CommitUploadRequest, caller: Caller) -> pb.CommitUploadResponse:
        begun, received = self._upload(request.upload, caller)
        created = self._check(begun.file, begun.mode, begun.etag)
        self._add(begun.file, bytes(received), caller, begun.comment)
        return pb.CommitUploadResponse(file=self._file(begun.file), created=created)

    async def read_file(
        self, request: pb.ReadFileRequest, caller: Caller
    ) -> AsyncIterator[pb.ReadFileResponse]:
        name = caller.resolve(request.name)
        data, version = self._version(name, request.version)
        file = self._file(name)
        file.version, file.size_bytes, file.sha256 = version.version, version.size_bytes, version.sha256
        yield pb.ReadFileResponse(file=file)
        end = request.offset + request.length if request.length else len(data)
        for start in range(request.offset, min(end, len(data)), PIECE):
            yield pb.ReadFileResponse(data=data[start : min(start + PIECE, end)])

    async def stat_file(self, request: pb.StatFileRequest, caller: Caller) -> pb.StatFileResponse:
        name = caller.resolve(request.name)
        if name not in self.versions and self._below(name):
            return pb.StatFileResponse(file=res.File(name=name, kind=res.FILE_KIND_DIRECTORY))
        self._version(name, 0)
        return pb.StatFileResponse(file=self._file(name))

    async def list_files(self, request: pb.ListFilesRequest, caller: Caller) -> pb.ListFilesResponse:
        """ListFiles, in one page."""
        parent = caller.resolve(request.parent)
        found: dict[str, res.File] = {}
        for name in self._below(parent):
            inner = name.removeprefix(f"{parent}/")
            head, slash, _ = inner.partition("/")
            if slash and not request.pattern:
                found[head] = res.File(name=f"{parent}/{head}", kind=res.FILE_KIND_DIRECTORY)
            if (request.recursive or not slash) and _matches(inner, request.pattern):
                found[inner] = self._file(name)
        return pb.ListFilesResponse(files=[found[path] for path in sorted(found)])

    async def make_directory(
        self, request: pb.MakeDirectoryRequest, caller: Caller
    ) -> pb.MakeDirectoryResponse:
        """MakeDirectory: here a directory is what its files make it."""
        name = caller.resolve(request.name, write=True)
        if name in self.versions:
            raise PreconditionFailed(f"{name} is a file", reason="WRONG_FILE_KIND")
        return pb.MakeDirectoryResponse(file=res.File(name=name, kind=res.FILE_KIND_DIRECTORY))

    async def move_file(self, request: pb.MoveFileRequest, caller: Caller) -> pb.MoveFileResponse:
        """MoveFile, files only."""
        name = caller.resolve(request.name, write=True)
        target = caller.resolve(request.destination, write=True)
        self._version(name, 0)
        if target in self.versions and not request.overwrite:
            raise AlreadyExists(f"{target} exists")
        self.versions[target] = self.versions.pop(name)
        return pb.MoveFileResponse(file=self._file(target))

    async def copy_file(self, request: pb.CopyFileRequest, caller: Caller) -> pb.CopyFileResponse:
        """CopyFile, files only."""
        data, _ = self._version(caller.resolve(request.source), request.version)
        target = caller.resolve(request.destination, write=True)
        if target in self.versions and not request.overwrite:
            raise AlreadyExists(f"{target} exists")
        self._add(target, data, caller, "")
        return pb.CopyFileResponse(file=self._file(target))

    async def delete_file(self, request: pb.DeleteFileRequest, caller: Caller) -> pb.DeleteFileResponse:
        name = caller.resolve(request.name, write=True)
        below = self._below(name)
        if below and not request.recursive:
            raise PreconditionFailed(f"{name} is not empty", reason="DIRECTORY_NOT_EMPTY")
        going = [one for one in [name, *below] if one in self.versions]
        if not going and not request.allow_missing:
            raise _missing(name)
        for one in going:
            self._trash[one] = self.versions.pop(one)
        return pb.DeleteFileResponse(deleted_count=len(going))

    async def list_trash(self, request: pb.ListTrashRequest, caller: Caller) -> pb.ListTrashResponse:
        """ListTrash, in one page."""
        parent = caller.resolve(request.parent)
        found = []
        for name in reversed(self._trash):
            if name.startswith(f"{parent}/files/"):
                data, version = self._trash[name][-1]
                found.append(res.File(name=name, kind=res.FILE_KIND_FILE, size_bytes=len(data)))
                found[-1].version = version.version
        return pb.ListTrashResponse(files=found)

    async def restore_file(self, request: pb.RestoreFileRequest, caller: Caller) -> pb.RestoreFileResponse:
        """RestoreFile, files only."""
        name = caller.resolve(request.name, write=True)
        if name not in self._trash:
            raise _missing(name)
        self.versions[name] = self._trash.pop(name)
        return pb.RestoreFileResponse(file=self._file(name))

    async def list_versions(self, request: pb.ListVersionsRequest, caller: Caller) -> pb.ListVersionsResponse:
        """ListVersions, in one page."""
        name = caller.resolve(request.name)
        self._version(name, 0)
        return pb.ListVersionsResponse(versions=[version for _, version in reversed(self.versions[name])])

    async def diff_versions(self, request: pb.DiffVersionsRequest, caller: Caller) -> pb.DiffVersionsResponse:
        name = caller.resolve(request.name)
        new, newer = self._version(name, request.to_version)
        old, older = self._version(name, request.from_version or max(newer.version - 1, 1))
        before, after = old.decode().splitlines(), new.decode().splitlines()
        around = request.context_lines if request.HasField("context_lines") else 3
        lines = list(difflib.unified_diff(before, after, lineterm="", n=around))
        return pb.DiffVersionsResponse(
            from_version=older.version,
            to_version=newer.version,
            unified_diff="\n".join(lines),
            added_lines=sum(line.startswith("+") and not line.startswith("+++") for line in lines),
            removed_lines=sum(line.startswith("-") and not line.startswith("---") for line in lines),
        )

    async def rollback_file(self, request: pb.RollbackFileRequest, caller: Caller) -> pb.RollbackFileResponse:
        """RollbackFile, by version or steps."""
        name = caller.resolve(request.name, write=True)
        newest = self._version(name, 0)[1].version
        data, _ = self._version(name, request.version or newest - request.steps)
        self._add(name, data, caller, "rollback")
        return pb.RollbackFileResponse(file=self._file(name))

    async def search_files(self, request: pb.SearchFilesRequest, caller: Caller) -> pb.SearchFilesResponse:
        """SearchFiles: the share of the query's words that a file has."""
        parent = caller.resolve(request.parent)
        words = set(request.query.lower().split())
        hits = []
        for name in self._below(parent):
            text = self.versions[name][-1][0].decode(errors="replace")
            score = sum(word in text.lower() for word in words) / max(len(words), 1)
            if score > 0:
                hits.append(pb.FileHit(file=self._file(name), score=score, snippet=text[:200]))
        hits.sort(key=lambda hit: -hit.score)
        return pb.SearchFilesResponse(hits=hits[: request.page_size or 10])

    async def get_usage(self, request: pb.GetUsageRequest, caller: Caller) -> pb.GetUsageResponse:
        names = self._below(f"{caller.resolve(request.name)}/files")
        size = sum(len(self.versions[name][-1][0]) for name in names)
        return pb.GetUsageResponse(file_bytes=size, file_count=len(names), quota_bytes=1 << 30)

    def _below(self, name: str) -> list[str]:
        return sorted(one for one in self.versions if one.startswith(f"{name}/"))

    def _upload(self, name: str, caller: Caller) -> tuple[pb.BeginUploadRequest, bytearray]:
        resolved = caller.resolve(name, write=True)
        if resolved not in self._uploads:
            raise NotFound(f"no {name}", reason="UPLOAD_NOT_FOUND")
        return self._uploads[resolved]

    def _check(self, name: str, mode: pb.WriteMode, etag: str) -> bool:
        """Return whether a write makes a new file. Raises what the kernel raises."""
        new = name not in self.versions
        if not new and mode == pb.WRITE_MODE_CREATE:
            raise AlreadyExists(f"{name} exists")
        if new and (mode == pb.WRITE_MODE_REPLACE or etag):
            raise _missing(name)
        if etag and self.versions[name][-1][1].etag != etag:
            raise EtagMismatch(f"{name} has changed")
        return new

    def _add(self, name: str, data: bytes, caller: Caller, comment: str) -> None:
        versions = self.versions.setdefault(name, [])
        number = len(versions) + 1
        version = res.FileVersion(
            version=number,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            writer=f"agents/{caller.agent}",
            comment=comment,
            etag=f"v{number}",
        )
        version.create_time.GetCurrentTime()
        versions.append((data, version))

    def _version(self, name: str, number: int) -> tuple[bytes, res.FileVersion]:
        versions = self.versions.get(name, [])
        if not versions or not 0 <= number <= len(versions):
            raise _missing(name)
        return versions[number - 1]

    def _file(self, name: str) -> res.File:
        version = self.versions[name][-1][1]
        return res.File(
            name=name,
            kind=res.FILE_KIND_FILE,
            size_bytes=version.size_bytes,
            version=version.version,
            etag=version.etag,
            sha256=version.sha256,
            media_type="text/plain",
            update_time=version.create_time,
            writer=version.writer,
        )


def _matches(path: str, pattern: str) -> bool:
    """Tell whether a path fits: `*` is anything but a slash, `**` anything, `?` one character but a slash."""
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    form = "".join(parts.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*|\?)", pattern))
    return not pattern or re.fullmatch(form, path) is not None


def _missing(name: str) -> NotFound:
    path = name.partition("/files/")[2]
    return NotFound(f"no file or directory at {path!r}", reason="FILE_NOT_FOUND", metadata={"path": path})
