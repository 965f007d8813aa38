"""What a call that waits for its turn is refused with."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError


class QueueFull(KernelError):
    """Too many calls wait already."""

    reason = "QUEUE_FULL"
    code = Code.RESOURCE_EXHAUSTED


class WaitExpired(KernelError):
    """The call waited longer than its `max_wait`."""

    reason = "WAIT_EXPIRED"
    code = Code.RESOURCE_EXHAUSTED


class TooManyCalls(KernelError):
    """The agent has too many calls in flight."""

    reason = "TOO_MANY_CALLS"
    code = Code.RESOURCE_EXHAUSTED


class NoBackend(KernelError):
    """No backend serves the model right now."""

    reason = "NO_BACKEND"
    code = Code.UNAVAILABLE


class SchedulerUnavailable(KernelError):
    """The scheduler could not be reached for as long as the call may wait."""

    reason = "SCHEDULER_UNAVAILABLE"
    code = Code.UNAVAILABLE


class NeverFits(KernelError):
    """The call asks for more tokens than any backend holds."""

    reason = "NEVER_FITS"
    code = Code.INVALID_ARGUMENT


class PolicyUnknown(KernelError):
    """The call names a scheduling policy that the scheduler does not have."""

    reason = "UNKNOWN_SCHEDULING_POLICY"
    code = Code.INVALID_ARGUMENT
