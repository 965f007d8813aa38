"""The sandbox of a machine on which nothing isolates: it runs nothing. Pure."""

from typing import NoReturn

from services.chassis.sandbox.errors import SandboxUnavailable
from services.chassis.sandbox.port import Heard
from services.chassis.sandbox.terms import SandboxJob, SandboxLevel


class Nowhere:
    """Refuses every program, and says why."""

    level = SandboxLevel.NONE

    def __init__(self, problem: str) -> None:
        """`problem`: why nothing isolates here, for people."""
        self.problem = problem

    async def run(self, _job: SandboxJob, _heard: Heard | None = None) -> NoReturn:
        """Raise SandboxUnavailable."""
        raise SandboxUnavailable(f"no program can be run here: {self.problem}")

    async def open(self, _job: SandboxJob) -> NoReturn:
        """Raise SandboxUnavailable."""
        raise SandboxUnavailable(f"no program can be run here: {self.problem}")
