"""What the sandbox refuses. Pure."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError


class SandboxUnavailable(KernelError):
    """Nothing keeps such a program in here, so it was not begun; with `retry_after` that passes by itself."""

    reason = "SANDBOX_UNAVAILABLE"
    code = Code.FAILED_PRECONDITION


class SandboxLost(KernelError):
    """The sandbox was lost while a program ran in it: what the program did is not known."""

    reason = "UNKNOWN_OUTCOME"
    code = Code.ABORTED


class ToolBusy(KernelError):
    """The tool is busy for longer than the call may wait."""

    reason = "TOOL_BUSY"
    code = Code.RESOURCE_EXHAUSTED


class ToolFailed(KernelError):
    """The tool itself reported a failure, or the program that is talked to has ended."""

    reason = "TOOL_FAILED"
    code = Code.FAILED_PRECONDITION
