"""What the scheduler refuses over the wire. Calls that are not granted are decisions, not errors."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError


class SyscallNotFound(KernelError):
    """No such syscall is waiting or running, or the caller may not see it."""

    reason = "SYSCALL_NOT_FOUND"
    code = Code.NOT_FOUND


class PolicyRefused(KernelError):
    """No such scheduling policy, or a parameter it does not take."""

    reason = "UNKNOWN_SCHEDULING_POLICY"
    code = Code.INVALID_ARGUMENT
