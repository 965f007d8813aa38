"""What the scheduler measures. Names and labels are documented in deploy/grafana/METRICS.md."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.chassis.metrics import DURATION_BUCKETS
from services.scheduler.events import Decision, Grant, Preempt, Reject, TimelineEvent, TimelineKind
from services.scheduler.model import Outcome
from services.scheduler.stats import Stats


class PrometheusScheduleMetrics:
    """Counts decisions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._wait = Histogram(
            "aios_scheduler_wait_seconds",
            "Time a call spent in the queue, by class and by how it left.",
            ["scheduling_class", "outcome"],
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

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Count what a step decided."""
        for decision in decisions:
            match decision:
                case Grant():
                    self._grants.labels(decision.replica).inc()
                case Preempt():
                    self._preempts.labels(decision.replica).inc()
                case Reject():
                    self._rejects.labels(decision.outcome.value).inc()
                case TimelineEvent():
                    self._event(decision)

    def _event(self, event: TimelineEvent) -> None:
        self._events.labels(event.kind.value).inc()
        if event.scheduling_class is None:
            return
        if event.kind is TimelineKind.GRANTED:
            self._observe(event, Outcome.DISPATCHED.value)
        elif event.kind is TimelineKind.REJECTED:
            self._observe(event, event.detail)

    def _observe(self, event: TimelineEvent, outcome: str) -> None:
        if event.scheduling_class is not None:
            self._wait.labels(event.scheduling_class.value, outcome).observe(event.wait_seconds)


class QueueCollector(Collector):
    """Reads the core's gauges when a scrape comes."""

    def __init__(self, registry: CollectorRegistry, read: Callable[[], Stats]) -> None:
        self._read = read
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every gauge."""
        stats = self._read()
        by_class = ["lane", "resource", "scheduling_class", "policy"]
        waiting = GaugeMetricFamily("aios_scheduler_waiting", "Calls that wait.", labels=by_class)
        running = GaugeMetricFamily("aios_scheduler_running", "Calls that run.", labels=by_class)
        oldest = GaugeMetricFamily(
            "aios_scheduler_oldest_wait_seconds", "Wait of the oldest waiting call.", labels=by_class
        )
        for each in stats.classes:
            labels = [each.lane.value, each.resource, each.scheduling_class.value, each.policy]
            waiting.add_metric(labels, each.waiting)
            running.add_metric(labels, each.running)
            oldest.add_metric(labels, each.oldest_wait)
        slots = GaugeMetricFamily(
            "aios_scheduler_replica_slots", "Calls a replica may run at once.", labels=["replica"]
        )
        used = GaugeMetricFamily(
            "aios_scheduler_replica_running", "Calls a replica runs.", labels=["replica"]
        )
        tokens = GaugeMetricFamily(
            "aios_scheduler_replica_tokens", "Tokens that a replica's calls hold.", labels=["replica"]
        )
        up = GaugeMetricFamily(
            "aios_scheduler_replica_up", "1 while a replica takes calls.", labels=["replica"]
        )
        for replica in stats.replicas:
            slots.add_metric([replica.replica], replica.slot_limit)
            used.add_metric([replica.replica], replica.running)
            tokens.add_metric([replica.replica], replica.tokens_reserved)
            up.add_metric([replica.replica], float(replica.up))
        yield from (waiting, running, oldest, slots, used, tokens, up)
