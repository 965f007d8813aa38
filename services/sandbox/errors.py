"""What the sandbox refuses, and why. Pure."""

from services.chassis.sandbox.errors import SandboxUnavailable, ToolBusy

__all__ = ["SandboxUnavailable", "ToolBusy"]
