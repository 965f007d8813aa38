"""What the sandbox refuses, and why. Pure."""

from services.chassis.sandbox.errors import SandboxUnavailable

__all__ = ["SandboxUnavailable"]
