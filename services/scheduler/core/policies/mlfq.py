"""Multi-level feedback queue with skip-join."""

from collections.abc import Iterable, Mapping
from math import ceil, log2
from typing import ClassVar

from services.scheduler.core.heap import Key
from services.scheduler.core.policies.base import Explanation, KeyedPolicy, ParamReader, PolicyContext
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import ParamValue


class MultiLevelFeedback(KeyedPolicy):
    """A call joins at the level its prefill deserves and sinks as it generates.

    Level l grants base * 2^l tokens; the prefill time, in decode steps, decides where a call
    joins (skip-join), so a long prompt does not disturb the top level only to be demoted at once.
    A running call that used up its level yields to a waiter of a lower level. Long calls starve:
    use it with the starvation lane.

    Source: Wu et al., "Fast Distributed Inference Serving for Large Language Models"
    (FastServe), arXiv 2305.05920.
    """

    name: ClassVar[str] = "mlfq"
    preempts = True

    def __init__(self, params: Mapping[str, ParamValue], context: PolicyContext) -> None:
        super().__init__(params, context)
        self._level: dict[ScheduledCall, int] = {}
        self._used: dict[ScheduledCall, int] = {}

    def configure(self, params: ParamReader) -> None:
        """Read `base`: tokens of level 0; `levels`."""
        self.base = params.count("base", 64)
        self.levels = params.count("levels", 6, most=30)
        self.quantum_tokens = self.base

    def allowance(self, level: int) -> int:
        """Tokens of one level."""
        return self.base << level

    def key(self, job: ScheduledCall) -> Key:
        """Level, then order of joining it."""
        return (self._level.get(job, 0), job.queued_at, job.seq)

    def on_submit(self, job: ScheduledCall, now: float) -> None:
        """Join at the level of the prefill."""
        self._join(job)
        super().on_submit(job, now)

    def on_adopt(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - interface
        """Know a call that already runs."""
        self._join(job)

    def on_tokens(self, job: ScheduledCall, tokens: int, now: float) -> None:  # noqa: ARG002 - interface
        """Sink when the level is used up."""
        used, level = self._used[job] + tokens, self._level[job]
        while used >= self.allowance(level) and level < self.levels - 1:
            used -= self.allowance(level)
            level += 1
        self._used[job], self._level[job] = used, level

    def on_cancel(self, job: ScheduledCall) -> None:
        """Forget the call."""
        super().on_cancel(job)
        self._forget(job)

    def on_finish(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - interface
        """Forget the call."""
        self._forget(job)

    def victims(
        self,
        candidate: ScheduledCall,
        running: Iterable[ScheduledCall],
        now: float,  # noqa: ARG002 - order needs no clock
    ) -> list[ScheduledCall]:
        """Return running calls that sank below the candidate, the deepest first."""
        bound = self._level[candidate]
        deeper = [(self._level[j], j.seq, j) for j in running if self._level[j] > bound]
        return [job for _, _, job in sorted(deeper, reverse=True)]

    def explain(self, job: ScheduledCall, now: float) -> Explanation:
        """Level and how long it has been queued there."""
        return {
            "level": self._level[job],
            "used_tokens": self._used[job],
            "queued_seconds": now - job.queued_at,
        }

    def stats(self) -> Mapping[str, float]:
        """Return waiting calls on every level."""
        counts = dict.fromkeys(range(self.levels), 0)
        for job in self.waiting:
            counts[self._level[job]] += 1
        return {f"level_{level}": float(count) for level, count in counts.items()}

    def _join(self, job: ScheduledCall) -> None:
        cost = self.context.cost
        steps = cost.prefill(job.uncached) / cost.step_seconds if cost.step_seconds else 0.0
        level = 0 if steps <= self.base else ceil(log2(steps / self.base))
        self._level[job] = min(level, self.levels - 1)
        self._used[job] = 0

    def _forget(self, job: ScheduledCall) -> None:
        del self._level[job], self._used[job]
