"""The step that bounds a call's time: a default when the caller sets none, a cap when it sets too much."""

import asyncio
import math
from typing import Any

import grpc

from services.chassis.rpc.methods import Method


def budget(context: grpc.aio.ServicerContext[Any, Any], method: Method) -> tuple[float, bool]:
    """Return the seconds a call may take and whether they must be enforced here.

    A deadline of the caller below the cap is enforced by gRPC itself.
    """
    remaining = context.time_remaining()
    if remaining is None or math.isinf(remaining):
        return method.default_deadline, True
    if remaining > method.deadline_cap:
        return method.deadline_cap, True
    return remaining, False


class EndlessCalls:
    """The watches that run now, so that a draining process can end them instead of waiting for them."""

    def __init__(self) -> None:
        self.draining = False
        self._timers: set[asyncio.Timeout] = set()

    def add(self, timer: asyncio.Timeout) -> None:
        """Remember a call by the timer that bounds it."""
        self._timers.add(timer)

    def discard(self, timer: asyncio.Timeout) -> None:
        """Forget a call that ended."""
        self._timers.discard(timer)

    def end(self) -> None:
        """Make every watch end with DRAINING now; later ones are refused."""
        self.draining = True
        now = asyncio.get_running_loop().time()
        for timer in self._timers:
            if not timer.expired():
                timer.reschedule(now)
