"""What a job gets, collected piece by piece within what it announced. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from services.chassis.rpc.errors import InvalidRequest
from services.chassis.sandbox.errors import SandboxUnavailable
from services.chassis.sandbox.terms import SandboxJob
from services.sandbox.model import Part, Piece

INPUT_BYTES: Final = 16 * 1024 * 1024
"""Most that source and standard input of a job hold together."""


def weight(job: SandboxJob) -> int:
    """Return the bytes that a job may take: memory, scratch (which is memory here) and what it brings."""
    limits = job.limits
    return limits.memory_bytes + limits.scratch_bytes


def admit(job: SandboxJob, *, offered: Sequence[str], network: bool) -> None:
    """Check what a job asks for against what is granted here. Raises InvalidRequest, SandboxUnavailable."""
    if job.limits.network and not network:
        raise SandboxUnavailable("this sandbox gives the network to no program")
    for inside, outside in job.mounts.items():
        if not PurePosixPath(inside).is_absolute() or not _plain(inside):
            raise InvalidRequest.field("begin.mounts", "not absolute, or not normal")
        if not _offered(outside, offered):
            raise SandboxUnavailable("this sandbox does not offer a directory that the program wants")


class Intake:
    """Collects what comes for one job."""

    def __init__(self, head: SandboxJob) -> None:
        self._head = head
        self._input = {Part.STDIN: bytearray(), Part.PYTHON: bytearray()}
        self._files: dict[str, bytearray] = {}
        self._open: str | None = None
        """The file whose pieces come just now."""
        self._room = INPUT_BYTES
        self._scratch = head.limits.scratch_bytes

    def add(self, piece: Piece) -> None:
        """Take a piece. Raises InvalidRequest when it is out of place or more than was announced."""
        if piece.part is Part.FILE:
            self._add_file(piece)
            return
        into = self._input.get(piece.part)
        if into is None:
            raise InvalidRequest.field("piece.part", "not something that a program gets")
        self._room -= len(piece.data)
        if self._room < 0:
            raise InvalidRequest.field("piece.data", f"source and input hold more than {INPUT_BYTES} bytes")
        into += piece.data

    def _add_file(self, piece: Piece) -> None:
        path = piece.path
        if path != self._open:
            if path in self._files:
                raise InvalidRequest.field("piece.path", "a file that has come already")
            if not path or PurePosixPath(path).is_absolute() or not _plain(path):
                raise InvalidRequest.field("piece.path", "not relative, or not normal")
            if len(self._files) >= self._head.limits.scratch_entries:
                raise InvalidRequest.field("piece.path", "more files than the scratch may hold")
            self._files[path] = bytearray()
            self._open = path
        self._scratch -= len(piece.data)
        if self._scratch < 0:
            raise InvalidRequest.field("piece.data", "more than the scratch may hold")
        self._files[path] += piece.data

    def job(self) -> SandboxJob:
        """Return the whole job, and let go of what was collected."""
        made = replace(
            self._head,
            stdin=bytes(self._input[Part.STDIN]),
            python=self._source(),
            files={path: bytes(data) for path, data in self._files.items()},
        )
        self._files.clear()
        return made

    def _source(self) -> str:
        raw = bytes(self._input[Part.PYTHON])
        if raw and self._head.argv:
            raise InvalidRequest.field("begin.argv", "a program and source for an interpreter")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise InvalidRequest.field("piece.data", "the source is no UTF-8") from None


def _plain(path: str) -> bool:
    """Whether a path is written without detours, and without what is no name."""
    names = path.removeprefix("/").split("/")
    return all(name not in ("", ".", "..") and "\0" not in name for name in names)


def _offered(path: str, offered: Sequence[str]) -> bool:
    if not _plain(path):
        return False
    return any(PurePosixPath(path).is_relative_to(each) for each in offered)
