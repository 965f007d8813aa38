"""The guard of preemption: when stopping a running call pays, and for whom."""

from collections.abc import Iterable, Mapping

from services.scheduler.core.replica import Replica
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import CoreSettings
from services.scheduler.model import CallState, ReplicaId


class PreemptionGuard:
    """Refuses preemptions that cost more than they give.

    Unguarded round robin with small slices lost two thirds of the throughput on long contexts,
    because every resume reads the context again.
    """

    def __init__(self, settings: CoreSettings) -> None:
        self._guard = settings.guard
        self._cost = settings.cost

    def allows(self, job: ScheduledCall, replica: Replica, churn: int) -> bool:
        """Whether the running call may be stopped now.

        `churn`: context tokens of the calls that wait, all of which may run before it resumes; what
        they need beyond the free KV evicts its prefix.
        """
        guard = self._guard
        if job.state is not CallState.RUNNING or not job.call.preemptible:
            return False
        if job.preemptions >= guard.max_per_call or job.slice_tokens < max(guard.min_tokens, job.quantum):
            return False
        if replica.kv_snapshot:
            return True  # its state is saved and loaded again: nothing is read twice
        fill = kv_fill(replica)
        if fill > guard.max_kv_use:
            return False
        context = job.context_tokens
        # A stopped call's prefix stays cached only while nobody needs its room. All that waits may run before
        # it resumes, so what fits beside all of that counts as kept, discounted by how often such guesses
        # came true.
        kept = replica.prefix_cache and fill * replica.nominal_tokens + churn <= replica.nominal_tokens
        cached = (context - job.slice_tokens) * replica.prefixes.trust if kept else 0.0
        # Both sides in backend seconds: what resuming costs, against what the slice brought.
        resume = self._cost.prefill(int(context - cached))
        return resume < guard.max_overhead * self._cost.decode(job.slice_tokens, context)


def kv_fill(replica: Replica) -> float:
    """Part of the replica's KV that holds tokens now (reserved but unused room is not full)."""
    if not replica.max_tokens:
        return 0.0
    return replica.context_tokens / replica.max_tokens


def enough(
    job: ScheduledCall, victims: Iterable[ScheduledCall], replicas: Mapping[ReplicaId, Replica], now: float
) -> list[ScheduledCall]:
    """Return the shortest run of victims on one replica whose leaving makes room for the call.

    Victims on several replicas would each be stopped in vain: a call runs on one.
    """
    chosen: dict[ReplicaId, list[ScheduledCall]] = {}
    for victim in victims:
        replica = replicas[victim.replica]
        if replica.reserved_for not in (None, job) or not replica.up or not replica.could_hold(job):
            continue
        group = chosen.setdefault(replica.id, [])
        group.append(victim)
        if _fits_without(job, group, replica, now):
            return group
    return []


def _fits_without(job: ScheduledCall, leaving: list[ScheduledCall], replica: Replica, now: float) -> bool:
    staying = len(replica.running) - len(leaving)
    free = max(1, replica.slot_limit(now)) - staying
    if free < 1:
        return False
    if free == 1 and replica.keeps(now) and job.gang is None:
        program = job.call.program_key
        if replica.programs.get(program, 0) > sum(victim.call.program_key == program for victim in leaving):
            return False
    freed = sum(victim.private_tokens for victim in leaving)
    return not staying or replica.used_tokens - freed + replica.need(job) <= replica.token_limit(now)
