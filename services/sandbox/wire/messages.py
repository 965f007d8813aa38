"""The messages of a job's stream, both ways."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from aios.api.sandbox.v1 import sandbox_pb2
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.sandbox.terms import EndKind, Limits, SandboxEnd, SandboxJob, SandboxLevel
from services.sandbox.model import (
    Admitted,
    Alive,
    Answer,
    Begin,
    Ended,
    Event,
    Heard,
    Output,
    Part,
    Piece,
    Start,
    Started,
    Stop,
    Taken,
    Write,
)

_PARTS: Final = {
    Part.STDIN: sandbox_pb2.PART_STDIN,
    Part.PYTHON: sandbox_pb2.PART_PYTHON,
    Part.FILE: sandbox_pb2.PART_FILE,
    Part.STDOUT: sandbox_pb2.PART_STDOUT,
    Part.STDERR: sandbox_pb2.PART_STDERR,
    Part.ANSWER: sandbox_pb2.PART_ANSWER,
}
_PARTS_READ: Final = {value: key for key, value in _PARTS.items()}

_ENDS: Final = {
    EndKind.EXITED: sandbox_pb2.END_KIND_EXITED,
    EndKind.SIGNALLED: sandbox_pb2.END_KIND_SIGNALLED,
    EndKind.TIMEOUT: sandbox_pb2.END_KIND_TIMEOUT,
    EndKind.MEMORY: sandbox_pb2.END_KIND_MEMORY,
    EndKind.DISK: sandbox_pb2.END_KIND_DISK,
    EndKind.OUTPUT: sandbox_pb2.END_KIND_OUTPUT,
    EndKind.PROCESSES: sandbox_pb2.END_KIND_PROCESSES,
    EndKind.STOPPED: sandbox_pb2.END_KIND_STOPPED,
}

LEVELS: Final = {
    SandboxLevel.NAMESPACES: sandbox_pb2.LEVEL_NAMESPACES,
    SandboxLevel.LANDLOCK: sandbox_pb2.LEVEL_LANDLOCK,
    SandboxLevel.SINGLE: sandbox_pb2.LEVEL_SINGLE,
    SandboxLevel.NONE: sandbox_pb2.LEVEL_NONE,
}


async def events(requests: AsyncIterator[sandbox_pb2.RunRequest]) -> AsyncIterator[Event]:
    """Convert what the caller says, message by message. Raises InvalidRequest."""
    async for request in requests:
        yield event(request)


def event(request: sandbox_pb2.RunRequest) -> Event:
    """Convert one message of the caller. Raises InvalidRequest."""
    said = request.WhichOneof("message")
    if said not in _EVENTS:
        raise InvalidRequest.field("message", "says nothing that is known here")
    return _EVENTS[said](getattr(request, said))


def _begin(begin: sandbox_pb2.Begin) -> Begin:
    job = SandboxJob(
        argv=tuple(begin.argv),
        environment=dict(begin.environment),
        limits=_limits(begin.limits),
        want_files=begin.want_files,
        mounts={mount.inside: mount.outside for mount in begin.mounts},
    )
    return Begin(job, begin.talk)


def _limits(limits: sandbox_pb2.Limits) -> Limits:
    return Limits(
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        wall_seconds=limits.wall_seconds,
        scratch_bytes=limits.scratch_bytes,
        scratch_entries=limits.scratch_entries,
        processes=limits.processes,
        output_bytes=limits.output_bytes,
        kept_bytes=limits.kept_bytes,
        answer_bytes=limits.answer_bytes,
        network=limits.network,
        address_bytes=limits.address_bytes,
        open_files=limits.open_files or Limits().open_files,
    )


def response(answer: Answer) -> sandbox_pb2.RunResponse:
    """Convert what the sandbox says."""
    said = sandbox_pb2.RunResponse()
    match answer:
        case Admitted():
            said.admitted.SetInParent()
        case Started():
            said.started.SetInParent()
        case Heard():
            said.heard.part, said.heard.data = _PARTS[answer.part], answer.data
        case Output():
            said.output.SetInParent()
            said.output.data = answer.data
        case Taken():
            said.taken.bytes = answer.count
        case Piece():
            piece = sandbox_pb2.Piece(part=_PARTS[answer.part], path=_raw(answer.path), data=answer.data)
            said.piece.CopyFrom(piece)
        case Ended():
            said.end.CopyFrom(_end(answer.end))
    return said


def _end(end: SandboxEnd) -> sandbox_pb2.End:
    return sandbox_pb2.End(
        how=_ENDS[end.how],
        code=end.code,
        truncated=end.truncated,
        removed=[_raw(path) for path in end.removed],
        memory_bytes=end.memory_bytes,
        cpu_seconds=end.cpu_seconds,
    )


def path_of(raw: bytes) -> str:
    """Convert a path as the file system has it; what is no UTF-8 comes back as it was."""
    return raw.decode("utf-8", "surrogateescape")


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


_EVENTS: Final[Mapping[str, Callable[[Any], Event]]] = {
    "begin": _begin,
    "piece": lambda piece: Piece(_PARTS_READ[piece.part], piece.data, path_of(piece.path)),
    "start": lambda _: Start(),
    "write": lambda write: Write(write.data),
    "taken": lambda taken: Taken(taken.bytes),
    "stop": lambda _: Stop(),
    "alive": lambda _: Alive(),
}
