"""The experiments, each one a pure function of its job; a job is plain data, so that workers can take it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf, sqrt
from statistics import fmean
from typing import Any, Final

from tests.bench.sched.aios import Aios, Setup
from tests.bench.sched.catalog import HORIZON_WINDOWS, RESTARTING, driver
from tests.bench.sched.drivers import PassThrough
from tests.bench.sched.engine import Engine, LiveCall
from tests.bench.sched.metrics import summarise, tenant_ttft
from tests.bench.sched.server import MAX_NEW_TOKENS, Server, Shape
from tests.bench.sched.workloads import at_rate, make

KNEE_WAIT: Final = 1.0
"""At the knee a call's mean wait under FIFO is as long as the call takes alone; from there it grows fast."""

PROMPT_WEIGHT: Final = 1.0
OUTPUT_WEIGHT: Final = 2.0
"""Weights of the virtual token counters (Sheng et al., OSDI'24)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One experiment. `kind`: knee, run, tenants or bound."""

    kind: str
    workload: str
    count: int
    seed: int = 0
    seeds: tuple[int, ...] = ()
    driver: str = ""
    load: float = 0.0
    rate: float = 0.0

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def perform(job: Job) -> dict[str, float]:
    """Do a job. Raises KeyError for an unknown kind."""
    return {"knee": knee, "run": run, "tenants": tenants, "bound": bound}[job.kind](job)


def knee(job: Job) -> dict[str, float]:
    """Find the arrival rate where FIFO's mean wait takes off, to 2 %, as the mean over the seeds."""
    programs = [make(job.workload, seed, job.count) for seed in job.seeds]
    shape = Shape()
    steps = [step for some in programs for program in some for step in program.steps]
    limit = KNEE_WAIT * fmean(shape.alone(step.prompt, step.output) for step in steps)
    low, high = 0.05, 1.0
    while _fifo_wait(job, high) < limit:
        low, high = high, 2 * high
    while high > 1.02 * low:
        middle = sqrt(low * high)
        if _fifo_wait(job, middle) < limit:
            low = middle
        else:
            high = middle
    return {"rate": sqrt(low * high)}


def _fifo_wait(job: Job, rate: float) -> float:
    waits = []
    for seed in job.seeds:
        engine = Engine(at_rate(make(job.workload, seed, job.count), rate), Server(), PassThrough())
        engine.run()
        waits.append(fmean(call.admitted - call.arrived for call in engine.calls))
    return fmean(waits)


def run(job: Job) -> dict[str, float]:
    """Play one workload at one rate under one driver; every metric."""
    return summarise(_played(job))


def _played(job: Job) -> Engine:
    engine = Engine(at_rate(make(job.workload, job.seed, job.count), job.rate), Server(), driver(job.driver))
    engine.run(HORIZON_WINDOWS * engine.window_end if job.driver == RESTARTING else inf)
    return engine


def tenants(job: Job) -> dict[str, float]:
    """Mean time to the first token of a light tenant and of the one that floods the server beside it."""
    calls = _played(job).calls
    return {"light": tenant_ttft(calls, "light"), "flooder": tenant_ttft(calls, "flooder")}


class Watched(Aios):
    """Notes the largest difference in service of two tenants while both have calls waiting."""

    largest_gap = 0.0

    def progress(self, now: float) -> None:
        """Report to the core, then compare."""
        super().progress(now)
        by_tenant: dict[str, list[LiveCall]] = {}
        for call in self.engine.calls:
            by_tenant.setdefault(call.program.tenant, []).append(call)
        if all(any(self._waits(call) for call in calls) for calls in by_tenant.values()):
            services = [sum(self._service(call) for call in calls) for calls in by_tenant.values()]
            self.largest_gap = max(self.largest_gap, max(services) - min(services))

    def _waits(self, call: LiveCall) -> bool:
        return call.id in self._calls and call not in self._running

    def _service(self, call: LiveCall) -> float:
        if call.id in self._calls and call not in self._running:
            return 0.0
        return PROMPT_WEIGHT * call.step.prompt + OUTPUT_WEIGHT * self.engine.generated(call)


def bound(job: Job) -> dict[str, float]:
    """Largest difference in service of two backlogged tenants of equal weight, and the VTC bound.

    The bound is 2 * max(wp * L_in, wq * M) with L_in the longest prompt and M the output tokens that
    can be in the batch at once.
    """
    programs = at_rate(make(job.workload, job.seed, job.count), job.rate)
    watched = Watched(Setup(job.driver.removeprefix("aios:")))
    engine = Engine(programs, Server(), watched)
    engine.run()
    longest = max(call.step.prompt for call in engine.calls)
    batch = Shape().slots * MAX_NEW_TOKENS
    return {
        "gap": watched.largest_gap,
        "bound": 2 * max(PROMPT_WEIGHT * longest, OUTPUT_WEIGHT * batch),
        "service": sum(PROMPT_WEIGHT * c.step.prompt + OUTPUT_WEIGHT * c.step.output for c in engine.calls),
    }


def plan(
    *,
    workloads: Sequence[str], names: Sequence[str], loads: Sequence[float], seeds: Sequence[int],
    sizes: dict[str, int], knees: dict[str, float],
) -> list[Job]:  # fmt: skip
    """Return the runs of every workload, load, driver and seed, and the tests of fairness."""
    jobs = [
        Job(
            kind="run",
            workload=workload,
            count=sizes[workload],
            seed=seed,
            driver=name,
            load=load,
            rate=load * knees[workload],
        )
        for workload in workloads
        for seed in seeds
        for load in loads
        for name in names
    ]
    size, rate = sizes["azure"], knees["azure"]
    fair = [name for name in names if name in ("fifo", "aios:adaptive", "aios:vtc", "aios:stride")]
    for seed in seeds:
        jobs += [
            Job(kind="tenants", workload="flooded", count=size, seed=seed, driver=name, rate=1.5 * rate)
            for name in fair
        ]
        jobs += [
            Job(kind="bound", workload="two_tenants", count=size // 2, seed=seed, driver=name, rate=1000.0)
            for name in ("aios:adaptive", "aios:vtc", "aios:fifo")
        ]
    return jobs
