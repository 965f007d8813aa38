"""Static priorities with ageing."""

from collections.abc import Iterable
from math import inf, isinf
from typing import ClassVar

from services.scheduler.core.heap import Key
from services.scheduler.core.policies.base import Explanation, KeyedPolicy, ParamReader
from services.scheduler.core.scheduled_call import ScheduledCall


class Priority(KeyedPolicy):
    """Least priority * ageing + arrival first; `ageing` seconds of wait are worth one level.

    Source: Kleinrock, "A delay dependent queue discipline" (1964). Because all calls age at the
    same rate the key is constant, so ageing needs no rescans. A call is never overtaken by one
    that came more than (difference of priorities) * ageing later. ageing = inf: strict.
    """

    name: ClassVar[str] = "priority"

    def configure(self, params: ParamReader) -> None:
        """`ageing`: seconds per level; `preempt`: stop less urgent calls; `quantum`: not before."""
        self.ageing = params.number("ageing", 30.0, least=0.0, most=inf)
        self.preempts = params.flag("preempt", default=False)
        quantum = params.count("quantum", 64)
        self.quantum_tokens = quantum if self.preempts else 0

    def key(self, job: ScheduledCall) -> Key:
        """Virtual arrival, or (priority, arrival) without ageing."""
        call = job.call
        if isinf(self.ageing):
            return (call.priority, call.arrived_at, job.seq)
        return (call.priority * self.ageing + call.arrived_at, 0.0, job.seq)

    def victims(
        self,
        candidate: ScheduledCall,
        running: Iterable[ScheduledCall],
        now: float,  # noqa: ARG002 - key is constant
    ) -> list[ScheduledCall]:
        """Less urgent calls that ran for a quantum, the least urgent first."""
        if not self.preempts:
            return []
        bound = candidate.call.priority
        lower = [j for j in running if j.call.priority > bound and j.slice_tokens >= self.quantum_tokens]
        return sorted(lower, key=lambda job: (-job.call.priority, -job.seq))

    def explain(self, job: ScheduledCall, now: float) -> Explanation:
        """Priority and what waiting has made of it."""
        age = now - job.call.arrived_at
        levels = 0.0 if isinf(self.ageing) or not self.ageing else age / self.ageing
        return {
            "effective_priority": job.call.priority - levels,
            "priority": job.call.priority,
            "age_seconds": age,
        }
