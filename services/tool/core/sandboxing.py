"""The terms of the sandbox, which a sandbox that is a process of its own knows too. Pure."""

from services.chassis.sandbox.terms import MIB, EndKind, Limits, SandboxEnd, SandboxJob, SandboxLevel

__all__ = ["MIB", "EndKind", "Limits", "SandboxEnd", "SandboxJob", "SandboxLevel"]
