"""What the gateway measures. Names and labels are documented in deploy/grafana/METRICS.md."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.inference.core.circuit import CircuitState
from services.chassis.dispatch.errors import QueueFull, TooManyCalls
from services.chassis.dispatch.scheduling import QueueOutcome
from services.chassis.gate import Gate
from services.chassis.rpc.errors import DeadlineExceeded
from services.chassis.rpc.methods import Lane
from services.chassis.runtime.metrics import DURATION_BUCKETS, WorkerMetrics


class GateMetrics:
    """Waits at the gates of the DATA, TOOL and CONTROL lanes, in the words of the scheduler."""

    def __init__(self, registry: CollectorRegistry, gates: Mapping[Lane, Gate]) -> None:
        self._wait = Histogram(
            "aios_gate_wait_seconds",
            "Time a call waited at the gateway's gate, by lane and outcome.",
            ["lane", "outcome"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        oldest = Gauge(
            "aios_gate_oldest_wait_seconds",
            "Wait of the call that waits longest at a gate, by lane.",
            ["lane"],
            registry=registry,
        )
        running = Gauge("aios_gate_running", "Calls inside a gate, by lane.", ["lane"], registry=registry)
        waiting = Gauge("aios_gate_waiting", "Calls waiting at a gate, by lane.", ["lane"], registry=registry)
        for lane, gate in gates.items():
            running.labels(lane.value).set_function(partial(_running, gate))
            waiting.labels(lane.value).set_function(partial(_waiting, gate))
            oldest.labels(lane.value).set_function(gate.oldest_wait)
        self._series = {
            (lane, outcome): self._wait.labels(lane.value, outcome.value)
            for lane in gates
            for outcome in QueueOutcome
        }

    @contextmanager
    def waiting(self, lane: Lane, deadline: float) -> Iterator[None]:
        """Time one wait, which ends with the block: by its end, or by what it raises."""
        started = time.monotonic()
        outcome = QueueOutcome.DISPATCHED
        try:
            yield
        except (QueueFull, TooManyCalls):
            outcome = QueueOutcome.REJECTED_FULL
            raise
        except (DeadlineExceeded, asyncio.CancelledError):
            late = time.monotonic() >= deadline
            outcome = QueueOutcome.EVICTED_DEADLINE if late else QueueOutcome.EVICTED_CANCELLED
            raise
        finally:
            self._series[lane, outcome].observe(time.monotonic() - started)


class PrometheusInferenceMetrics:
    """What inference records; see gateway.inference.ports.InferenceMetrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.workers = WorkerMetrics(registry)
        self._wait = Histogram(
            "aios_inference_wait_seconds",
            "Time in the scheduler's queue until a grant, by class and outcome.",
            ["scheduling_class", "outcome"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._duration = Histogram(
            "aios_inference_duration_seconds",
            "Time from arrival to the end of a generation, by class and outcome.",
            ["scheduling_class", "outcome"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._first_token = Histogram(
            "aios_inference_first_token_seconds",
            "Time from arrival to the first token, by class.",
            ["scheduling_class"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._tokens = Counter(
            "aios_inference_tokens", "Tokens generated, by class.", ["scheduling_class"], registry=registry
        )
        self._suspended = Counter(
            "aios_inference_suspensions",
            "Generations taken off a backend before their end, by reason.",
            ["reason"],
            registry=registry,
        )
        self._checkpoints = Counter(
            "aios_inference_checkpoints",
            "Checkpoints of running generations, by outcome.",
            ["outcome"],
            registry=registry,
        )

    def waited(self, scheduling_class: str, outcome: str, seconds: float) -> None:
        """Record a wait in the queue that has ended."""
        self._wait.labels(scheduling_class, outcome).observe(seconds)

    def finished(self, scheduling_class: str, outcome: str, seconds: float, tokens: int) -> None:
        """Record a generation that has ended."""
        self._duration.labels(scheduling_class, outcome).observe(seconds)
        self._tokens.labels(scheduling_class).inc(tokens)

    def first_token(self, scheduling_class: str, seconds: float) -> None:
        """Record the first token of a generation."""
        self._first_token.labels(scheduling_class).observe(seconds)

    def suspended(self, reason: str) -> None:
        """Record that a generation was taken off its backend."""
        self._suspended.labels(reason).inc()

    def checkpointed(self, outcome: str) -> None:
        """Record a checkpoint that was saved, or failed to be."""
        self._checkpoints.labels(outcome).inc()


class PrometheusPoolMetrics:
    """What calls see of the replicas; see gateway.inference.service.replicas.PoolMetrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._failures = Counter(
            "aios_gateway_backend_failures",
            "Calls that failed at a replica, by replica and kind of failure.",
            ["replica", "kind"],
            registry=registry,
        )
        self._openings = Counter(
            "aios_gateway_backend_circuit_openings",
            "Times that a replica's circuit opened.",
            ["replica"],
            registry=registry,
        )
        self._circuit = Gauge(
            "aios_gateway_backend_circuit",
            "0 while a replica gets calls, 1 while one at a time tries it, 2 while it gets none.",
            ["replica"],
            registry=registry,
        )

    def show(self, replicas: Iterable[str], state: Callable[[str], CircuitState]) -> None:
        """Read the circuits of these replicas at each scrape."""
        for replica in replicas:
            self._openings.labels(replica)
            self._circuit.labels(replica).set_function(partial(_circuit, state, replica))

    def failed(self, replica: str, kind: str) -> None:
        """Record a call that failed."""
        self._failures.labels(replica, kind).inc()

    def opened(self, replica: str) -> None:
        """Record that a circuit opened."""
        self._openings.labels(replica).inc()


class StateMetrics:
    """Gauges read at scrape time."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        generations: Callable[[], int],
        replicas_up: Callable[[], int],
    ) -> None:
        for name, text, read in (
            ("aios_inference_running", "Generations that wait or run.", lambda: float(generations())),
            ("aios_backend_replicas_up", "Backend replicas that are up.", lambda: float(replicas_up())),
        ):
            Gauge(name, text, registry=registry).set_function(read)


def _circuit(state: Callable[[str], CircuitState], replica: str) -> float:
    return float(state(replica).value)


def _running(gate: Gate) -> float:
    return float(gate.running)


def _waiting(gate: Gate) -> float:
    return float(gate.waiting)
