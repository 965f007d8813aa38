"""Counting and timing a call. Label children are resolved once per method and code."""

from prometheus_client import Histogram

from services.chassis.runtime.metrics import RpcMetrics


class MethodMetrics:
    """The series of one method."""

    __slots__ = ("_duration", "_durations", "_label", "in_flight", "started")

    def __init__(self, metrics: RpcMetrics, label: str) -> None:
        self.started = metrics.started.labels(label)
        self.in_flight = metrics.in_flight.labels(label)
        self._duration = metrics.duration
        self._label = label
        self._durations: dict[str, Histogram] = {}

    def begin(self) -> None:
        """Count a call that arrived."""
        self.started.inc()
        self.in_flight.inc()

    def end(self, code: str, seconds: float) -> None:
        """Record a call that ended with the status `code`."""
        self.in_flight.dec()
        series = self._durations.get(code)
        if series is None:
            series = self._durations[code] = self._duration.labels(self._label, code)
        series.observe(seconds)
