"""What the MCP door records. Names and labels are documented in deploy/grafana/METRICS.md."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class PrometheusMcpMetrics:
    """Counts requests by method and outcome, and shows the sessions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "aios_mcp_requests",
            "Requests of MCP clients that were answered, by method and outcome.",
            ["method", "outcome"],
            registry=registry,
        )

    def answered(self, method: str, outcome: str) -> None:
        """Record a request that was answered: its method and `ok`, `failed`, `error` or `refused`."""
        self._requests.labels(method, outcome).inc()

    def show_sessions(self, count: Callable[[], int]) -> None:
        """Read the number of open sessions at each scrape."""
        gauge = Gauge("aios_mcp_sessions", "Sessions of MCP clients that are open.", registry=self._registry)
        gauge.set_function(lambda: float(count()))
