"""What the access manager counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.access.model.rules import Reason
from services.chassis.runtime.metrics import DURATION_BUCKETS, WorkerMetrics


class AccessMetrics:
    """The metrics behind the Meter port."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions = Histogram(
            "aios_access_decision_seconds",
            "Time of one decision, the load of its input included, by reason.",
            ["reason"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._issued = Counter(
            "aios_access_tokens_issued", "Tokens issued, by credential.", ["credential"], registry=registry
        )
        self._refused = Counter(
            "aios_access_credentials_refused",
            "Wrong credentials, by credential.",
            ["credential"],
            registry=registry,
        )
        self._audited = Counter(
            "aios_access_audit_entries", "Entries reported to the audit log.", ["outcome"], registry=registry
        )
        self._lost = Counter(
            "aios_access_audit_denials_lost",
            "Denials that the audit log only counts because their agent or tenant had too many.",
            registry=registry,
        )
        self._heads = Counter(
            "aios_access_audit_heads",
            "Heads of the audit logs told outside: file, webhook, or lost for the webhook.",
            ["where"],
            registry=registry,
        )
        self._purged = Counter(
            "aios_access_agents_purged", "Killed agents of which everything was deleted.", registry=registry
        )
        self.workers = WorkerMetrics(registry)
        """Counts the ends of its workers."""
        self._revision = Gauge("aios_access_revision", "Revision of the rules.", registry=registry)
        self._watchers = Gauge("aios_access_watchers", "Open watches.", ["stream"], registry=registry)

    def decided(self, reason: Reason, seconds: float) -> None:
        """Count one decision and its time."""
        self._decisions.labels(reason.value).observe(seconds)

    def issued(self, how: str) -> None:
        """Count one token."""
        self._issued.labels(how).inc()

    def refused(self, how: str) -> None:
        """Count one refused credential."""
        self._refused.labels(how).inc()

    def audited(self, outcome: str, count: int) -> None:
        """Count audit entries."""
        self._audited.labels(outcome).inc(count)

    def audit_lost(self, count: int) -> None:
        """Count denials that were left out."""
        self._lost.inc(count)

    def head_exported(self, where: str, count: int) -> None:
        """Count heads told outside."""
        self._heads.labels(where).inc(count)

    def purged(self) -> None:
        """Count an agent that was purged to the end."""
        self._purged.inc()

    def revised(self, revision: int) -> None:
        """Note the revision."""
        self._revision.set(revision)

    def watching(self, stream: str, change: int) -> None:
        """Count watchers up or down."""
        self._watchers.labels(stream).inc(change)
