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
