"""The storage manager's own metrics; the README lists them."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class StorageMetrics:
    """The Meter port on Prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._written = Counter(
            "aios_storage_written_bytes", "Bytes of the versions written.", registry=registry
        )
        self._read = Counter("aios_storage_read_bytes", "Bytes sent to readers.", registry=registry)
        self._corrupt = Counter(
            "aios_storage_corrupt_pieces",
            "Stored pieces that did not match their checksum when they were read.",
            registry=registry,
        )
        self._refused = Counter(
            "aios_storage_refused",
            "Writes refused because a quota is used up, by quota.",
            ["quota"],
            registry=registry,
        )
        self._repeated = Counter(
            "aios_storage_repeated_requests",
            "Requests answered with the reply of an earlier one with the same request_id.",
            registry=registry,
        )
        self._watchers = Gauge("aios_storage_watchers", "Open watch streams.", registry=registry)
        self._collected = Counter(
            "aios_storage_collected",
            "What maintenance removed, by kind: uploads, trash, contents, blobs, replies.",
            ["what"],
            registry=registry,
        )

    def written(self, size: int) -> None:
        """Count bytes of a version."""
        self._written.inc(size)

    def read(self, size: int) -> None:
        """Count bytes sent to a reader."""
        self._read.inc(size)

    def corrupt(self) -> None:
        """Count stored bytes that do not match their checksum."""
        self._corrupt.inc()

    def refused(self, reason: str) -> None:
        """Count a write that was refused."""
        self._refused.labels(reason).inc()

    def repeated(self) -> None:
        """Count a repeated request."""
        self._repeated.inc()

    def watchers(self, change: int) -> None:
        """Count open watch streams."""
        self._watchers.inc(change)

    def collected(self, what: str, count: int) -> None:
        """Count what maintenance removed."""
        self._collected.labels(what).inc(count)
