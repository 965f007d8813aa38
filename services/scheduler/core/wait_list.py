"""Why the first calls wait, in one answer: the front of each queue is walked once, whatever is told of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from services.scheduler.core import explain
from services.scheduler.core.class_queue import ClassQueue
from services.scheduler.core.explain import Explanation
from services.scheduler.core.pool import Pool
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import Call, CallState

QUEUES = 32
"""Queues, each of one class for one model or tool, whose fronts are walked for one answer."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A call to tell of, with how many of its class are before it."""

    job: ScheduledCall
    pool: Pool
    before: int
    bound: bool


def explain_first(
    oldest: Iterable[tuple[ScheduledCall, Pool]], sees: Callable[[Call], bool], top: int, now: float
) -> list[Explanation]:
    """Answer for up to `top` waiting calls that may be seen: those next in their queues, then others.

    `oldest` are calls that may be seen, the oldest first; the first `QUEUES` queues that they wait in are
    looked at. Costs those calls and the fronts of those queues, never what waits behind.
    """
    waiting = [(job, pool) for job, pool in oldest if job.state is CallState.WAITING]
    fronts = _fronts(waiting, now)
    rows = [
        _Row(job, pool, place, bound=False)
        for pool, front in fronts.values()
        for place, job in enumerate(front)
        if sees(job.call)
    ]
    rows.sort(key=lambda row: (row.before, row.job.queued_at, row.job.seq))
    rows = rows[:top]
    rows += islice(_behind(waiting, fronts), top - len(rows))
    return [explain.describe(row.job, row.pool, now, row.before, bound=row.bound) for row in rows]


_Fronts = dict[ClassQueue, tuple[Pool, list[ScheduledCall]]]


def _fronts(waiting: Iterable[tuple[ScheduledCall, Pool]], now: float) -> _Fronts:
    found: _Fronts = {}
    for job, pool in waiting:
        queue = pool.queue_of(job)
        if queue not in found and len(found) < QUEUES:
            found[queue] = (pool, list(islice(queue.listed(now), explain.COUNTED)))
    return found


def _behind(waiting: Iterable[tuple[ScheduledCall, Pool]], fronts: _Fronts) -> Iterator[_Row]:
    """Yield the calls that wait behind the fronts: of their place only a bound is known."""
    counted = {job for _, front in fronts.values() for job in front}
    for job, pool in waiting:
        if job not in counted and (found := fronts.get(pool.queue_of(job))) is not None:
            yield _Row(job, pool, len(found[1]), bound=True)
