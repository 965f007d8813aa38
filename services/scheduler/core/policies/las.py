"""Least attained service, per program."""

from collections.abc import Iterable
from math import log2
from typing import ClassVar

from services.scheduler.core.heap import Key
from services.scheduler.core.policies.base import Explanation, KeyedPolicy, ParamReader
from services.scheduler.core.scheduled_call import ScheduledCall


class LeastAttainedService(KeyedPolicy):
    """Lowest service level of the program first, then the oldest program. Needs no predictions.

    Level = floor(log2(1 + attained / base)): a program's priority falls as it is served, but
    slowly, so programs of a level run in order of age. With `preempt` a running call of a higher
    level yields to a lower one.

    Source: program-level attained service (PLAS) of Luo et al., "Autellix: An Efficient Serving
    Engine for LLM Agents as General Programs", arXiv 2502.13965.
    """

    name: ClassVar[str] = "las"

    def configure(self, params: ParamReader) -> None:
        """Read `base`: backend seconds of the first level; `preempt`; `quantum`: not before."""
        self.base = params.number("base", 1.0, least=1e-6)
        self.preempts = params.flag("preempt", default=False)
        quantum = params.count("quantum", 128)
        self.quantum_tokens = quantum if self.preempts else 0

    def level(self, job: ScheduledCall) -> int:
        """Service level of the call's program now."""
        return int(log2(1.0 + self.context.attained(job) / self.base))

    def key(self, job: ScheduledCall) -> Key:
        """Level, age of the program."""
        return (self.level(job), self.context.born(job), job.seq)

    def victims(
        self,
        candidate: ScheduledCall,
        running: Iterable[ScheduledCall],
        now: float,  # noqa: ARG002 - order needs no clock
    ) -> list[ScheduledCall]:
        """Return calls of programs above the candidate's level, the highest first."""
        if not self.preempts:
            return []
        bound = self.level(candidate)
        higher = [(self.level(j), j.seq, j) for j in running if j.slice_tokens >= self.quantum_tokens]
        return [job for level, _, job in sorted(higher, reverse=True) if level > bound]

    def explain(self, job: ScheduledCall, now: float) -> Explanation:  # noqa: ARG002 - order needs no clock
        """Level, attained service, age."""
        return {
            "level": self.level(job),
            "attained_seconds": self.context.attained(job),
            "program_sequence": self.context.born(job),
        }
