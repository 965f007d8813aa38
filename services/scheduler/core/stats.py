"""Gauges of the core, for metrics and dashboards."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.class_queue import ClassQueue
from services.scheduler.core.pool import Pool
from services.scheduler.model import ReplicaId, ResourceKind


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassStats:
    """One class in one pool. Times in seconds."""

    lane: ResourceKind
    resource: str
    scheduling_class: SchedulingClass
    policy: str
    waiting: int
    running: int
    oldest_wait: float
    mean_wait: float
    """Exponentially weighted, over dispatched calls."""

    p99_wait: float
    """Over the last 512 dispatched calls."""

    prediction_error: float
    """Mean error of predicted starts, in seconds."""

    in_starvation_lane: int
    boosted: bool
    dispatched: int
    """Since the start."""

    policy_gauges: Mapping[str, float]
    """Empty when they were not asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaStats:
    """One replica."""

    replica: ReplicaId
    lane: ResourceKind
    resource: str
    up: bool
    running: int
    slots: int
    slot_limit: int
    tokens_reserved: int
    token_limit: float
    """Infinite when the replica has no token budget."""

    limit_factor: float
    prefix_trust: float
    reserved_for: str
    """Call that holds a reservation here, or empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """All gauges at one time."""

    waiting: int
    running: int
    tokens_in_flight: int
    oldest_wait: float
    classes: tuple[ClassStats, ...]
    replicas: tuple[ReplicaStats, ...]


def gather(pools: Iterable[Pool], now: float, *, of_policies: bool = True) -> Stats:
    """Read every gauge. O(classes + replicas), and what the gauges of the policies cost."""
    pools = list(pools)
    classes = tuple(
        _of_class(pool, queue, now, of_policies=of_policies)
        for pool in pools
        for queue in pool.queues.values()
    )
    replicas = tuple(
        ReplicaStats(
            replica=r.id,
            lane=r.pool.lane,
            resource=r.pool.resource,
            up=r.up,
            running=len(r.running),
            slots=r.slots,
            slot_limit=r.slot_limit(now),
            tokens_reserved=r.used_tokens,
            token_limit=r.token_limit(now),
            limit_factor=r.limit.factor(now),
            prefix_trust=r.prefixes.trust,
            reserved_for=r.reserved_for.call.id if r.reserved_for else "",
        )
        for pool in pools
        for r in pool.replicas.values()
    )
    return Stats(
        waiting=sum(c.waiting for c in classes),
        running=sum(r.running for r in replicas),
        tokens_in_flight=sum(r.tokens_reserved for r in replicas),
        oldest_wait=max((c.oldest_wait for c in classes), default=0.0),
        classes=classes,
        replicas=replicas,
    )


def merged(classes: Iterable[ClassStats], name: Callable[[ClassStats], str]) -> list[ClassStats]:
    """Add up the classes of pools that get the same name; waits and errors are the greatest of them."""
    found: dict[tuple[ResourceKind, str, SchedulingClass], ClassStats] = {}
    for each in classes:
        key = (each.lane, name(each), each.scheduling_class)
        known = found.get(key)
        found[key] = replace(each, resource=key[1]) if known is None else _added(known, each)
    return list(found.values())


def _added(one: ClassStats, other: ClassStats) -> ClassStats:
    return replace(
        one,
        waiting=one.waiting + other.waiting,
        running=one.running + other.running,
        oldest_wait=max(one.oldest_wait, other.oldest_wait),
        mean_wait=max(one.mean_wait, other.mean_wait),
        p99_wait=max(one.p99_wait, other.p99_wait),
        prediction_error=max(one.prediction_error, other.prediction_error),
        in_starvation_lane=one.in_starvation_lane + other.in_starvation_lane,
        boosted=one.boosted or other.boosted,
        dispatched=one.dispatched + other.dispatched,
    )


def merged_replicas(
    replicas: Iterable[ReplicaStats], name: Callable[[ReplicaStats], str]
) -> list[ReplicaStats]:
    """Add up the replicas that get the same name."""
    found: dict[str, ReplicaStats] = {}
    for each in replicas:
        label = name(each)
        known = found.get(label)
        found[label] = replace(
            each,
            replica=label,
            up=each.up or bool(known and known.up),
            running=each.running + (known.running if known else 0),
            slot_limit=each.slot_limit + (known.slot_limit if known else 0),
            tokens_reserved=each.tokens_reserved + (known.tokens_reserved if known else 0),
        )
    return list(found.values())


def _of_class(pool: Pool, queue: ClassQueue, now: float, *, of_policies: bool) -> ClassStats:
    oldest = queue.lane.oldest()
    return ClassStats(
        lane=pool.key.lane,
        resource=pool.key.resource,
        scheduling_class=queue.name,
        policy=queue.policy.name,
        waiting=len(queue.waiting),
        running=queue.use.slots,
        oldest_wait=0.0 if oldest is None else oldest.wait(now),
        mean_wait=queue.monitor.mean,
        p99_wait=queue.monitor.p99(),
        prediction_error=queue.monitor.prediction_error,
        in_starvation_lane=len(queue.lane),
        boosted=queue.lane.boosted,
        dispatched=queue.monitor.count,
        policy_gauges=queue.policy.stats() if of_policies else {},
    )
