"""The Sandbox port on a sandbox that is a process of its own, as in Kubernetes."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

import grpc

from aios.api.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc
from services.chassis.rpc.errors import KernelError
from services.chassis.rpc.status import peer_error
from services.chassis.runtime.logs import logger
from services.chassis.sandbox.port import Heard
from services.tool.adapters.sandbox_stream import JobStream
from services.tool.core.sandboxing import SandboxEnd, SandboxJob, SandboxLevel
from services.tool.errors import SandboxLost, SandboxUnavailable, ToolFailed
from services.tool.wire import sandboxing
from services.tool.wire.sandboxing import LEVELS, TALK_BYTES

LOOK_SECONDS: Final = 5.0
"""Time between two looks at how the sandbox is."""

_ANSWER_SECONDS: Final = 3.0
_SPARE_SECONDS: Final = 120.0
"""What a stream may take beside the time of its program: the wait for a place, and the ways."""

_LONGEST_SECONDS: Final = 35_000.0


_log = logger(__name__)


class RemoteSandbox:
    """Has jobs run by another process. `watch` asks it in the background how it is."""

    def __init__(self, channel: grpc.aio.Channel, key_file: Path | None) -> None:
        """`key_file` holds the credential; it is read again at each look, as it may be replaced."""
        self._stub: sandbox_pb2_grpc.SandboxServiceAsyncStub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        self._key_file = key_file
        self._metadata: tuple[tuple[str, str], ...] = ()
        self._level = SandboxLevel.NONE
        self._problem = "the sandbox has not been asked yet"

    @property
    def level(self) -> SandboxLevel:
        """What keeps jobs in there, as it was told last; NONE while that is not known."""
        return self._level

    @property
    def problem(self) -> str:
        """Return why nothing can be run, as it was told last; empty: it can."""
        return self._problem

    async def watch(self) -> None:
        """Look again and again, at first at once. Never returns."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Ask the sandbox how it is."""
        try:
            self._metadata = await asyncio.to_thread(self._credential)
            told = await self._stub.GetSandbox(
                sandbox_pb2.GetSandboxRequest(), metadata=self._metadata, timeout=_ANSWER_SECONDS
            )
        except (OSError, ValueError) as error:
            self._note(SandboxLevel.NONE, f"the credential for the sandbox cannot be read: {error}")
        except grpc.aio.AioRpcError as failure:
            known = peer_error(failure)
            self._note(SandboxLevel.NONE, f"the sandbox does not answer: {known.message}")
        else:
            level = LEVELS.get(told.level, SandboxLevel.NONE)
            nothing = "" if level is not SandboxLevel.NONE else "nothing isolates there"
            self._note(level, told.problem[:1000] or nothing)

    def _note(self, level: SandboxLevel, problem: str) -> None:
        if (level, problem) != (self._level, self._problem):
            log = _log.warning if problem else _log.info
            log("the sandbox is another than it was", isolation=level.value, problem=problem)
        self._level, self._problem = level, problem

    def _credential(self) -> tuple[tuple[str, str], ...]:
        if self._key_file is None:
            raise ValueError("no file is named")
        key = self._key_file.read_text().strip()
        if not key or not key.isascii() or not key.isprintable():
            raise ValueError("the file holds no credential")
        return (("authorization", f"Bearer {key}"),)

    async def run(self, job: SandboxJob, heard: Heard | None = None) -> SandboxEnd:
        """Run a job to its end; see the port."""
        stream = self._stream(job, heard)
        try:
            await stream.begin(talk=False)
            return await stream.ended()
        finally:
            await _over(stream)

    async def open(self, job: SandboxJob) -> "RemoteProcess":
        """Start a program to talk to; see the port."""
        stream = self._stream(job)
        try:
            await stream.begin(talk=True)
        except BaseException:
            await _over(stream)
            raise
        return RemoteProcess(stream)

    def _stream(self, job: SandboxJob, heard: Heard | None = None) -> JobStream:
        if not self._metadata:
            raise SandboxUnavailable(f"no program can be run: {self._problem}", retry_after=1.0)
        seconds = min(_LONGEST_SECONDS, job.limits.wall_seconds + _SPARE_SECONDS)
        return JobStream(self._stub.Run(metadata=self._metadata, timeout=seconds), job, heard)


async def _over(stream: JobStream) -> None:
    """Have nothing of a job left, though who waited for it was cancelled; bounded in time."""
    await asyncio.shield(asyncio.create_task(stream.stop()))


class RemoteProcess:
    """A program in another process's sandbox that is talked to."""

    def __init__(self, stream: JobStream) -> None:
        self._stream = stream

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it does not read. Raises ToolFailed when it has ended."""
        stream = self._stream
        for at in range(0, len(data), TALK_BYTES):
            piece = data[at : at + TALK_BYTES]
            try:
                await stream.until(lambda: stream.end is not None or stream.owed < TALK_BYTES)
                if stream.end is not None:
                    raise ToolFailed("the program has ended")
                stream.owed += len(piece)
                await stream.send(sandboxing.said("write", data=piece))
            except (SandboxLost, SandboxUnavailable):
                raise ToolFailed("the program has ended") from None

    async def read(self) -> bytes:
        """Return the next piece of its standard output, at most 64 KiB; empty: it will write no more."""
        stream = self._stream
        with suppress(SandboxLost, SandboxUnavailable):
            await stream.until(lambda: bool(stream.output or stream.told_all or stream.end is not None))
        if not stream.output:
            return b""
        piece = stream.output.popleft()
        if stream.end is None and stream.error is None:
            with suppress(KernelError):  # what a lost program wrote before is read to the end
                await stream.send(sandboxing.said("taken", count=len(piece)))
        return piece

    async def end(self) -> SandboxEnd:
        """Wait until it has ended by itself, or passed a limit. Raises SandboxLost."""
        return await self._stream.ended()

    async def stop(self) -> SandboxEnd:
        """End it with all it started, and return when nothing of it is left. Idempotent."""
        return await asyncio.shield(asyncio.create_task(self._stream.stop()))
