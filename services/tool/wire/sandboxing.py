"""Jobs for a sandbox that is a process of its own, and what it says of them."""

from collections.abc import Iterator
from typing import Final

from aios.api.sandbox.v1 import sandbox_pb2
from services.tool.core.sandboxing import EndKind, Limits, SandboxEnd, SandboxJob, SandboxLevel

PIECE_BYTES: Final = 256 * 1024
TALK_BYTES: Final = 64 * 1024
WINDOW_BYTES: Final = 256 * 1024

LEVELS: Final = {
    sandbox_pb2.LEVEL_NAMESPACES: SandboxLevel.NAMESPACES,
    sandbox_pb2.LEVEL_LANDLOCK: SandboxLevel.LANDLOCK,
    sandbox_pb2.LEVEL_SINGLE: SandboxLevel.SINGLE,
}
"""What is not among them is no level to rely on."""

STREAMS: Final = {sandbox_pb2.PART_STDOUT: "stdout", sandbox_pb2.PART_STDERR: "stderr"}

_ENDS: Final = {
    sandbox_pb2.END_KIND_EXITED: EndKind.EXITED,
    sandbox_pb2.END_KIND_SIGNALLED: EndKind.SIGNALLED,
    sandbox_pb2.END_KIND_TIMEOUT: EndKind.TIMEOUT,
    sandbox_pb2.END_KIND_MEMORY: EndKind.MEMORY,
    sandbox_pb2.END_KIND_DISK: EndKind.DISK,
    sandbox_pb2.END_KIND_OUTPUT: EndKind.OUTPUT,
    sandbox_pb2.END_KIND_PROCESSES: EndKind.PROCESSES,
    sandbox_pb2.END_KIND_STOPPED: EndKind.STOPPED,
}


def begin(job: SandboxJob, *, talk: bool) -> sandbox_pb2.RunRequest:
    """Convert what is to be run; what it gets follows in pieces."""
    return sandbox_pb2.RunRequest(
        begin=sandbox_pb2.Begin(
            argv=job.argv,
            environment=job.environment,
            limits=_limits(job.limits),
            want_files=job.want_files,
            mounts=[
                sandbox_pb2.Mount(inside=inside, outside=outside) for inside, outside in job.mounts.items()
            ],
            talk=talk,
        )
    )


def _limits(limits: Limits) -> sandbox_pb2.Limits:
    return sandbox_pb2.Limits(
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        wall_seconds=limits.wall_seconds,
        scratch_bytes=limits.scratch_bytes,
        scratch_entries=limits.scratch_entries,
        processes=limits.processes,
        output_bytes=limits.output_bytes,
        kept_bytes=limits.kept_bytes,
        address_bytes=limits.address_bytes,
        open_files=limits.open_files,
        answer_bytes=limits.answer_bytes,
        network=limits.network,
    )


def pieces(job: SandboxJob) -> Iterator[sandbox_pb2.RunRequest]:
    """Convert what it gets, piece by piece."""
    yield from _pieces(sandbox_pb2.PART_PYTHON, job.python.encode())
    yield from _pieces(sandbox_pb2.PART_STDIN, job.stdin)
    for path, data in job.files.items():
        yield from _pieces(sandbox_pb2.PART_FILE, data, path)


def _pieces(part: sandbox_pb2.Part, data: bytes, path: str | None = None) -> Iterator[sandbox_pb2.RunRequest]:
    """Cut something into pieces; of an empty file one empty piece."""
    raw = (path or "").encode("utf-8", "surrogateescape")
    for at in range(0, max(len(data), 0 if path is None else 1), PIECE_BYTES):
        piece = sandbox_pb2.Piece(part=part, path=raw, data=data[at : at + PIECE_BYTES])
        yield sandbox_pb2.RunRequest(piece=piece)


def said(what: str, *, data: bytes = b"", count: int = 0) -> sandbox_pb2.RunRequest:
    """Return a message by the name of its field; `data` goes into `write`, `count` into `taken`."""
    made = sandbox_pb2.RunRequest()
    getattr(made, what).SetInParent()
    if data:
        made.write.data = data
    if count:
        made.taken.bytes = count
    return made


class Received:
    """What a job left, collected piece by piece within what it may leave.

    Whoever breaks out of the sandbox may be the one who speaks, so nothing more is taken than was granted.
    """

    def __init__(self, job: SandboxJob) -> None:
        limits = job.limits
        self._outputs = {
            sandbox_pb2.PART_STDOUT: (bytearray(), limits.kept_bytes),
            sandbox_pb2.PART_STDERR: (bytearray(), limits.kept_bytes),
            sandbox_pb2.PART_ANSWER: (bytearray(), limits.answer_bytes),
        }
        self._files: dict[str, bytearray] = {}
        self._room = limits.scratch_bytes if job.want_files else -1
        self._entries = limits.scratch_entries
        self._given = frozenset(job.files)

    def add(self, piece: sandbox_pb2.Piece) -> bool:
        """Take a piece; False when it is more than the job may leave, or no part of it."""
        if piece.part == sandbox_pb2.PART_FILE:
            return self._add_file(piece.path.decode("utf-8", "surrogateescape"), piece.data)
        into, limit = self._outputs.get(piece.part, (bytearray(), 0))
        if len(into) + len(piece.data) > limit:
            return False
        into += piece.data
        return True

    def _add_file(self, path: str, data: bytes) -> bool:
        self._room -= len(data)
        names = path.split("/")
        plain = not any(name in ("", ".", "..") or "\0" in name for name in names)
        if self._room < 0 or not plain or (path not in self._files and len(self._files) >= self._entries):
            return False
        self._files.setdefault(path, bytearray()).extend(data)
        return True

    def end(self, end: sandbox_pb2.End) -> SandboxEnd | None:
        """Return how the job ended, and all it left; None: the sandbox said nothing that is known here."""
        if end.how not in _ENDS:
            return None
        gone = [path.decode("utf-8", "surrogateescape") for path in end.removed]
        stdout, stderr, answer = (bytes(data) for data, _ in self._outputs.values())
        return SandboxEnd(
            how=_ENDS[end.how],
            code=end.code,
            stdout=stdout,
            stderr=stderr,
            truncated=end.truncated,
            answer=answer,
            files={path: bytes(data) for path, data in self._files.items()},
            removed=tuple(path for path in gone if path in self._given),
            memory_bytes=max(0, end.memory_bytes),
            cpu_seconds=max(0.0, end.cpu_seconds),
        )
