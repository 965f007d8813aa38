"""Round robin over calls, in slices of tokens."""

from collections.abc import Iterable
from typing import ClassVar

from services.scheduler.core.heap import Key
from services.scheduler.core.policies.base import Explanation, KeyedPolicy, ParamReader
from services.scheduler.core.scheduled_call import ScheduledCall


class RoundRobin(KeyedPolicy):
    """A running call with `quantum` tokens since dispatch yields to a waiter and goes to the tail.

    Source: Kleinrock, "Analysis of a time-shared processor" (1964); the slices are tokens, as in
    arXiv 2403.16971, and resume where they stopped. Next turn <= ceil(n / slots) slices.
    """

    name: ClassVar[str] = "rr"
    in_arrival_order: ClassVar[bool] = True
    preempts = True

    def configure(self, params: ParamReader) -> None:
        """`quantum`: tokens of one slice."""
        self.quantum_tokens = params.count("quantum", 128)

    def key(self, job: ScheduledCall) -> Key:
        """When the present wait began: newcomers and yielded calls join the tail."""
        return (job.queued_at, job.seq)

    def victims(
        self,
        candidate: ScheduledCall,  # noqa: ARG002 - hook
        running: Iterable[ScheduledCall],
        now: float,  # noqa: ARG002 - all waiters are equal
    ) -> list[ScheduledCall]:
        """Return calls whose slice is used up, the longest slice first."""
        spent = [job for job in running if job.slice_tokens >= self.quantum_tokens]
        return sorted(spent, key=lambda job: (-job.slice_tokens, job.seq))

    def explain(self, job: ScheduledCall, now: float) -> Explanation:
        """Place in the ring."""
        return {"queued_seconds": now - job.queued_at, "sequence": job.seq}
