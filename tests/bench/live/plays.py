"""What was measured of a workload that was played, in real time or simulated, and its sums."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import fmean

from tests.bench.sched.engine import Driver, Engine
from tests.bench.sched.metrics import quantile
from tests.bench.sched.server import Server, Shape
from tests.bench.sched.workloads import Program


@dataclass(slots=True)
class Sample:
    """One call of an agent. Times in seconds of one clock, unless it never got that far."""

    program: Program
    index: int
    arrived: float
    first_token: float = inf
    finished: float = inf
    tokens: int = 0
    refusals: int = 0
    """How often the backend refused it for overload."""


def compressed(programs: Iterable[Program], speedup: float) -> list[Program]:
    """Return the same programs for a clock that runs `speedup` times as fast; each an agent of its own."""
    return [
        replace(
            program,
            arrival=program.arrival / speedup,
            conversation=program.conversation or program.name,
            steps=tuple(replace(step, after=step.after / speedup) for step in program.steps),
        )
        for program in programs
    ]


def simulated(programs: Sequence[Program], shape: Shape, driver: Driver) -> list[Sample]:
    """Play programs in the simulator."""
    engine = Engine(programs, Server(shape), driver)
    engine.run()
    return [
        Sample(c.program, c.index, c.arrived, c.first_token, c.finished, c.done, c.preemptions)
        for c in engine.calls
    ]


def summary(samples: Sequence[Sample], speedup: float) -> dict[str, float]:
    """Return every figure, in seconds of the model's GPU.

    ttft: per call. completion: per program, from its arrival to the end of its last call. wait: part
    of a program's completion that its calls spent before their first tokens. makespan: from the first
    arrival to the last end.
    """
    ttft = [sample.first_token - sample.arrived for sample in samples]
    ends: dict[str, float] = {}
    waits: dict[str, float] = {}
    for sample in samples:
        name = sample.program.name
        ends[name] = max(ends.get(name, 0.0), sample.finished)
        waits[name] = waits.get(name, 0.0) + sample.first_token - sample.arrived
    first = {sample.program.name: sample.arrived for sample in samples if sample.index == 0}
    spans = [ends[name] - first[name] for name in first]
    figures = {
        "ttft_mean": fmean(ttft),
        "ttft_p50": quantile(ttft, 0.50),
        "ttft_p99": quantile(ttft, 0.99),
        "completion_mean": fmean(spans),
        "completion_p50": quantile(spans, 0.50),
        "completion_p99": quantile(spans, 0.99),
        "wait_mean": fmean(waits.values()),
        "makespan": max(ends.values()) - min(first.values()),
    }
    return {name: speedup * value for name, value in figures.items()} | {
        "calls": float(len(samples)),
        "programs": float(len(first)),
        "tokens": float(sum(sample.tokens for sample in samples)),
    }
