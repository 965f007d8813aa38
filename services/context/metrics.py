"""The Meter port on Prometheus metrics."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.context.model import DroppedRun, Strategy

_BYTES = tuple(256 * 4**k for k in range(8))


class ContextMetrics:
    """Counts what the context manager does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._saves = Counter(
            "aios_context_snapshot_saves",
            "Snapshots saved, by form: whole or incremental.",
            ["form"],
            registry=registry,
        )
        self._save_bytes = Histogram(
            "aios_context_snapshot_save_bytes",
            "Bytes that one save brought.",
            buckets=_BYTES,
            registry=registry,
        )
        self._fenced = Counter(
            "aios_context_snapshot_conflicts",
            "Saves refused: another owner, or not where the snapshot stands.",
            registry=registry,
        )
        self._claims = Counter(
            "aios_context_snapshot_claims", "Snapshots that got another owner.", registry=registry
        )
        self._corrupt = Counter(
            "aios_context_snapshot_corrupt",
            "Snapshots whose bytes did not match their checksum.",
            registry=registry,
        )
        self._collected = Counter(
            "aios_context_snapshots_expired", "Expired snapshots forgotten.", registry=registry
        )
        self._messages = Counter(
            "aios_context_messages_appended", "Messages appended to contexts.", registry=registry
        )
        self._windows = Counter(
            "aios_context_windows",
            "Windows made, by strategy and by who counted the tokens: tokenizer or estimate.",
            ["strategy", "count"],
            registry=registry,
        )
        self._dropped = Counter(
            "aios_context_window_tokens_dropped",
            "Tokens left out of windows, by reason.",
            ["reason"],
            registry=registry,
        )

        self._summaries = Counter(
            "aios_context_summaries",
            "Windows that needed a summary, by outcome: made, reused, failed.",
            ["outcome"],
            registry=registry,
        )
        self._recalls = Counter(
            "aios_context_recalls",
            "Windows that asked for notes, by outcome: found, none, failed.",
            ["outcome"],
            registry=registry,
        )

    def summarized(self, outcome: str) -> None:
        """Count a window that needed a summary."""
        self._summaries.labels(outcome).inc()

    def recalled(self, outcome: str) -> None:
        """Count a window that asked for notes."""
        self._recalls.labels(outcome).inc()

    def saved(self, *, whole: bool, size: int) -> None:
        """Count a save."""
        self._saves.labels("whole" if whole else "incremental").inc()
        self._save_bytes.observe(size)

    def fenced(self) -> None:
        """Count a refused save."""
        self._fenced.inc()

    def claimed(self) -> None:
        """Count a change of owner."""
        self._claims.inc()

    def corrupt(self) -> None:
        """Count a damaged snapshot."""
        self._corrupt.inc()

    def collected(self, count: int) -> None:
        """Count forgotten snapshots."""
        self._collected.inc(count)

    def appended(self, count: int) -> None:
        """Count appended messages."""
        self._messages.inc(count)

    def assembled(self, strategy: Strategy, dropped: Sequence[DroppedRun], *, exact: bool) -> None:
        """Count a window and what it left out."""
        self._windows.labels(strategy.value, "tokenizer" if exact else "estimate").inc()
        for run in dropped:
            self._dropped.labels(run.reason.value).inc(run.token_count)
