"""What the sandbox needs of the world. Pure."""

from typing import Protocol

from services.chassis.sandbox.port import Sandbox
from services.chassis.sandbox.terms import SandboxEnd

__all__ = ["Meter", "Sandbox"]


class Meter(Protocol):
    """What the sandbox records."""

    def waited(self, seconds: float, *, admitted: bool) -> None:
        """Record a wait for a place."""
        ...

    def ended(self, end: SandboxEnd) -> None:
        """Record how a program ended."""
        ...

    def cut(self) -> None:
        """Record a program that was ended because nobody was there any more who had it started."""
        ...
