"""Earliest deadline first."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import ClassVar

from services.scheduler.core.heap import Key, LazyHeap
from services.scheduler.core.policies.base import Explanation, ParamReader, Policy, PolicyContext
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import ParamValue


class EarliestDeadlineFirst(Policy):
    """Least due time first; calls that cannot make theirs any more come last, counted.

    Optimal while the load is feasible; demoting the late ones keeps one overload from making
    every call late. The due time is what the agent asked for, not the deadline of its RPC, at which a
    waiting call is evicted; a call that asked for none is due `slack` seconds after its arrival.

    Source: Liu and Layland, JACM 20 (1973); demotion as in Haritsa, Livny and Carey, "Earliest
    deadline scheduling for real-time database systems", RTSS 1991.
    """

    name: ClassVar[str] = "edf"

    def __init__(self, params: Mapping[str, ParamValue], context: PolicyContext) -> None:
        super().__init__(params, context)
        self.on_time: LazyHeap[ScheduledCall] = LazyHeap(self._due_key)
        self.late: LazyHeap[ScheduledCall] = LazyHeap(self._due_key)
        self.demoted = 0

    def configure(self, params: ParamReader) -> None:
        """`slack`: seconds granted to a call that is not told when it is due."""
        self.slack = params.number("slack", 30.0, least=0.0)

    def due(self, job: ScheduledCall) -> float:
        """When the call should be done."""
        return job.call.arrived_at + self.slack if job.call.due is None else job.call.due

    def _due_key(self, job: ScheduledCall) -> Key:
        return (self.due(job), job.seq)

    def _demote(self, now: float) -> None:
        job = self.on_time.peek()
        while job is not None and now + job.work > self.due(job):
            self.on_time.pop()
            self.late.push(job)
            self.demoted += 1
            job = self.on_time.peek()

    def _forget(self, job: ScheduledCall) -> None:
        if not self.on_time.discard(job):
            self.late.discard(job)

    def on_submit(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - lateness is judged at the front
        """Queue the call."""
        self.on_time.push(job)

    def on_dispatch(self, job: ScheduledCall, now: float, uncached_tokens: int) -> None:  # noqa: ARG002 - interface
        """Take the call out."""
        self._forget(job)

    def on_cancel(self, job: ScheduledCall) -> None:
        """Take the call out."""
        self._forget(job)

    def on_yield(self, job: ScheduledCall, now: float) -> None:
        """Queue the call again."""
        self.on_submit(job, now)

    def pick(self, now: float) -> ScheduledCall | None:
        """Return the earliest due call that can make it, else the earliest at all."""
        self._demote(now)
        return self.on_time.peek() or self.late.peek()

    def candidates(self, now: float) -> Iterator[ScheduledCall]:
        """Feasible calls by due time, then the late ones."""
        self._demote(now)
        return chain(self.on_time.ordered(), self.late.ordered())

    def explain(self, job: ScheduledCall, now: float) -> Explanation:
        """Whether it is late, and how much slack it has."""
        due = self.due(job)
        return {
            "late": int(job in self.late),
            "due_in_seconds": due - now,
            "slack_seconds": due - now - job.work,
        }

    def stats(self) -> Mapping[str, float]:
        """Return calls demoted so far and waiting late ones."""
        return {"demoted": float(self.demoted), "late": float(len(self.late))}
