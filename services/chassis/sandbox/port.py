"""The port behind which programs are isolated. Pure."""

from collections.abc import Callable
from typing import Protocol

from services.chassis.sandbox.terms import SandboxEnd, SandboxJob, SandboxLevel

Heard = Callable[[str, bytes], None]
"""Told `stdout` or `stderr`, and the next piece of it; never waits."""


class SandboxProcess(Protocol):
    """A program that runs in the sandbox and is talked to."""

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it does not read. Raises ToolFailed when it has ended."""
        ...

    async def read(self) -> bytes:
        """Return the next piece of its standard output, at most 64 KiB; empty: it will write no more."""
        ...

    async def end(self) -> SandboxEnd:
        """Wait until it has ended by itself, or passed a limit."""
        ...

    async def stop(self) -> SandboxEnd:
        """End it with all it started, and return when nothing of it is left. Idempotent."""
        ...


class Sandbox(Protocol):
    """Where programs run that nobody vouches for. Passes `tests/contract/tool_sandbox`."""

    @property
    def level(self) -> SandboxLevel:
        """What keeps jobs in; NONE when nothing does."""
        ...

    @property
    def problem(self) -> str:
        """Return why nothing can be run, for people; empty: it can."""
        ...

    async def run(self, job: SandboxJob, heard: Heard | None = None) -> SandboxEnd:
        """Run a job to its end. `heard("stdout" or "stderr", piece)` is called with its output as it comes.

        Nothing of it is left when this returns or raises, cancellation included. Raises SandboxUnavailable,
        ToolBusy and InvalidRequest when it did not begin, SandboxLost when the sandbox was lost as it ran.
        """
        ...

    async def open(self, job: SandboxJob) -> SandboxProcess:
        """Start a program to talk to; its `stdin` is empty. Raises as `run`."""
        ...
