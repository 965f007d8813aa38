"""The door's own metrics, beside those that its calls have anyway."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class DoorMetrics:
    """Counts requests by dialect, path pattern and status, and shows what is open."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        connections: Callable[[], float],
        body_bytes: Callable[[], float],
    ) -> None:
        self.requests = Counter(
            "aios_door_requests",
            "HTTP requests that were answered, by dialect, route and status.",
            ["dialect", "route", "status"],
            registry=registry,
        )
        self.refused_connections = Counter(
            "aios_door_connections_refused",
            "Connections closed unread: too many are open, or nothing came in time.",
            ["reason"],
            registry=registry,
        )
        Gauge("aios_door_connections", "Connections open now.", registry=registry).set_function(connections)
        Gauge(
            "aios_door_body_bytes",
            "Memory of the request bodies that are being worked on.",
            registry=registry,
        ).set_function(body_bytes)
