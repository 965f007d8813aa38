"""The Files port in memory: one agent's files, and those that others share with it."""

from collections.abc import Sequence
from itertools import count

from services.storage.core.globs import Pattern
from services.storage.core.paths import below
from services.tool.core import files
from services.tool.core.files import FileContent, FileEdit, FileList, FileStat
from tests.fakes.storage_errors import exists, missing, stale


class MemoryFiles:
    """Files by path as the agent writes it; what is in `untrusted`, and others' files, nobody vouches for."""

    def __init__(self, **given: bytes) -> None:
        self.contents: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.untrusted: set[str] = set()
        self.writes: list[list[FileEdit]] = []
        """Every write that was made."""
        self._numbers = count(1)
        self._answers: dict[str, list[FileStat]] = {}
        for path, data in given.items():
            self.put(path, data)

    def put(self, path: str, data: bytes) -> str:
        """Keep a file and return its etag."""
        files.check_path(path)
        self.contents[path] = data
        self.etags[path] = f"e{next(self._numbers)}"
        return self.etags[path]

    async def list(self, directory: str, pattern: str, *, limit: int) -> FileList:
        """List files that match."""
        wanted = Pattern(pattern)
        first, last = below(files.check_path(directory) if directory else "")
        inside = sorted(path for path in self.contents if first <= path < last)
        start = len(directory) + 1 if directory else 0
        found = [self._stat(path) for path in inside if wanted.matches(path[start:])]
        return FileList(tuple(found[:limit]), more=len(found) > limit)

    async def stat(self, path: str) -> FileStat:
        """Tell what a file is."""
        files.check_path(path)
        if path not in self.contents:
            raise missing(path)
        return self._stat(path)

    async def read(self, path: str, *, limit: int, offset: int = 0) -> FileContent:
        """Return a part of a file."""
        stat = await self.stat(path)
        return FileContent(stat, self.contents[path][offset : offset + limit], offset)

    async def write(self, edits: Sequence[FileEdit], *, request_id: str) -> Sequence[FileStat]:
        """Change several files, or none."""
        files.check_edits(edits)
        if request_id in self._answers:
            return self._answers[request_id]
        for edit in edits:
            self._check(edit)
        self.writes.append(list(edits))
        made = [self._apply(edit) for edit in edits]
        if request_id:
            self._answers[request_id] = made
        return made

    def _check(self, edit: FileEdit) -> None:
        current = self.etags.get(edit.path)
        if current is None and edit.etag:
            raise missing(edit.path)
        if current is not None and not edit.etag:
            raise exists(edit.path)
        if current is not None and edit.etag != current:
            raise stale(edit.path)

    def _apply(self, edit: FileEdit) -> FileStat:
        if edit.data is None:
            gone = FileStat(edit.path, len(self.contents.pop(edit.path)), "")
            del self.etags[edit.path]
            return gone
        self.put(edit.path, edit.data)
        return self._stat(edit.path)

    def _stat(self, path: str) -> FileStat:
        shared = bool(files.place(path).owner)
        untrusted = shared or path in self.untrusted
        return FileStat(path, len(self.contents[path]), self.etags[path], untrusted=untrusted)
