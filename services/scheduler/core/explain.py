"""Answers to "why does my call wait?" and "what is in the queue?"."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import NamedTuple

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.class_queue import ClassQueue
from services.scheduler.core.pool import Pool
from services.scheduler.core.replica import Replica
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import CallId, CallState, ReplicaId, ResourceKind

COUNTED = 64
"""Places from the front of a class's queue within which a position is exact.

The order of a policy is not kept as a list: keys may change while calls wait, and only what comes to the
front is put in its place. To count further would cost the whole queue, and nothing is granted meanwhile.
"""

_NAMED_AHEAD = 10


class Binding(Enum):
    """What keeps a call from running now."""

    NOTHING = "nothing"  # it runs, or runs next
    ORDER = "order"  # others of its class come first
    CLASS_SHARE = "class_share"  # its class may not be served now
    SLOTS = "slots"
    KEPT_SLOT = "kept_slot"  # its program has all slots but those kept for programs that run nothing
    TOKENS = "tokens"
    RESERVATION = "reservation"  # room is held for a bigger call
    GANG = "gang"  # not all calls of its gang are there, or there is no room for all at once
    LOCK = "lock"  # others use, or are promised, something it must have alone
    NO_BACKEND = "no_backend"


@dataclass(frozen=True, slots=True)
class Ahead:
    """A call that is served before the one asked about, and the key that says so."""

    call_id: CallId
    agent: str
    tenant: str
    key: Mapping[str, float | int | str]


class LockHolder(Enum):
    """Who has the lock that a call lacks."""

    OWN = "own"  # a call of the same agent
    OTHER = "other"
    KEPT = "kept"  # nobody: it is kept for a call that many have passed


@dataclass(frozen=True, slots=True)
class LockWait:
    """A lock that a waiting call lacks."""

    name: str
    holder: LockHolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why a call waits."""

    call_id: CallId
    state: CallState
    scheduling_class: SchedulingClass
    policy: str
    position: int
    """Calls of its class before it; 0: it is next (or it runs)."""

    position_is_bound: bool
    """Whether it is further back than is counted: `position` is then the least that there are before it."""

    waiting: int
    """Calls of its class that wait for the same resource, itself included; 0: it runs."""

    wait_seconds: float
    key: Mapping[str, float | int | str]
    """The policy's key of this call, most significant part first."""

    ahead: tuple[Ahead, ...]
    """The first few calls before it."""

    binding: Binding
    lock: "LockWait | None"
    """The lock it lacks, when that is what binds."""

    in_lane: bool
    lane_in_seconds: float | None
    """Until it enters the starvation lane; None: it is there, or there is none."""

    lane_credit: float
    boosted: bool
    predicted_start_seconds: float | None
    """From now; None: no history yet."""

    prediction_error_seconds: float
    """Mean absolute error of such predictions lately."""

    predictions: int
    """How many predictions that mean is over."""

    due_in_seconds: float | None
    """Until its agent wants it done; negative: it is late. None: it did not say."""

    expires_in_seconds: float | None
    replica: ReplicaId
    """Where it runs, or which replica is held for it."""

    cached_tokens: int
    """Of its context, what the best replica, or the one it runs on, probably has in its prefix cache."""

    cached_replica: ReplicaId
    """That replica; empty: none has any of it."""


class QueueEntry(NamedTuple):
    """One known call, for listings. A tuple: a watch may begin with thousands at once."""

    call_id: CallId
    agent: str
    tenant: str
    program: str
    lane: ResourceKind
    resource: str
    scheduling_class: SchedulingClass
    state: CallState
    position: int
    """Among the waiting calls of its class, from 0; -1 while running, and where it was not asked for."""

    wait_seconds: float
    """Of the present wait, or of the wait before the running slice."""

    run_seconds: float
    tokens_done: int
    replica: ReplicaId
    in_lane: bool
    preemptions: int
    resumed: bool
    """Whether it has run before the present wait or run."""


def explain(job: ScheduledCall, pool: Pool, now: float) -> Explanation:
    """Answer for one call; walks the first `COUNTED` waiting calls of its class in order."""
    if job.state is not CallState.WAITING:
        return describe(job, pool, now, 0)
    queue = pool.queue_of(job)
    before, bound = _before(job, queue, now)
    ahead = tuple(
        Ahead(o.call.id, o.call.agent, o.call.tenant, queue.explain(o, now)) for o in before[:_NAMED_AHEAD]
    )
    return describe(job, pool, now, len(before), ahead, bound=bound)


def describe(
    job: ScheduledCall,
    pool: Pool,
    now: float,
    before: int,
    ahead: tuple[Ahead, ...] = (),
    *,
    bound: bool = False,
) -> Explanation:
    """Answer for one call of which it is known how many are before it, or at least how many (`bound`)."""
    queue = pool.queue_of(job)
    waiting = job.state is CallState.WAITING
    wait = _predicted(job, queue, before, now, bound=bound) if waiting else 0.0
    lane = queue.lane
    cached, cached_replica = pool.best_cached(job) if waiting else (job.expected_cached, job.replica)
    to_lane = job.queued_at + lane.after - now if waiting and lane.share and not job.in_lane else None
    return Explanation(
        call_id=job.call.id,
        state=job.state,
        scheduling_class=queue.name,
        policy=queue.policy.name,
        position=before,
        position_is_bound=bound,
        waiting=len(queue.waiting) if waiting else 0,
        wait_seconds=job.wait(now) if waiting else job.granted_wait,
        key=queue.explain(job, now) if waiting else {},
        ahead=ahead,
        binding=_binding(job, pool, before, now) if waiting else Binding.NOTHING,
        lock=_lock(job, pool, now) if waiting else None,
        in_lane=job.in_lane,
        lane_in_seconds=to_lane,
        lane_credit=lane.credit,
        boosted=lane.boosted,
        predicted_start_seconds=wait,
        prediction_error_seconds=queue.monitor.prediction_error,
        predictions=queue.monitor.predictions,
        due_in_seconds=None if job.call.due is None else job.call.due - now,
        expires_in_seconds=job.expires_at - now if waiting and job.expires_at < float("inf") else None,
        replica=job.replica or pool.held_for(job),
        cached_tokens=cached,
        cached_replica=cached_replica if cached else "",
    )


def _before(job: ScheduledCall, queue: ClassQueue, now: float) -> tuple[list[ScheduledCall], bool]:
    """Return the calls served before a waiting one, and whether there may be more than were counted."""
    before: list[ScheduledCall] = []
    for other in islice(queue.listed(now), COUNTED):
        if other is job:
            return before, False
        before.append(other)
    return before, True


def _predicted(
    job: ScheduledCall, queue: ClassQueue, before: int, now: float, *, bound: bool
) -> float | None:
    """Return the seconds until a waiting call should start; None: there is no history to tell it from.

    Of a call beyond those counted it is what was foretold on its arrival, not sooner than after the calls
    counted and not later than after all that wait now.
    """
    soonest = queue.monitor.predicted_wait(before)
    if not bound or soonest is None:
        return soonest
    latest = queue.monitor.predicted_wait(len(queue.waiting) - 1)
    if latest is None or job.predicted_start is None:
        return None
    return min(latest, max(soonest, job.predicted_start - now))


def list_queue(pool: Pool, now: float) -> list[QueueEntry]:
    """Return running calls, then each class's waiting calls in order."""
    running = [entry_of(job, now) for r in pool.replicas.values() for job in r.running.values()]
    waiting = [
        entry_of(job, now, place)
        for queue in pool.queues.values()
        for place, job in enumerate(queue.listed(now))
    ]
    return running + waiting


def _binding(job: ScheduledCall, pool: Pool, ahead: int, now: float) -> Binding:
    up = [r for r in pool.replicas.values() if r.up]
    if not up:
        return Binding.NO_BACKEND
    if job.gang is not None:
        return Binding.GANG
    if _lock(job, pool, now) is not None:
        return Binding.LOCK
    free = [r for r in up if r.room_for(job, now)]
    if not free and any(r.has_slot(now) for r in up):
        return Binding.KEPT_SLOT
    limit = _limit(job, pool, free, now)
    if limit is not None:
        return limit
    return Binding.ORDER if ahead else Binding.RESERVATION


def _limit(job: ScheduledCall, pool: Pool, free: list[Replica], now: float) -> Binding | None:
    if not free:
        return Binding.SLOTS
    if pool.queue_of(job) not in pool.served(now):
        return Binding.CLASS_SHARE
    return None if any(r.fits_tokens(job, now) for r in free) else Binding.TOKENS


def _lock(job: ScheduledCall, pool: Pool, now: float) -> LockWait | None:
    found = pool.state.locks.obstacle(job, now, strict=pool.queue_of(job).settings.strict)
    if found is None:
        return None
    if found.kept_for is not None:
        return LockWait(found.name, LockHolder.KEPT)
    own = any(holder.call.agent == job.call.agent for holder in found.holders)
    return LockWait(found.name, LockHolder.OWN if own else LockHolder.OTHER)


def entry_of(job: ScheduledCall, now: float, position: int = -1) -> QueueEntry:
    """Describe one call, for listings."""
    call = job.call
    waiting = job.state is CallState.WAITING
    return QueueEntry(
        call_id=call.id,
        agent=call.agent,
        tenant=call.tenant,
        program=call.program,
        lane=call.lane,
        resource=call.resource,
        scheduling_class=call.scheduling_class,
        state=job.state,
        position=position,
        wait_seconds=job.wait(now) if waiting else job.granted_wait,
        run_seconds=0.0 if waiting else max(0.0, now - job.dispatched_at),
        tokens_done=job.tokens_done,
        replica=job.replica,
        in_lane=job.in_lane,
        preemptions=job.preemptions,
        resumed=bool(job.last_replica or job.preemptions or job.tokens_done > job.slice_tokens),
    )
