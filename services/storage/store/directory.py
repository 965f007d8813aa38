"""Blobs as files of a directory: `<root>/<tenant>/<agent>/<first two digits>/<sha256>`.

A piece is written to a temporary file, synced, renamed into place, and the directory synced: after `put`
returns the piece survives a power cut, and no reader ever sees a part of it.
"""

import contextlib
import errno
import itertools
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import DataCorrupt, DiskFull
from services.storage.core.content import sha256

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TEMPORARY = ".part"
_QUARANTINE = ".corrupt"
_DIGEST_LENGTH = 64


class DirectoryBlobs:
    """The BlobStore port on a local or shared file system."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, scope: Scope, digest: str, data: bytes) -> None:
        """Store a piece durably; a piece that is there in full length is only marked as used."""
        path = self._path(scope, digest)
        if _size(path) == len(data):
            os.utime(path)
            return
        try:
            _make_directories(path.parent, self._root)
            _write(path, data)
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFull("the disk is full") from error
            raise

    def get(self, scope: Scope, digest: str) -> bytes:
        """Return a piece; one that does not match its name is put aside and never sent."""
        path = self._path(scope, digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise _corrupt(digest, "is missing") from error
        except OSError as error:  # a bad sector
            raise _corrupt(digest, "cannot be read") from error
        if sha256(data) != digest:
            with contextlib.suppress(FileNotFoundError):  # another reader was faster
                path.rename(path.with_suffix(_QUARANTINE))
            raise _corrupt(digest, "does not match its checksum")
        return data

    def has(self, scope: Scope, digest: str) -> bool:
        """Tell whether a piece is there."""
        return self._path(scope, digest).exists()

    def remove(self, scope: Scope, digest: str) -> None:
        """Remove a piece."""
        self._path(scope, digest).unlink(missing_ok=True)

    def idle(self, scope: Scope, *, seconds: float, limit: int) -> list[str]:
        """List pieces that were not put for `seconds`; temporary files of that age are removed."""
        latest = time.time() - seconds
        found: list[str] = []
        for entry in _files(self._directory(scope)):
            try:
                old = entry.stat().st_mtime <= latest
            except FileNotFoundError:
                continue
            if old and entry.name.endswith(_TEMPORARY):
                Path(entry.path).unlink(missing_ok=True)
            elif old and len(entry.name) == _DIGEST_LENGTH:
                found.append(entry.name)
            if len(found) >= limit:
                break
        return found

    def purge(self, scope: Scope, *, limit: int) -> int:
        """Remove up to `limit` files of a scope, broken ones too, and at the end its directory."""
        directory = self._directory(scope)
        doomed = list(itertools.islice(_files(directory), limit))
        for entry in doomed:
            Path(entry.path).unlink(missing_ok=True)
        if not doomed:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(directory)
        return len(doomed)

    def _directory(self, scope: Scope) -> Path:
        return self._root / _safe(scope.tenant) / _safe(scope.agent)

    def _path(self, scope: Scope, digest: str) -> Path:
        return self._directory(scope) / digest[:2] / digest


def _safe(name: str) -> str:
    """Turn an id into one harmless name of a directory: no slash, no leading dot."""
    quoted = quote(name, safe="")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{uuid.uuid4().hex}{_TEMPORARY}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _make_directories(path: Path, root: Path) -> None:
    """Make the directories from `root` to `path` and make their names durable."""
    if path.is_dir():
        return
    if path == root:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        _make_directories(path.parent, root)
        path.mkdir(mode=0o700, exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(directory: Path) -> Iterator["os.DirEntry[str]"]:
    if not directory.is_dir():
        return
    with os.scandir(directory) as groups:
        for group in list(groups):
            with os.scandir(group.path) as entries:
                yield from entries


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _corrupt(digest: str, what: str) -> DataCorrupt:
    return DataCorrupt(f"the stored piece {digest[:12]} {what}", metadata={"sha256": digest})
