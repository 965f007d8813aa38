"""Shortest job first, by predicted work."""

from typing import ClassVar

from services.scheduler.core.heap import Key
from services.scheduler.core.policies.base import Explanation, KeyedPolicy
from services.scheduler.core.scheduled_call import ScheduledCall


class ShortestJobFirst(KeyedPolicy):
    """Least predicted backend seconds (uncached prefill + decode) first.

    Optimal in the mean and starves long calls: use it with the starvation lane.

    Source: Schrage and Miller (1966) for the mean; predictions as in Fu et al., "Efficient LLM
    Scheduling by Learning to Rank", arXiv 2408.15792, here by running means.
    """

    name: ClassVar[str] = "sjf"

    def key(self, job: ScheduledCall) -> Key:
        """Predicted work."""
        return (job.work, job.seq)

    def explain(self, job: ScheduledCall, now: float) -> Explanation:  # noqa: ARG002 - interface
        """Predicted work and its parts."""
        return {"work_seconds": job.work, "uncached_tokens": job.uncached, "expected_output": job.decode}
