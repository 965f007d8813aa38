"""A sandbox that keeps nothing in: programs of the tests themselves, run as they are."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from services.chassis.sandbox.port import Heard
from services.tool.core.sandboxing import EndKind, SandboxEnd, SandboxJob, SandboxLevel
from services.tool.errors import SandboxUnavailable, ToolFailed

_PIECE = 64 * 1024


class PlainProcess:
    """A program that is talked to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def write(self, data: bytes) -> None:
        """Give it input."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise ToolFailed("the program has ended") from error

    async def read(self) -> bytes:
        """Return the next piece of its output."""
        assert self._process.stdout is not None
        return await self._process.stdout.read(_PIECE)

    async def end(self) -> SandboxEnd:
        """Wait for its end."""
        return SandboxEnd(how=EndKind.EXITED, code=await self._process.wait())

    async def stop(self) -> SandboxEnd:
        """End it with its group."""
        if self.runs:
            os.killpg(self.pid, signal.SIGKILL)
        while await self.read():  # wait() hangs while output is unread
            pass
        return SandboxEnd(how=EndKind.STOPPED, code=await self._process.wait())


class PlainSandbox:
    """A Sandbox for tests of what is said between a program and the kernel."""

    level = SandboxLevel.NONE
    problem = ""

    def __init__(self) -> None:
        self.opened: list[PlainProcess] = []
        self.jobs: list[SandboxJob] = []

    async def run(self, job: SandboxJob, heard: Heard | None = None) -> SandboxEnd:
        """Run nothing: only programs that are talked to are run here."""
        raise SandboxUnavailable(f"only programs that are talked to are run here: {job.argv} {heard}")

    async def open(self, job: SandboxJob) -> PlainProcess:
        """Start a program."""
        self.jobs.append(job)
        process = await asyncio.create_subprocess_exec(
            *job.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": str(Path(sys.executable).parent), **job.environment},
            start_new_session=True,
        )
        opened = PlainProcess(process)
        self.opened.append(opened)
        return opened

    @property
    def running(self) -> list[PlainProcess]:
        """Programs that have not ended."""
        return [process for process in self.opened if process.runs]
