"""Which replica a call goes to, and which one it may hold until it fits."""

from collections.abc import Iterable

from services.scheduler.budget import Replica
from services.scheduler.job import Job
from services.scheduler.settings import CoreSettings


class Placement:
    """Chooses the replica where the call is expected to take the least time.

    Expected time = uncached prefill + decode * step time of the batch it joins, so a cached prefix
    weighs exactly what it saves (prefix affinity) and a crowded replica what it costs.
    """

    def __init__(self, settings: CoreSettings) -> None:
        self._settings = settings

    def choose(self, job: Job, replicas: Iterable[Replica], now: float, *, strict: bool) -> Replica | None:
        """Return the best replica the call fits on now, or None."""
        best, best_rank = None, (True, float("inf"))
        for replica in replicas:
            if not replica.has_slot(now) or not replica.fits_tokens(job, now):
                continue
            if not self.may_enter(job, replica, now, strict=strict):
                continue
            rank = (replica.id == job.avoid_replica, self.seconds(job, replica))
            if best is None or rank < best_rank:
                best, best_rank = replica, rank
        return best

    def seconds(self, job: Job, replica: Replica) -> float:
        """Return expected seconds from dispatch to the end on this replica."""
        cost = self._settings.cost
        uncached = job.context_tokens - self.cached(job, replica)
        sequences = len(replica.running)
        step = cost.step(sequences + 1, replica.used_tokens)
        # Each prefill there stalls the others for its length; half of it is met on average.
        return cost.prefill(uncached) * (1 + 0.5 * sequences) + job.decode * step

    def cached(self, job: Job, replica: Replica) -> int:
        """Context tokens the replica need not read."""
        snapshot = job.snapshot
        if snapshot.has_kv and replica.kv_snapshot and snapshot.replica in ("", replica.id):
            return max(0, job.context_tokens - 1)
        return replica.prefixes.cached(job) if replica.prefix_cache else 0

    def may_enter(self, job: Job, replica: Replica, now: float, *, strict: bool) -> bool:
        """Whether a reservation on the replica lets this call pass; a gang passes none, being many calls."""
        holder = replica.reserved_for
        if holder is None or holder is job or (job.gang is not None and holder.gang is job.gang):
            return True
        if strict and now - replica.reserved_at <= self._settings.reservation_patience:
            return True
        return job.gang is None and replica.passes_left > 0

    def reserve(self, job: Job, replicas: Iterable[Replica], passes: int, now: float) -> Replica | None:
        """Hold the replica where the call lacks the fewest tokens; None: none is left to hold."""
        free = [r for r in replicas if r.up and r.reserved_for is None and r.could_hold(job)]
        if not free:
            return None
        best = max(free, key=lambda r: r.token_limit(now) - r.used_tokens - r.need(job))
        best.reserve(job, passes, now)
        return best
