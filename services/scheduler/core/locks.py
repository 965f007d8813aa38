"""Locks: things that only so many calls may use at a time, whichever pools the calls wait in."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import CoreSettings
from services.scheduler.model import CallId, PoolKey

_RANK = {kind: place for place, kind in enumerate(SchedulingClass)}


@dataclass(slots=True)
class _Reservation:
    passes_left: int
    since: float


@dataclass(frozen=True, slots=True)
class Obstacle:
    """The lock that a waiting call lacks, and who has it."""

    name: str
    holders: tuple[ScheduledCall, ...]
    """Calls that use it now; none: it is kept for `kept_for`."""
    kept_for: ScheduledCall | None


class LockBook:
    """Who uses which lock, who waits for it, and for whom it is kept.

    A call takes all its locks at its grant or none, so nobody holds one while it waits for another. The first
    call in line that lacks a lock reserves all its locks at once, and only when none of them is reserved: the
    reservations are disjoint, so they cannot wait for one another in a circle. A bounded number of grants may
    pass a reservation; after that its locks are kept for the call, which then goes first.
    """

    def __init__(self, settings: CoreSettings) -> None:
        self._patience = settings.reservation_patience
        self._holders: dict[str, dict[CallId, tuple[ScheduledCall, int]]] = {}
        self._waiting: dict[str, dict[ScheduledCall, None]] = {}
        self._reserved: dict[str, ScheduledCall] = {}
        self._reservations: dict[ScheduledCall, _Reservation] = {}
        self._freed: dict[str, None] = {}

    def wait(self, job: ScheduledCall) -> None:
        """Note that a call starts to wait."""
        for claim in job.call.locks:
            self._waiting.setdefault(claim.name, {})[job] = None

    def leave(self, job: ScheduledCall) -> None:
        """Note that a call waits no more."""
        self.unreserve(job)
        for claim in job.call.locks:
            waiting = self._waiting[claim.name]
            del waiting[job]
            if not waiting:
                del self._waiting[claim.name]

    def take(self, job: ScheduledCall) -> None:
        """Note that a call runs; what it holds counts, whatever the limits say: it may have run before."""
        passed: dict[ScheduledCall, None] = {}
        for claim in job.call.locks:
            self._holders.setdefault(claim.name, {})[job.call.id] = (job, claim.limit)
            holder = self._reserved.get(claim.name)
            if holder is not None and holder is not job:
                passed[holder] = None
        for holder in passed:
            reservation = self._reservations[holder]
            reservation.passes_left = max(0, reservation.passes_left - 1)

    def release(self, job: ScheduledCall) -> None:
        """Note that a call runs no more."""
        for claim in job.call.locks:
            holders = self._holders[claim.name]
            del holders[job.call.id]
            if not holders:
                del self._holders[claim.name]
            self._freed[claim.name] = None

    def free(self, job: ScheduledCall, now: float, *, strict: bool = False) -> bool:
        """Whether the call could take all its locks now; a `strict` one passes young reservations."""
        return not any(
            self._taken(claim.name, claim.limit) or self._kept(claim.name, job, now, strict=strict)
            for claim in job.call.locks
        )

    def reserve(self, job: ScheduledCall, passes: int, now: float) -> bool:
        """Keep all locks of a call that lacks one, once `passes` others have passed; whether that is new."""
        if job in self._reservations or any(claim.name in self._reserved for claim in job.call.locks):
            return False
        self._reservations[job] = _Reservation(passes, now)
        for claim in job.call.locks:
            self._reserved[claim.name] = job
        return True

    def unreserve(self, job: ScheduledCall) -> None:
        """Drop the call's reservation, if it has one."""
        if self._reservations.pop(job, None) is not None:
            for claim in job.call.locks:
                del self._reserved[claim.name]
                self._freed[claim.name] = None

    def unreserve_pool(self, key: PoolKey) -> None:
        """Drop the reservations of calls that wait in a pool, because nobody serves it now."""
        for job in [job for job in self._reservations if job.call.pool == key]:
            self.unreserve(job)

    def due(self, key: PoolKey, now: float) -> Iterable[ScheduledCall]:
        """Return the calls of a pool that were passed often enough and whose locks are all free now."""
        if not self._reservations:
            return ()
        return (
            job
            for job, reservation in self._reservations.items()
            if not reservation.passes_left and job.call.pool == key and self.free(job, now)
        )

    def woken(self) -> list[PoolKey]:
        """Return the pools where somebody waits for a lock freed since the last look, most urgent first.

        Most urgent is the pool with the best class among those who wait, then with the longest wait.
        """
        if not self._freed:
            return []
        names, self._freed = self._freed, {}
        best: dict[PoolKey, tuple[int, float, int]] = {}
        for name in names:
            for job in self._waiting.get(name, ()):
                rank = (_RANK[job.call.scheduling_class], job.queued_at, job.seq)
                known = best.get(job.call.pool)
                best[job.call.pool] = rank if known is None else min(known, rank)
        return sorted(best, key=best.__getitem__)

    def obstacle(self, job: ScheduledCall, now: float, *, strict: bool = False) -> Obstacle | None:
        """Return the first lock that the call lacks; None: it lacks none."""
        for claim in job.call.locks:
            if self._taken(claim.name, claim.limit):
                holders = tuple(holder for holder, _ in self._holders[claim.name].values())
                return Obstacle(claim.name, holders, None)
            if self._kept(claim.name, job, now, strict=strict):
                return Obstacle(claim.name, (), self._reserved[claim.name])
        return None

    def _taken(self, name: str, limit: int) -> bool:
        holders = self._holders.get(name)
        if not holders:
            return False
        # Each holder counts on its own limit as well as the newcomer on its.
        return len(holders) >= min(limit, *(theirs for _, theirs in holders.values()))

    def _kept(self, name: str, job: ScheduledCall, now: float, *, strict: bool) -> bool:
        holder = self._reserved.get(name)
        if holder is None or holder is job:
            return False
        reservation = self._reservations[holder]
        return not reservation.passes_left and not (strict and now - reservation.since <= self._patience)
