"""First come, first served."""

from typing import ClassVar

from services.scheduler.core.heap import Key
from services.scheduler.core.policies.base import Explanation, KeyedPolicy
from services.scheduler.core.scheduled_call import ScheduledCall


class Fifo(KeyedPolicy):
    """Earliest arrival first. Wait <= backlog / capacity.

    Source: Kleinrock, Queueing Systems I (1975); order of the reference AIOS (arXiv 2403.16971)
    without its batch barrier. A resubmitted or preempted call keeps its place.
    """

    name: ClassVar[str] = "fifo"
    in_arrival_order: ClassVar[bool] = True

    def key(self, job: ScheduledCall) -> Key:
        """Arrival."""
        return (job.call.arrived_at, job.seq)

    def explain(self, job: ScheduledCall, now: float) -> Explanation:
        """Seconds since arrival."""
        return {"age_seconds": now - job.call.arrived_at, "sequence": job.seq}
