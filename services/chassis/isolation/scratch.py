"""The directories that jobs work in: what is put in, what comes out, how much is there, and taking them away.

What a job left is never followed: every step is by descriptor, one name at a time, and through no link. All
of this blocks: for a thread.
"""

import contextlib
import fcntl
import itertools
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

MAX_DEPTH: Final = 64
"""Of directories in a scratch; a deeper one is stopped like a full disk."""
MAX_NAME: Final = 255
MAX_PATH: Final = 1024
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PREFIX: Final = "aios-sandbox-"
_LOCK: Final = ".lock"
_YOUNG_SECONDS: Final = 60.0


class TooMuchError(Exception):
    """There is more in a scratch than may be, or something that cannot be looked into."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a scratch."""

    bytes: int
    entries: int


class Scratches:
    """The place for all scratches of this process; it goes with the process, or the next one removes it."""

    def __init__(self, parent: str = "") -> None:
        """Make the place in a directory that exists, by default the system's for temporary files.

        Raises OSError.
        """
        above = Path(parent or tempfile.gettempdir())
        _sweep(above)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
        self.path.chmod(0o711)  # others may pass, to what they know and own
        self._lock = _locked(self.path)
        self._numbers = itertools.count(1)

    def make(self, uid: int | None) -> Path:
        """Make an empty scratch that is its user's alone."""
        made = self.path / str(next(self._numbers))
        made.mkdir(mode=0o700)
        if uid is not None:
            os.chown(made, uid, uid)
        return made

    def close(self) -> None:
        """Take the place away."""
        remove(self.path)
        os.close(self._lock)


def _locked(path: Path) -> int:
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _sweep(above: Path) -> None:
    """Remove the places of processes that were killed: their own, and locked by nobody."""
    for found in above.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            about = found.lstat()
            young = time.time() - about.st_mtime < _YOUNG_SECONDS  # its owner may be about to lock it
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or young:
                continue
            lock = os.open(found / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(found)
            finally:
                os.close(lock)


def is_path(path: str) -> bool:
    """Tell whether a path is relative, normal and short, so that it can lie in a scratch."""
    parts = path.split("/")
    return (
        0 < len(path) <= MAX_PATH
        and "\0" not in path
        and len(parts) <= MAX_DEPTH
        and all(
            part not in {"", ".", ".."} and len(part.encode(errors="surrogatepass")) <= MAX_NAME
            for part in parts
        )
    )


def put(scratch: Path, files: Mapping[str, bytes], uid: int | None) -> None:
    """Write files into a scratch that nobody works in yet. Raises ValueError for a path that cannot be."""
    for path, content in files.items():
        if not is_path(path):
            raise ValueError(f"{path!r} is no path of a file")
        made = scratch
        for part in PurePosixPath(path).parent.parts:
            made /= part
            with contextlib.suppress(FileExistsError):
                made.mkdir(mode=0o700)
                _give(made, uid)
        descriptor = os.open(
            scratch / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        _give(scratch / path, uid)


def _give(path: Path, uid: int | None) -> None:
    if uid is not None:
        os.chown(path, uid, uid, follow_symlinks=False)


def _walk(scratch: Path) -> Iterator[tuple[int, str, str, os.stat_result]]:
    """Yield directory, path, name and state of all in it, by descriptor. Raises TooMuchError."""
    try:
        root = os.open(scratch, _DIRECTORY)
    except OSError as error:
        raise TooMuchError("the scratch cannot be looked into") from error
    opened = [(root, "", _names(root))]
    try:
        while opened:
            directory, above, names = opened[-1]
            name = next(names, None)
            if name is None:
                opened.pop()
                os.close(directory)
                continue
            with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                about = os.stat(name, dir_fd=directory, follow_symlinks=False)
                yield directory, above + name, name, about
                if stat.S_ISDIR(about.st_mode):
                    opened.append(_below(directory, name, above, len(opened)))
    finally:
        for directory, _, _ in opened:
            os.close(directory)


def _below(directory: int, name: str, above: str, depth: int) -> tuple[int, str, Iterator[str]]:
    if depth >= MAX_DEPTH:
        raise TooMuchError("directories lie too deep in each other")
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TooMuchError("a directory cannot be looked into") from error
    return descriptor, f"{above}{name}/", _names(descriptor)


def _names(directory: int) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            yield entry.name


def measure(scratch: Path, *, most_entries: int) -> Content:
    """Return how much is in a scratch, while a job works in it. Raises TooMuchError beyond the entries."""
    total = entries = 0
    for _, _, _, about in _walk(scratch):
        entries += 1
        total += about.st_blocks * 512
        if entries > most_entries:
            raise TooMuchError("there are too many files")
    return Content(total, entries)


def collect(
    scratch: Path, given: Mapping[str, bytes], *, most_bytes: int, most_entries: int
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the files that are not as they were given, and those that are gone, when the job is no more.

    Regular files with one name only; links, devices and names that are no text are passed over. Raises
    TooMuchError.
    """
    found: dict[str, bytes] = {}
    present = set()
    total = entries = 0
    for directory, path, name, about in _walk(scratch):
        entries += 1
        if entries > most_entries:
            raise TooMuchError("there are too many files")
        if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1 or not _is_text(path) or not is_path(path):
            continue
        content = _content(directory, name, most_bytes - total)
        if content is None:
            continue
        present.add(path)
        if given.get(path) != content:
            total += len(content)
            found[path] = content
    return found, tuple(path for path in given if path not in present)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _content(directory: int, name: str, most: int) -> bytes | None:
    """Read a regular file with one name. Raises TooMuchError when it is larger than may come out."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=directory)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
            return None
        if about.st_size > most:
            raise TooMuchError("the files are too large")
        content = file.read(most + 1)
    if len(content) > most:
        raise TooMuchError("the files are too large")
    return content


def remove(path: Path) -> None:
    """Take a directory away with all in it, however deep it goes; nobody works in it any more."""
    with contextlib.suppress(OSError):
        about = path.lstat()
        if not stat.S_ISDIR(about.st_mode):
            path.unlink()
            return
        _empty(path)
        path.rmdir()
    if path.exists():
        shutil.rmtree(path, ignore_errors=True)


def _empty(path: Path) -> None:
    """Empty a directory one level at a time: what lies deeper is moved up first, so no path grows long."""
    root = os.open(path, _DIRECTORY)
    fresh = (f"{secrets.token_hex(8)}-{number}" for number in itertools.count())
    try:
        while names := os.listdir(root):  # noqa: PTH208 - of a descriptor
            for name in names:
                if not _unlinked(root, name):
                    _raise_content(root, name, fresh)
    finally:
        os.close(root)


def _unlinked(root: int, name: str) -> bool:
    """Remove one entry; False: it is a directory that is not empty."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=root)
        return True
    try:
        os.rmdir(name, dir_fd=root)
    except OSError:
        return False
    return True


def _raise_content(root: int, name: str, fresh: Iterator[str]) -> None:
    """Move the directories in a directory up to the root, and remove everything else in it."""
    os.chmod(name, 0o700, dir_fd=root)  # it may have none; nobody is there to put a link in its place
    directory = os.open(name, _DIRECTORY, dir_fd=root)
    try:
        for one in os.listdir(directory):  # noqa: PTH208 - of a descriptor
            if not _unlinked(directory, one):
                os.chmod(one, 0o700, dir_fd=directory)
                os.rename(one, next(fresh), src_dir_fd=directory, dst_dir_fd=root)
    finally:
        os.close(directory)
