"""A sandbox that isolates nothing and runs nothing: jobs do by their first argument what a program would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc

from aios.api.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc
from services.chassis.rpc import client
from services.chassis.runtime.clock import SystemClock
from services.chassis.runtime.server import ChassisServer
from services.chassis.sandbox.errors import SandboxUnavailable
from services.chassis.sandbox.port import Heard, Sandbox
from services.chassis.sandbox.terms import EndKind, Limits, SandboxEnd, SandboxJob, SandboxLevel
from services.sandbox.adapters.callers import Callers, NobodyElse
from services.sandbox.core.places import Places
from services.sandbox.service.admission import Admission
from services.sandbox.service.session import Deps
from services.sandbox.servicer import SandboxServicer
from services.tool.adapters.remote_sandbox import RemoteSandbox
from services.tool.errors import ToolFailed
from tests.fakes.rpc import running

KEY = "the-credential-of-the-tool-manager"
DIGEST = sha256(KEY.encode()).hexdigest()


class FakeProcess:
    """A program that writes what it is given, in capitals."""

    def __init__(self, sandbox: "FakeSandbox", job: SandboxJob) -> None:
        self._sandbox = sandbox
        self._job = job
        self._output: asyncio.Queue[bytes] = asyncio.Queue()
        self._ended: asyncio.Future[SandboxEnd] = asyncio.get_running_loop().create_future()
        self.reads = asyncio.Event()
        """Whether it reads what it is given."""
        if job.argv[0] != "deaf":
            self.reads.set()

    async def write(self, data: bytes) -> None:
        """Take input; `bye` ends it."""
        await self.reads.wait()
        if self._ended.done():
            raise ToolFailed("it has ended")
        self._output.put_nowait(data.upper())
        if data == b"bye":
            self._finish(SandboxEnd(how=EndKind.EXITED, stderr=b"bye then"))

    async def read(self) -> bytes:
        """Return output; a talker always has some."""
        if self._job.argv[0] == "talker" and not self._ended.done():
            self._sandbox.said += 1
            await asyncio.sleep(0)
            return b"x" * 65536
        return await self._output.get()

    async def end(self) -> SandboxEnd:
        """Wait for the end."""
        return await asyncio.shield(self._ended)

    async def stop(self) -> SandboxEnd:
        """End it."""
        self._finish(SandboxEnd(how=EndKind.STOPPED, stderr=b"stopped"))
        return await self._ended

    def _finish(self, end: SandboxEnd) -> None:
        self.reads.set()
        if not self._ended.done():
            self._ended.set_result(end)
            self._output.put_nowait(b"")
            self._sandbox.running.remove(self._job)


@dataclass
class FakeSandbox:
    """`echo` leaves what it was given, `hang` never ends, `flood` writes 64 MiB, `refused` does not begin."""

    level: SandboxLevel = SandboxLevel.LANDLOCK
    problem: str = ""
    running: list[SandboxJob] = field(default_factory=list)
    """What runs right now."""
    jobs: list[SandboxJob] = field(default_factory=list)
    """All that ever ran."""
    said: int = 0
    """Pieces that a talker wrote."""

    async def run(self, job: SandboxJob, heard: Heard | None = None) -> SandboxEnd:
        """Run a job."""
        if job.argv and job.argv[0] == "refused":
            raise SandboxUnavailable("a layer is missing")
        self.jobs.append(job)
        self.running.append(job)
        try:
            return await self._behave(job, heard or (lambda _stream, _data: None))
        finally:
            self.running.remove(job)

    async def _behave(self, job: SandboxJob, heard: Heard) -> SandboxEnd:
        match job.argv[:1]:
            case ("hang",):
                await asyncio.Event().wait()
            case ("flood",):
                for _ in range(64):
                    heard("stdout", b"y" * 1024 * 1024)
                return SandboxEnd(how=EndKind.OUTPUT, stdout=b"y" * 65536, truncated=True)
            case ("huge",):
                return SandboxEnd(how=EndKind.EXITED, answer=b"z" * (job.limits.answer_bytes + 1))
            case ("outside",):
                return SandboxEnd(how=EndKind.EXITED, files={"../up": b"z"})
        heard("stdout", b"one")
        heard("stderr", b"two")
        return SandboxEnd(
            how=EndKind.EXITED,
            code=3,
            stdout=job.stdin[: job.limits.kept_bytes],
            stderr=b"two",
            answer=job.python.encode(),
            files=job.files if job.want_files else {},
            removed=tuple(job.files)[:1],
            memory_bytes=1234,
            cpu_seconds=0.5,
        )

    async def open(self, job: SandboxJob) -> FakeProcess:
        """Start a program to talk to."""
        self.jobs.append(job)
        self.running.append(job)
        return FakeProcess(self, job)


class Meter:
    """Keeps what was recorded."""

    def __init__(self) -> None:
        self.waits: list[bool] = []
        self.ends: list[EndKind] = []
        self.cuts = 0

    def waited(self, _seconds: float, *, admitted: bool) -> None:
        """Keep whether a place was had."""
        self.waits.append(admitted)

    def ended(self, end: SandboxEnd) -> None:
        """Keep how it ended."""
        self.ends.append(end.how)

    def cut(self) -> None:
        """Count it."""
        self.cuts += 1


@dataclass
class Runner:
    """A sandbox's server in this process, and the tool manager's adapter to it."""

    sandbox: FakeSandbox
    meter: Meter
    deps: Deps
    server: ChassisServer
    remote: RemoteSandbox
    stub: "sandbox_pb2_grpc.SandboxServiceAsyncStub"


def deps_of(
    sandbox: Sandbox,
    meter: Meter,
    *,
    jobs: int = 4,
    memory_bytes: int = 2**40,
    waiting: int = 16,
    seconds: float = 10.0,
    silent_seconds: float = 20.0,
    offered: tuple[str, ...] = (),
    network: bool = False,
) -> Deps:
    """Return what sessions share, with small bounds."""
    draining = asyncio.Event()

    def places() -> Admission:
        book = Places[int](jobs, memory_bytes, waiting)
        return Admission(book, SystemClock(), meter, draining, seconds=seconds)

    return Deps(
        sandbox=sandbox,
        jobs=places(),
        talks=places(),
        meter=meter,
        draining=draining,
        silent_seconds=silent_seconds,
        offered=offered,
        network=network,
    )


@asynccontextmanager
async def runner(directory: Path, *, key: str = KEY, **bounds: Any) -> AsyncIterator[Runner]:
    """Serve a fake sandbox on a free port and connect to it."""
    sandbox, meter = FakeSandbox(), Meter()
    deps = deps_of(sandbox, meter, **bounds)
    (directory / "key").write_text(key + "\n")
    async with _connected(deps) as (server, channel):
        remote = RemoteSandbox(channel, directory / "key")
        await remote.look()
        stub: sandbox_pb2_grpc.SandboxServiceAsyncStub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        yield Runner(sandbox, meter, deps, server, remote, stub)


def job(behaviour: str, **fields: object) -> SandboxJob:
    """Return a job that behaves so."""
    limits = fields.pop("limits", Limits())
    return SandboxJob(argv=(behaviour,), limits=limits, **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def behind_a_wire(sandbox: Sandbox, directory: Path, **bounds: Any) -> AsyncIterator[RemoteSandbox]:
    """Serve any sandbox in this process and yield the tool manager's adapter to it."""
    deps = deps_of(sandbox, Meter(), **bounds)
    (directory / "key").write_text(KEY)
    async with _connected(deps) as (_, channel):
        remote = RemoteSandbox(channel, directory / "key")
        await remote.look()
        yield remote


@asynccontextmanager
async def _connected(deps: Deps) -> AsyncIterator[tuple[ChassisServer, grpc.aio.Channel]]:
    servicer = (
        sandbox_pb2_grpc.add_SandboxServiceServicer_to_server,
        SandboxServicer(deps),
        sandbox_pb2.DESCRIPTOR,
    )
    alone = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        running(servicer, authenticator=Callers([DIGEST]), authorizer=NobodyElse()) as server,
        client.channel(f"127.0.0.1:{server.port}", options=alone) as channel,
    ):
        yield server, channel
