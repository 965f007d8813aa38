"""The console's own metrics, beside those that its calls have anyway."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class ConsoleMetrics:
    """Counts who signs in, and shows what is open."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._sign_ins = Counter(
            "aios_console_sign_ins",
            "Attempts to sign in to the web console, by outcome: ok, or the reason of the refusal.",
            ["outcome"],
            registry=registry,
        )
        self._lost = Counter(
            "aios_console_events_lost",
            "Events that the console dropped because a browser did not take them in time.",
            registry=registry,
        )

    def signed_in(self, outcome: str) -> None:
        """Count an attempt."""
        self._sign_ins.labels(outcome).inc()

    def lost(self, count: int) -> None:
        """Count dropped events."""
        self._lost.inc(count)

    def show_streams(self, streams: Callable[[], float]) -> None:
        """Show how many streams are open."""
        Gauge(
            "aios_console_streams", "Streams of the web console open now.", registry=self._registry
        ).set_function(streams)
