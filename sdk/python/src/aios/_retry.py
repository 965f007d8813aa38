"""When a failed call is tried again, and after how long. Pure: no clock, no I/O."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from aios.errors import AiosError, KernelUnreachable, ResourceExhausted, Unavailable, WaitExpired


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How long and how often safe calls are repeated."""

    window: float = 30.0
    """Longest time over which a call is repeated, from its first failure.

    Unit: seconds. 0 turns repeating off.
    """

    connect_window: float = 2.0
    """Longest time until the kernel has answered for the first time; then `window` holds.

    Unit: seconds. Raise it for a program that may start before its kernel.
    """

    first_delay: float = 0.1
    """Upper bound of the first pause. Unit: seconds. Doubles with each attempt."""

    max_delay: float = 2.0
    """Upper bound of any pause that the kernel did not ask for. Unit: seconds."""

    rng: Callable[[], float] = field(default=random.random)
    """Source of jitter, uniform in [0, 1)."""

    def delay(self, error: AiosError, attempt: int) -> float | None:
        """Return the pause in seconds after `attempt` failures (from 1), or None to give up.

        Full jitter between half and the whole of the exponential bound; never shorter than the kernel's
        `retry_after`.
        """
        if not is_transient(error):
            return None
        bound: float = min(self.max_delay, self.first_delay * 2 ** min(attempt - 1, 16))
        pause = bound * (0.5 + 0.5 * self.rng())
        return max(pause, error.retry_after or 0.0)


def is_transient(error: AiosError) -> bool:
    """Tell whether the same call may succeed a little later."""
    if isinstance(error, Unavailable):
        return not isinstance(error, KernelUnreachable)  # that was waited for already
    # WAIT_EXPIRED is the caller's own limit: waiting again would exceed it.
    return (
        isinstance(error, ResourceExhausted)
        and error.retry_after is not None
        and not isinstance(error, WaitExpired)
    )
