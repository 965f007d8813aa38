"""Files of an agent as its tools see them: their names, what one is, what becomes of several. Pure."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.tool.errors import ToolFailed

MAX_PATH_BYTES: Final = 1_024
MAX_EDITS: Final = 256
"""Most files that one write changes."""
MAX_EDIT_BYTES: Final = 3 * 1024 * 1024
"""Most bytes that one write carries, of all its files together."""
MAX_FILE_BYTES: Final = 2 * 1024 * 1024
"""Largest file that one write carries."""

_AGENTS: Final = "agents/"
_FILES: Final = "/files/"
_ME: Final = "me"
_UNSAFE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class BadPath(ToolFailed):
    """The path is not one that a file may have, or the files do not fit into one write."""


@dataclass(frozen=True, slots=True)
class FileStat:
    """What a file is."""

    path: str
    """As its reader knows it: see `Files`."""
    size: int
    """Unit: bytes."""
    etag: str
    """What it is at: a write that names it fails once the file has changed."""
    untrusted: bool = False
    """Whether nobody vouches for what it holds, or it is another agent's."""
    directory: bool = False


@dataclass(frozen=True, slots=True)
class FileContent:
    """A part of a file."""

    stat: FileStat
    data: bytes
    offset: int = 0
    """Where the part begins. Unit: bytes."""

    @property
    def truncated(self) -> bool:
        """Whether the file goes on behind the part."""
        return self.offset + len(self.data) < self.stat.size


@dataclass(frozen=True, slots=True)
class FileList:
    """Files that match, by path."""

    files: tuple[FileStat, ...]
    more: bool = False
    """Whether there are more than were wanted."""

    @property
    def untrusted(self) -> bool:
        """Whether nobody vouches for one of the names."""
        return any(file.untrusted for file in self.files)


@dataclass(frozen=True, slots=True)
class FileEdit:
    """What becomes of one file."""

    path: str
    etag: str
    """What it was read at; empty: there must be no such file."""
    data: bytes | None
    """Its new bytes; None: it goes to the trash."""


def check_path(path: str) -> str:
    """Return a path that is relative, normal and spelt in the one way that storage takes.

    Raises BadPath.
    """
    if not path or len(path) > MAX_PATH_BYTES or len(path.encode(errors="replace")) > MAX_PATH_BYTES:
        raise BadPath(f"a path has 1 to {MAX_PATH_BYTES} bytes")
    if any(unicodedata.category(character) in _UNSAFE for character in path) or "\\" in path:
        raise BadPath("a path has no control characters and no backslash")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise BadPath("a path is relative and has no empty, '.' or '..' part")
    if unicodedata.normalize("NFC", path) != path:
        raise BadPath("a path is spelt in Unicode normalization form C")
    return path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file lies."""

    owner: str
    """The agent whose file it is; empty: the caller's own."""
    path: str

    def shown(self) -> str:
        """Return the path as the caller knows it: one that `place` takes for this place."""
        if not self.owner and place(self.path) == self:
            return self.path
        return f"{_AGENTS}{self.owner or _ME}{_FILES}{self.path}"


def place(path: str) -> Place:
    """Tell whose file a path means, the full name of another agent's included.

    Raises BadPath.
    """
    check_path(path)
    owner, found, rest = path.removeprefix(_AGENTS).partition(_FILES)
    if not (path.startswith(_AGENTS) and found and rest and "/" not in owner):
        return Place("", path)
    return Place("" if owner == _ME else owner, rest)


def check_own(path: str) -> str:
    """Return a path of the caller's own files that is no full name of any.

    Raises BadPath.
    """
    if place(path) != Place("", path):
        raise BadPath(f"{path!r} is a full name: here only the agent's own files are used, by their paths")
    return path


def common_directory(paths: list[str]) -> str:
    """Return the deepest directory that all paths lie in or below."""
    split = [path.split("/")[:-1] for path in paths]
    shared: list[str] = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)


def check_edits(edits: Sequence[FileEdit]) -> list[Place]:
    """Return where the files of one write lie.

    Raises BadPath, for a write of more than one may carry and for one of several agents too.
    """
    places = [place(edit.path) for edit in edits]
    if not 1 <= len(edits) <= MAX_EDITS:
        raise BadPath(f"one write changes 1 to {MAX_EDITS} files, not {len(edits)}")
    if len({each.owner for each in places}) > 1:
        raise BadPath("one write changes the files of one agent")
    if len(set(places)) != len(places):
        raise BadPath("one write names each file once")
    sizes = [len(edit.data or b"") for edit in edits]
    if max(sizes) > MAX_FILE_BYTES or sum(sizes) > MAX_EDIT_BYTES:
        raise BadPath(f"one write carries {MAX_FILE_BYTES} bytes of a file, {MAX_EDIT_BYTES} in all")
    return places
