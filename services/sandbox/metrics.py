"""The Meter port on Prometheus metrics, and gauges of what is here."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.chassis.sandbox.terms import SandboxEnd

_SECONDS: Final = tuple(0.001 * 2**k for k in range(17))
_BYTES: Final = tuple(float(2**k) for k in range(22, 35))


class SandboxMetrics:
    """Counts what the sandbox does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waits = Histogram(
            "aios_sandbox_wait_seconds",
            "Time a program waited for its place, by whether it got one.",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._ends = Counter(
            "aios_sandbox_ends", "Programs that ended, by how they did.", ["how"], registry=registry
        )
        self._memory = Histogram(
            "aios_sandbox_memory_bytes",
            "Most memory that a program was seen to take.",
            buckets=_BYTES,
            registry=registry,
        )
        self._cpu = Counter(
            "aios_sandbox_cpu_seconds", "Processor time that programs took.", registry=registry
        )
        self._cut = Counter(
            "aios_sandbox_cut",
            "Programs that were ended because who had them started was gone.",
            registry=registry,
        )

    def waited(self, seconds: float, *, admitted: bool) -> None:
        """Record a wait for a place."""
        self._waits.labels("admitted" if admitted else "refused").observe(seconds)

    def ended(self, end: SandboxEnd) -> None:
        """Record how a program ended."""
        self._ends.labels(end.how.value).inc()
        self._memory.observe(end.memory_bytes)
        self._cpu.inc(max(0.0, end.cpu_seconds))

    def cut(self) -> None:
        """Record a program that nobody was there for any more."""
        self._cut.inc()


def show_places(
    registry: CollectorRegistry, *, running: Callable[[], float], waiting: Callable[[], float]
) -> None:
    """Show how full the sandbox is, read when a scrape comes."""
    Gauge("aios_sandbox_running", "Programs that run.", registry=registry).set_function(running)
    Gauge("aios_sandbox_waiting", "Programs that wait for a place.", registry=registry).set_function(waiting)
