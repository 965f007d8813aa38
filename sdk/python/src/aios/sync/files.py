"""Synchronous twin of `aios.calls.files`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from aios.calls.files import Files
from aios.calls.upload import Source
from aios.sync.portal import Portal
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


class SyncFiles:
    """Reads and writes files by path.

    `agent` names another agent's files, which needs a share; default: the own.
    """

    def __init__(self, inner: Files, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def write(
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
        return self._portal.run(
            self._inner.write(
                path,
                content,
                append=append,
                mode=mode,
                etag=etag,
                media_type=media_type,
                metadata=metadata,
                comment=comment,
                agent=agent,
                timeout=timeout,
            )
        )

    def write_all(
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
        return self._portal.run(
            self._inner.write_all(files, etags=etags, comment=comment, agent=agent, timeout=timeout)
        )

    def upload(
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
        return self._portal.run(
            self._inner.upload(
                path,
                source,
                mode=mode,
                etag=etag,
                media_type=media_type,
                metadata=metadata,
                comment=comment,
                agent=agent,
                timeout=timeout,
            )
        )

    def read(
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
        return self._portal.run(
            self._inner.read(
                path, version=version, offset=offset, length=length, agent=agent, timeout=timeout
            )
        )

    def read_text(
        self, path: str, *, version: int = 0, agent: str = "me", timeout: float | None = None
    ) -> str:
        """Return a file as text. Raises UnicodeDecodeError when it is not UTF-8, and what `read` raises."""
        return self._portal.run(self._inner.read_text(path, version=version, agent=agent, timeout=timeout))

    def stream(
        self,
        path: str,
        *,
        version: int = 0,
        offset: int = 0,
        length: int = 0,
        agent: str = "me",
        timeout: float | None = None,
    ) -> Iterator[bytes]:
        """Yield a file's bytes in pieces, each once, also after a broken connection. Errors as for `read`."""
        return self._portal.iterate(
            self._inner.stream(
                path, version=version, offset=offset, length=length, agent=agent, timeout=timeout
            )
        )

    def stat(self, path: str, *, agent: str = "me", timeout: float | None = None) -> FileInfo:
        """Return what a file or directory is. Raises NotFound, PermissionDenied."""
        return self._portal.run(self._inner.stat(path, agent=agent, timeout=timeout))

    def list(
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
        return self._portal.run(
            self._inner.list(
                path, recursive=recursive, pattern=pattern, agent=agent, limit=limit, timeout=timeout
            )
        )

    def mkdir(
        self, path: str, *, exist_ok: bool = True, agent: str = "me", timeout: float | None = None
    ) -> FileInfo:
        """Make a directory and those it lies in.

        Raises AlreadyExists unless `exist_ok`, PreconditionFailed.
        """
        return self._portal.run(self._inner.mkdir(path, exist_ok=exist_ok, agent=agent, timeout=timeout))

    def move(
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
        return self._portal.run(
            self._inner.move(path, destination, overwrite=overwrite, etag=etag, agent=agent, timeout=timeout)
        )

    def copy(
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
        return self._portal.run(
            self._inner.copy(
                path,
                destination,
                version=version,
                overwrite=overwrite,
                agent=agent,
                to_agent=to_agent,
                timeout=timeout,
            )
        )

    def delete(
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
        return self._portal.run(
            self._inner.delete(
                path,
                recursive=recursive,
                missing_ok=missing_ok,
                purge=purge,
                etag=etag,
                agent=agent,
                timeout=timeout,
            )
        )

    def restore(self, path: str, *, agent: str = "me", timeout: float | None = None) -> FileInfo:
        """Bring the last deleted file or directory of a path back, with its versions.

        Raises NotFound, AlreadyExists.
        """
        return self._portal.run(self._inner.restore(path, agent=agent, timeout=timeout))

    def trash(self, *, agent: str = "me", timeout: float | None = None) -> Sequence[FileInfo]:
        """Return what is in the trash, last deleted first."""
        return self._portal.run(self._inner.trash(agent=agent, timeout=timeout))

    def versions(
        self, path: str, *, agent: str = "me", limit: int | None = None, timeout: float | None = None
    ) -> Sequence[FileVersion]:
        """Return the versions of a file, newest first.

        Raises NotFound, PreconditionFailed for a directory.
        """
        return self._portal.run(self._inner.versions(path, agent=agent, limit=limit, timeout=timeout))

    def diff(
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
        return self._portal.run(
            self._inner.diff(
                path,
                from_version=from_version,
                to_version=to_version,
                context_lines=context_lines,
                agent=agent,
                timeout=timeout,
            )
        )

    def rollback(
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
        return self._portal.run(
            self._inner.rollback(
                path, version=version, steps=steps, before=before, etag=etag, agent=agent, timeout=timeout
            )
        )

    def search(
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
        return self._portal.run(
            self._inner.search(
                query,
                path=path,
                mode=mode,
                pattern=pattern,
                min_score=min_score,
                include_shared=include_shared,
                limit=limit,
                agent=agent,
                timeout=timeout,
            )
        )

    def share(
        self,
        path: str,
        grantee: str,
        *,
        role: ShareRole = "reader",
        expire_time: datetime | None = None,
        timeout: float | None = None,
    ) -> FileShare:
        """Let an agent (or `groups/...`) use a file, or a directory with all it holds. Raises NotFound."""
        return self._portal.run(
            self._inner.share(path, grantee, role=role, expire_time=expire_time, timeout=timeout)
        )

    def revoke_share(self, path: str, grantee: str, *, timeout: float | None = None) -> None:
        """Take a share back; the grantee loses access at once."""
        self._portal.run(self._inner.revoke_share(path, grantee, timeout=timeout))

    def shares(self, path: str, *, timeout: float | None = None) -> Sequence[FileShare]:
        """Return the shares of a file or directory, those of the directories it lies in included."""
        return self._portal.run(self._inner.shares(path, timeout=timeout))

    def watch(
        self, path: str = "", *, after_sequence: int = 0, agent: str = "me", timeout: float | None = None
    ) -> Iterator[FileEvent]:
        """Yield what changes below a directory, each change once, also after a broken connection.

        `timeout` bounds the whole watch. Unit: seconds; default: no bound. Raises NotFound, OutOfRange when
        events after `after_sequence` are no longer kept, PermissionDenied also when a share is taken back.
        """
        return self._portal.iterate(
            self._inner.watch(path, after_sequence=after_sequence, agent=agent, timeout=timeout)
        )

    def usage(self, *, agent: str = "me", timeout: float | None = None) -> StorageUsage:
        """Return how much storage the agent uses and may use."""
        return self._portal.run(self._inner.usage(agent=agent, timeout=timeout))

    def download(
        self, path: str, target: Path, *, version: int = 0, agent: str = "me", timeout: float | None = None
    ) -> int:
        """Copy a file, the newest or a given version, to a local path and return its length in bytes.

        The local file is replaced once all has come. Raises what `read` raises, and OSError.
        """
        return self._portal.run(
            self._inner.download(path, target, version=version, agent=agent, timeout=timeout)
        )
