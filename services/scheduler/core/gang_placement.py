"""Room for a gang: where all of its calls fit at once, and which replicas are kept free for it meanwhile."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from services.scheduler.core.placement import Placement
from services.scheduler.core.replica import Replica
from services.scheduler.core.scheduled_call import Gang, ScheduledCall
from services.scheduler.core.settings import CoreSettings
from services.scheduler.model import ReplicaId

Plan = list[tuple[ScheduledCall, Replica]]
Choose = Callable[[ScheduledCall, Sequence[Replica]], Replica | None]


class GangPlacement:
    """Places the calls of a gang, all of them or none.

    Affinity is tried first, then first-fit decreasing (Johnson, "Near-optimal bin packing
    algorithms", MIT 1973). A gang that does not fit keeps replicas free: those that first-fit
    decreasing needs when they are empty, so that a drained set is certain to take it. At most one
    gang of a pool does so at a time, and it holds no slots meanwhile: nobody waits in a circle.
    """

    def __init__(
        self, settings: CoreSettings, placement: Placement, replicas: Mapping[ReplicaId, Replica]
    ) -> None:
        self._settings = settings
        self._placement = placement
        self._replicas = replicas

    def plan(self, gang: Gang, now: float, *, strict: bool) -> Plan | None:
        """Return where each call goes, or None while not all of them fit."""
        jobs = list(gang.members.values())
        ready = [r for r in self._replicas.values() if r.has_slot(now)]
        if sum(r.slot_limit(now) - len(r.running) for r in ready) < len(jobs):
            return None
        held = [r for r in ready if r.reserved_for is not None and r.reserved_for.gang is gang]

        def by_affinity(job: ScheduledCall, replicas: Sequence[Replica]) -> Replica | None:
            return self._placement.choose(job, replicas, now, strict=strict)

        def first_fit(job: ScheduledCall, replicas: Sequence[Replica]) -> Replica | None:
            open_ = (r for r in replicas if self._placement.may_enter(job, r, now, strict=strict))
            return _first_fit(job, open_, now)

        # Affinity may scatter the calls so that the last one does not fit. First-fit decreasing over the
        # replicas held for the gang is what they were chosen by, so once these are drained the second try
        # succeeds.
        return _pack(jobs, ready, by_affinity) or _pack(jobs, _largest_first(held or ready), first_fit)

    def could_hold(self, gang: Gang) -> bool:
        """Whether the replicas that are known, up or down, hold the gang when they are empty."""
        known = [r for r in self._replicas.values() if r.slots > 0]
        return not known or self._wanted(gang, known) is not None

    def hold(
        self, gang: Gang, now: float, *, sealed: bool, from_lane: bool
    ) -> tuple[list[Replica], list[Replica]]:
        """Keep replicas free for the gang, as far as nobody else holds them.

        Return the new ones, and those that it held and has no use for any more.
        """
        leader = gang.leader
        holders = {r.reserved_for.gang for r in self._replicas.values() if r.reserved_for is not None}
        # Two gangs that each held a part of what both need would wait for each other for ever.
        if leader is None or any(other is not None and other is not gang for other in holders):
            return [], []
        wanted = self._wanted(gang, [r for r in self._replicas.values() if r.up and r.slots > 0]) or ()
        fresh: list[Replica] = []
        freed: list[Replica] = []
        for replica in self._replicas.values():
            if replica.id not in wanted:
                if replica.reserved_for is leader:
                    replica.unreserve(leader)
                    freed.append(replica)
            elif replica.reservation is None:
                self._placement.hold(leader, replica, now, sealed=sealed, from_lane=from_lane)
                fresh.append(replica)
        return fresh, freed

    def _wanted(self, gang: Gang, replicas: Iterable[Replica]) -> frozenset[ReplicaId] | None:
        """Return the replicas that take the gang when they are empty; None: it never fits."""
        empty = [r.emptied() for r in _largest_first(replicas)]
        jobs = list(gang.members.values())
        plan = _pack(jobs, empty, lambda job, replicas: _first_fit(job, replicas, 0.0))
        return None if plan is None else frozenset(replica.id for _, replica in plan)


def _first_fit(job: ScheduledCall, replicas: Iterable[Replica], now: float) -> Replica | None:
    return next((r for r in replicas if r.has_slot(now) and r.fits_tokens(job, now)), None)


def _largest_first(replicas: Iterable[Replica]) -> list[Replica]:
    return sorted(replicas, key=lambda r: (-r.nominal_tokens, -r.slots, r.id))


def _pack(jobs: Iterable[ScheduledCall], replicas: Sequence[Replica], choose: Choose) -> Plan | None:
    """Place the calls one by one, the largest first; None when one is left over.

    Each call is really taken in, so that the next one is judged by the room that is left, and released at the
    end whatever came of it: nothing is granted here.
    """
    taken: Plan = []
    try:
        for job in sorted(jobs, key=lambda j: (-j.footprint, j.seq)):
            replica = choose(job, replicas)
            if replica is None:
                return None
            replica.take(job)
            taken.append((job, replica))
    finally:
        for job, replica in taken:
            replica.release(job)
    return taken
