"""The Meter port on Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_CANDIDATES = tuple(10**k for k in range(6))
_BYTES = tuple(64 * 4**k for k in range(9))


class MemoryMetrics:
    """Counts what the memory manager does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reads = Counter(
            "aios_memory_reads",
            "Notes read, by where they were: ram or storage.",
            ["from"],
            registry=registry,
        )
        self._write_bytes = Histogram(
            "aios_memory_write_bytes", "Size of the notes written.", buckets=_BYTES, registry=registry
        )
        self._evicted = Counter("aios_memory_evictions", "Notes moved out of RAM.", registry=registry)
        self._restored = Counter("aios_memory_restores", "Notes brought back into RAM.", registry=registry)
        self._notes = Gauge("aios_memory_resident_notes", "Notes in RAM.", registry=registry)
        self._bytes = Gauge("aios_memory_resident_bytes", "Bytes of notes in RAM.", registry=registry)
        self._expired = Counter("aios_memory_expired", "Notes that deleted themselves.", registry=registry)
        self._refused = Counter(
            "aios_memory_quota_refusals", "Writes refused for a quota.", registry=registry
        )
        self._corrupt = Counter(
            "aios_memory_corrupt", "Notes whose bytes did not match their checksum.", registry=registry
        )
        self._searches = Histogram(
            "aios_memory_search_candidates",
            "Notes compared by one search, by mode.",
            ["mode"],
            buckets=_CANDIDATES,
            registry=registry,
        )

    def read(self, *, resident: bool) -> None:
        """Count a read."""
        self._reads.labels("ram" if resident else "storage").inc()

    def written(self, size: int) -> None:
        """Count a write."""
        self._write_bytes.observe(size)

    def evicted(self, count: int) -> None:
        """Count evictions."""
        self._evicted.inc(count)

    def restored(self) -> None:
        """Count a note that came back."""
        self._restored.inc()

    def resident(self, count: int, size: int) -> None:
        """Note how much is in RAM."""
        self._notes.set(count)
        self._bytes.set(size)

    def expired(self, count: int) -> None:
        """Count expired notes."""
        self._expired.inc(count)

    def refused(self) -> None:
        """Count a refused write."""
        self._refused.inc()

    def corrupt(self) -> None:
        """Count a damaged note."""
        self._corrupt.inc()

    def searched(self, mode: str, candidates: int) -> None:
        """Count a search."""
        self._searches.labels(mode).observe(candidates)
