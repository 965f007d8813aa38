"""What is measured of one run. Times in seconds; a program's completion counts its tools' times."""

from collections.abc import Iterable, Sequence
from math import inf
from statistics import fmean
from typing import Final

from tests.bench.sched.engine import Engine, LiveCall
from tests.bench.sched.server import Shape
from tests.bench.sched.workloads import Program

LOWER_IS_BETTER: Final = (
    "ttft_mean",
    "ttft_p50",
    "ttft_p99",
    "completion_mean",
    "completion_p50",
    "completion_p99",
    "slowdown_mean",
    "wait_mean",
    "wait_max",
)


def summarise(engine: Engine) -> dict[str, float]:
    """Return every metric of a run that has ended.

    ttft, wait: per call (wait ends with the admission by the server). completion: per program, from
    its arrival to the end of its last call. slowdown: completion / what the program takes alone on a
    cold server. jain: Jain's index of the inverse slowdowns. tokens_per_second: output tokens by
    the time from the first arrival to the last end; window_tokens_per_second: up to the last arrival.
    """
    ended = [call for call in engine.calls if call.done == call.step.output]
    programs = completions(engine.calls)
    if not programs:
        return {"ended_share": 0.0}
    slowdowns = [seconds / alone(program, engine.server.shape) for program, seconds in programs.items()]
    ttft = [call.first_token - call.arrived for call in ended]
    waits = [call.admitted - call.arrived for call in ended]
    spans = list(programs.values())
    tokens = sum(call.done for call in ended)
    return {
        "ttft_mean": fmean(ttft),
        "ttft_p50": quantile(ttft, 0.50),
        "ttft_p99": quantile(ttft, 0.99),
        "completion_mean": fmean(spans),
        "completion_p50": quantile(spans, 0.50),
        "completion_p99": quantile(spans, 0.99),
        "slowdown_mean": fmean(slowdowns),
        "wait_mean": fmean(waits),
        "wait_max": max(waits),
        "jain": jain(1 / s for s in slowdowns),
        "tokens_per_second": tokens / engine.server.clock,
        "window_tokens_per_second": engine.window_tokens / max(engine.window_end, engine.server.shape.step),
        "prefill_tokens": float(engine.server.tokens_read),
        "cached_share": sum(c.tokens_cached for c in ended)
        / max(1, sum(c.tokens_cached + c.tokens_read for c in ended)),
        "preemptions": float(sum(call.preemptions for call in engine.calls)),
        "server_wait_max": max(call.server_wait for call in ended),
        "ended_share": len(ended) / len(engine.calls),
    }


def completions(calls: Iterable[LiveCall]) -> dict[Program, float]:
    """Seconds from a program's arrival to its end, for those that ended."""
    return {
        call.program: call.finished - call.program.arrival
        for call in calls
        if call.index == len(call.program.steps) - 1 and call.done == call.step.output
    }


def alone(program: Program, shape: Shape) -> float:
    """Seconds a program takes on an idle server that has cached nothing."""
    return sum(step.after + shape.alone(step.prompt, step.output) for step in program.steps)


def tenant_ttft(calls: Iterable[LiveCall], tenant: str) -> float:
    """Mean time to the first token of one tenant's calls."""
    return fmean(call.first_token - call.arrived for call in calls if call.program.tenant == tenant)


def jain(values: Iterable[float]) -> float:
    """Jain's index: 1 when all are equal, 1/n when one has everything."""
    values = list(values)
    return sum(values) ** 2 / (len(values) * sum(v * v for v in values))


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of the values does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


_T95: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom."""


def confidence(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % confidence interval."""
    mean = fmean(values)
    freedom = len(values) - 1
    if not freedom:
        return mean, inf
    variance = sum((v - mean) ** 2 for v in values) / freedom
    factor = _T95[freedom - 1] if freedom <= len(_T95) else 2.0
    return mean, factor * (variance / len(values)) ** 0.5
