"""Which replica a call goes to, and which one it may hold until it fits."""

from collections.abc import Iterable

from services.scheduler.core.replica import Replica
from services.scheduler.core.reservation import Reservation
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import CoreSettings


class Placement:
    """Chooses the replica where the call is expected to take the least time.

    Expected time = uncached prefill + decode * step time of the batch it joins, so a cached prefix
    weighs exactly what it saves (prefix affinity) and a crowded replica what it costs. An affinity that the
    caller names is a guess of its own: it weighs as if half of what must be read were cached after all.
    """

    def __init__(self, settings: CoreSettings) -> None:
        self._settings = settings

    def choose(
        self, job: ScheduledCall, replicas: Iterable[Replica], now: float, *, strict: bool
    ) -> Replica | None:
        """Return the best replica the call fits on now, or None."""
        fitting = [
            replica
            for replica in replicas
            if replica.room_for(job, now)
            and replica.fits_tokens(job, now)
            and self.may_enter(job, replica, now, strict=strict)
        ]
        if len(fitting) < 2:  # noqa: PLR2004 - nothing to compare
            return fitting[0] if fitting else None
        # Among equals the emptiest cache: what is put there drives least out.
        return min(fitting, key=lambda r: (r.id == job.avoid_replica, self._hoped(job, r), r.prefixes.held))

    def seconds(self, job: ScheduledCall, replica: Replica) -> float:
        """Return expected seconds from dispatch to the end on this replica."""
        return self._seconds(job, replica, job.context_tokens - self.cached(job, replica))

    def _hoped(self, job: ScheduledCall, replica: Replica) -> float:
        """Return what placing goes by: the expected seconds, fewer where the caller's affinity points to."""
        uncached = job.context_tokens - self.cached(job, replica)
        hoped_for = replica.prefix_cache and replica.prefixes.attracts(job)
        return self._seconds(job, replica, uncached // 2 if hoped_for else uncached)

    def _seconds(self, job: ScheduledCall, replica: Replica, uncached: int) -> float:
        cost = self._settings.cost
        sequences = len(replica.running)
        step = max(replica.token_seconds, cost.step(sequences + 1, replica.used_tokens))
        # Each prefill there stalls the others for its length; half of it is met on average.
        return cost.prefill(uncached) * (1 + 0.5 * sequences) + job.decode * step

    def cached(self, job: ScheduledCall, replica: Replica) -> int:
        """Context tokens the replica need not read."""
        snapshot = job.snapshot
        if snapshot.has_kv and replica.kv_snapshot and snapshot.replica in ("", replica.id):
            return max(0, job.context_tokens - 1)
        return replica.prefixes.cached(job) if replica.prefix_cache else 0

    def may_enter(self, job: ScheduledCall, replica: Replica, now: float, *, strict: bool) -> bool:
        """Whether a reservation on the replica lets this call pass; a gang passes none, being many calls."""
        held = replica.reservation
        if held is None or held.job is job or (job.gang is not None and held.job.gang is job.gang):
            return True
        if strict and now - held.made <= self._settings.reservation_patience:
            return True
        if job.gang is not None or not held.open(now):
            return False
        return held.lets_pass(replica.need(job), self.ends(job, replica, now))

    def ends(self, job: ScheduledCall, replica: Replica, now: float) -> float:
        """When a call dispatched now is expected to end."""
        return now + self.seconds(job, replica)

    def reserve(
        self, job: ScheduledCall, replicas: Iterable[Replica], now: float, *, sealed: bool, from_lane: bool
    ) -> Replica | None:
        """Hold the replica where the call lacks the fewest tokens; None: none is left to hold."""
        free = [r for r in replicas if r.up and r.reservation is None and r.could_hold(job)]
        if not free:
            return None
        best = max(free, key=lambda r: r.token_limit(now) - r.used_tokens - r.need(job))
        self.hold(job, best, now, sealed=sealed, from_lane=from_lane)
        return best

    def hold(
        self, job: ScheduledCall, replica: Replica, now: float, *, sealed: bool, from_lane: bool
    ) -> None:
        """Hold this replica for a call, or for the gang it leads."""
        replica.reservation = Reservation(job, now, sealed=sealed, from_lane=from_lane)
        self.foretell(replica.reservation, replica, now)

    def foretell(self, held: Reservation, replica: Replica, now: float) -> None:
        """Predict when the holder fits, from the expected ends of the calls that run.

        A gang waits for the last of them, as its replicas are chosen for what they take when empty.
        """
        if held.sealed:
            return
        alone = held.job.gang is None
        free = replica.token_limit(now) - replica.used_tokens - replica.need(held.job)
        slots = replica.slot_limit(now) - len(replica.running) - 1
        start = now
        for job in sorted(replica.running.values(), key=lambda job: (job.decode, job.seq)):
            if alone and free >= 0 and slots >= 0:
                break
            start = now + job.decode * replica.token_seconds
            free, slots = free + job.private_tokens, slots + 1
        held.start = start
        held.spare_tokens, held.spare_slots = (free, slots) if alone else (0, 0)
