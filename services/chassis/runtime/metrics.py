"""The metrics every process has. Each process, and each test, has a registry of its own."""

import platform
from collections.abc import Callable
from importlib import metadata
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

DURATION_BUCKETS: Final = tuple(0.0001 * 1.5**k for k in range(1, 36))
"""Seconds; the bounds TGI uses, so that wait and backend times can be laid over one another."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

OTHER: Final = "other"
"""Label of every method that does not exist."""


class RpcMetrics:
    """Counts and times the calls a server answers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.started = Counter(
            "aios_rpc_started", "Calls that arrived, by method.", ["method"], registry=registry
        )
        self.duration = Histogram(
            "aios_rpc_duration_seconds",
            "Time from arrival to the end of a call, by method and status code.",
            ["method", "code"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self.withdrawn = Counter(
            "aios_streams_withdrawn",
            "Streams ended because their permission was withdrawn or nobody reads them, by reason.",
            ["reason"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "aios_rpc_in_flight", "Calls running now, by method.", ["method"], registry=registry
        )


class WorkerMetrics:
    """Counts the worker processes that ended unasked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ends = Counter(
            "aios_worker_ends",
            "Worker processes that ended unasked, by what they work on and why they ended.",
            ["worker", "cause"],
            registry=registry,
        )

    def ended(self, worker: str, cause: str) -> None:
        """Count one."""
        self._ends.labels(worker, cause).inc()


class DatabaseMetrics:
    """Watches the writers of a process's databases."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["database"]
        self.queue = Gauge(
            "aios_database_queue", "Transactions waiting for the writer.", labels, registry=registry
        )
        self.commit = Histogram(
            "aios_database_commit_seconds",
            "Time of one durable commit, which may carry several transactions.",
            labels,
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self.batch = Histogram(
            "aios_database_batch_size",
            "Transactions in one commit.",
            labels,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=registry,
        )
        self.retries = Counter(
            "aios_database_retries",
            "Transactions run again after a conflict or a failed group commit.",
            labels,
            registry=registry,
        )


class ProcessMetrics:
    """What a process says about itself: build, memory, CPU, garbage collector, event loop, tasks."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        build = Gauge(
            "aios_build_info",
            "Always 1; the labels say what runs.",
            ["service", "version", "python", "grpc"],
            registry=registry,
        )
        build.labels(service, metadata.version("aios-kernel"), platform.python_version(), _grpc()).set(1)
        self.loop_lag = Gauge(
            "aios_event_loop_lag_seconds",
            "How late the event loop ran a timer last; high means that something blocks it.",
            registry=registry,
        )
        self.task_restarts = Counter(
            "aios_task_restarts",
            "Background tasks started again after a failure, by task.",
            ["task"],
            registry=registry,
        )
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)


class DispatchMetrics:
    """What a process that runs calls under the scheduler says about its stream; read at scrape time."""

    def __init__(
        self, registry: CollectorRegistry, *, held: Callable[[], int], connected: Callable[[], bool]
    ) -> None:
        calls = Gauge("aios_dispatch_held", "Calls in the scheduler's hands.", registry=registry)
        calls.set_function(lambda: float(held()))
        up = Gauge("aios_dispatch_connected", "1 while the scheduler stream is up.", registry=registry)
        up.set_function(lambda: float(connected()))


def page(registry: CollectorRegistry) -> bytes:
    """Render a registry in the Prometheus text format."""
    return generate_latest(registry)


def _grpc() -> str:
    return metadata.version("grpcio")
