"""What the scheduler measures. Names and labels are documented in deploy/grafana/METRICS.md."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.chassis.dispatch.scheduling import QueueOutcome, SchedulingClass
from services.chassis.runtime.metrics import DURATION_BUCKETS
from services.scheduler.core.events import Decision, Preempt, Reject, TimelineEvent, TimelineKind
from services.scheduler.core.stats import ClassStats, ReplicaStats, Stats, merged, merged_replicas
from services.scheduler.model import ResourceKind


class PrometheusScheduleMetrics:
    """Counts decisions. `policy_of` tells the policy of a class in a lane, for the label of its waits."""

    def __init__(
        self, registry: CollectorRegistry, policy_of: Callable[[SchedulingClass, ResourceKind], str]
    ) -> None:
        self._policy_of = policy_of
        self._wait = Histogram(
            "aios_scheduler_wait_seconds",
            "Time a call spent in the queue, by lane, class and policy and by how it left.",
            ["lane", "scheduling_class", "policy", "outcome"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._grants = Counter("aios_scheduler_grants", "Grants, by replica.", ["replica"], registry=registry)
        self._preempts = Counter(
            "aios_scheduler_preemptions",
            "Running calls told to stop, by replica.",
            ["replica"],
            registry=registry,
        )
        self._rejects = Counter(
            "aios_scheduler_rejects",
            "Calls that left without a grant, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._events = Counter(
            "aios_scheduler_events", "Timeline events, by kind.", ["kind"], registry=registry
        )

        self._past_lost = Counter(
            "aios_scheduler_past_calls_lost", "Calls that ended and are not kept.", registry=registry
        )

    def past_lost(self, count: int) -> None:
        """Count calls that ended and are not kept."""
        self._past_lost.inc(count)

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Count what a step decided."""
        for decision in decisions:
            match decision:
                case Preempt():
                    self._preempts.labels(decision.replica).inc()
                case Reject():
                    self._rejects.labels(decision.outcome.value).inc()
                case TimelineEvent():
                    self._event(decision)

    def _event(self, event: TimelineEvent) -> None:
        self._events.labels(event.kind.value).inc()
        if event.kind is TimelineKind.GRANTED:
            self._grants.labels(_label(event.lane, event.replica)).inc()
            self._observe(event, QueueOutcome.DISPATCHED.value)
        elif event.kind is TimelineKind.REJECTED:
            self._observe(event, event.detail)

    def _observe(self, event: TimelineEvent, outcome: str) -> None:
        if event.lane is None or event.scheduling_class is None:
            return
        kind = event.scheduling_class
        labels = (event.lane.value, kind.value, self._policy_of(kind, event.lane), outcome)
        self._wait.labels(*labels).observe(event.wait_seconds)


class QueueCollector(Collector):
    """Reads the core's gauges when a scrape comes."""

    def __init__(self, registry: CollectorRegistry, read: Callable[[], Stats]) -> None:
        self._read = read
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every gauge."""
        stats = self._read()
        classes = merged(stats.classes, lambda each: _label(each.lane, each.resource))
        replicas = merged_replicas(stats.replicas, lambda each: _label(each.lane, each.replica))
        for name, text, of_class in _CLASS_GAUGES:
            gauge = GaugeMetricFamily(f"aios_scheduler_{name}", text, labels=_CLASS_LABELS)
            for kind in classes:
                labels = [kind.lane.value, kind.resource, kind.scheduling_class.value, kind.policy]
                gauge.add_metric(labels, of_class(kind))
            yield gauge
        for name, text, of_replica in _REPLICA_GAUGES:
            gauge = GaugeMetricFamily(f"aios_scheduler_replica_{name}", text, labels=_REPLICA_LABELS)
            for replica in replicas:
                gauge.add_metric([replica.lane.value, replica.replica], of_replica(replica))
            yield gauge


def _label(lane: ResourceKind | None, name: str) -> str:
    """Return the label of a model, tool or replica; the tools of tenants are too many and share one."""
    return "registered" if lane is ResourceKind.TOOL and not name.startswith("tools/") else name


_CLASS_LABELS = ("lane", "resource", "scheduling_class", "policy")
_REPLICA_LABELS = ("lane", "replica")
_CLASS_GAUGES: tuple[tuple[str, str, Callable[[ClassStats], float]], ...] = (
    ("waiting", "Calls that wait.", lambda kind: kind.waiting),
    ("running", "Calls that run.", lambda kind: kind.running),
    ("oldest_wait_seconds", "Wait of the oldest waiting call.", lambda kind: kind.oldest_wait),
    ("mean_wait_seconds", "Wait of granted calls, lately (EWMA).", lambda kind: kind.mean_wait),
    ("p99_wait_seconds", "99th percentile of the last 512 grants' waits.", lambda kind: kind.p99_wait),
    ("in_lane", "Calls in the starvation lane.", lambda kind: kind.in_starvation_lane),
    ("boosted", "1 while the lane has twice its share.", lambda kind: kind.boosted),
    ("prediction_error_seconds", "Mean error of predicted starts.", lambda kind: kind.prediction_error),
)
_REPLICA_GAUGES: tuple[tuple[str, str, Callable[[ReplicaStats], float]], ...] = (
    ("slots", "Calls a replica may run at once.", lambda replica: replica.slot_limit),
    ("running", "Calls a replica runs.", lambda replica: replica.running),
    ("tokens", "Tokens that a replica's calls hold.", lambda replica: replica.tokens_reserved),
    ("up", "1 while a replica takes calls.", lambda replica: replica.up),
    ("limit_factor", "What is left of a replica's limits after cuts.", lambda replica: replica.limit_factor),
    (
        "prefix_trust",
        "How far a replica's prefix cache holds what is expected.",
        lambda replica: replica.prefix_trust,
    ),
)
