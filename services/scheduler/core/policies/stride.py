"""Stride scheduling of groups by the work of their calls."""

from typing import ClassVar

from services.scheduler.core.policies.base import ParamReader
from services.scheduler.core.policies.vtc import VirtualTokenCounter
from services.scheduler.core.scheduled_call import ScheduledCall


class Stride(VirtualTokenCounter):
    """The group with the least pass value is next; pass += expected work / weight at dispatch.

    Unlike `vtc` a call is charged as a whole before it runs, in backend seconds, and settled with
    what it really took when it stops; newcomers start at the least pass.

    Source: Waldspurger and Weihl, "Stride Scheduling", MIT TM-528 (1995).
    """

    name: ClassVar[str] = "stride"

    def configure(self, params: ParamReader) -> None:
        """`by`: tenant (then agent) or agent."""
        self.by = params.choice("by", ("tenant", "agent"))

    def on_dispatch(self, job: ScheduledCall, now: float, uncached_tokens: int) -> None:  # noqa: ARG002 - interface
        """Charge the expected work."""
        self.tree.remove(job)
        self.tree.started(job)
        self.tree.charge(job, job.work)

    def on_adopt(self, job: ScheduledCall, now: float) -> None:
        """Charge the expected work, to be settled at the end."""
        super().on_adopt(job, now)
        self.tree.charge(job, job.work)

    def on_tokens(self, job: ScheduledCall, tokens: int, now: float) -> None:
        """Nothing: the call was charged in advance."""

    def on_yield(self, job: ScheduledCall, now: float) -> None:
        """Settle the slice and queue the call again."""
        self._settle(job)
        super().on_yield(job, now)

    def on_finish(self, job: ScheduledCall, now: float) -> None:
        """Settle the slice."""
        self._settle(job)
        super().on_finish(job, now)

    def _settle(self, job: ScheduledCall) -> None:
        self.tree.charge(job, job.charged - job.work)
