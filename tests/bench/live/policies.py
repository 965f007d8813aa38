"""The same agents under every policy, live and simulated, beside the floor: straight at the backend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from statistics import fmean
from typing import Any, Final

from services.scheduler.model import ParamValue
from tests.bench.live.clients import DirectAgents, play
from tests.bench.live.plays import compressed, simulated, summary
from tests.bench.live.world import (
    Backend,
    agents_of,
    cpu_by_process,
    kernel_before,
    metrics,
    timed,
    used_since,
)
from tests.bench.sched.aios import Aios, Setup
from tests.bench.sched.drivers import PassThrough
from tests.bench.sched.workloads import Program, at_rate, azure, mint

LOAD: Final = 1.5
"""Arrivals, as a multiple of FIFO's knee."""

AGREEMENT: Final = 0.15
"""Simulated and live mean completion may differ by this part."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A policy and its parameters."""

    name: str
    policy: str
    params: Mapping[str, ParamValue] = field(default_factory=dict)


CHOICES: Final = (
    Choice("fifo", "fifo"),
    Choice("adaptive", "adaptive"),
    Choice("vtc", "vtc"),
    Choice("las", "las"),
    Choice("rr", "rr"),
    Choice("las+preempt", "las", {"preempt": True}),
)


def workload(seed: int, count: int) -> list[Program]:
    """Return agents of 1 to 5 steps (MINT) and short chats (Azure), half and half, one arrival a second."""
    agents, chats = mint(seed, count // 2), azure(seed, count - count // 2)
    both = [replace(p, arrival=2 * p.arrival) for p in agents]
    both += [replace(p, arrival=2 * p.arrival + 1) for p in chats]
    return sorted(both, key=lambda p: p.arrival)


def knee(programs: Sequence[Program], backend: Backend) -> float:
    """Return the arrivals a second at which a call waits as long under FIFO as it takes alone."""
    shape = replace(backend, speedup=1.0).shape
    steps = [step for program in programs for step in program.steps]
    limit = fmean(shape.alone(step.prompt, step.output) for step in steps)
    # Time to the first token exceeds the wait by the time to read the prompt, a small part of `limit`.
    low, high = 0.05, 50.0
    while high > 1.02 * low:
        middle = sqrt(low * high)
        samples = simulated(at_rate(programs, middle), shape, PassThrough())
        waited = fmean(sample.first_token - sample.arrived for sample in samples)
        low, high = (middle, high) if waited < limit else (low, middle)
    return sqrt(low * high)


async def compare(count: int, backend: Backend, choices: Sequence[Choice], seed: int) -> dict[str, Any]:
    """Play one workload under every policy; a fresh kernel each, because schedulers learn."""
    programs = workload(seed, count)
    rate = LOAD * knee(programs, backend)
    arrivals = compressed(at_rate(programs, rate), backend.speedup)
    through = [await _through(arrivals, backend, choice) for choice in choices]
    return {
        "programs": count,
        "calls": sum(len(program.steps) for program in programs),
        "rate": rate,
        "load": LOAD,
        "slots": backend.slots,
        "budget": backend.budget,
        "speedup": backend.speedup,
        "rows": [await _direct(arrivals, backend), *through],
    }


async def _direct(arrivals: Sequence[Program], backend: Backend) -> dict[str, Any]:
    async with timed(backend) as url:
        agents = DirectAgents(url)
        live = summary(await play(arrivals, agents), backend.speedup)
        server = await metrics(url)
        await agents.close()
    model = summary(simulated(arrivals, backend.shape, PassThrough()), backend.speedup)
    return {"name": "direct", "live": live, "simulated": model, "server": server}


async def _through(arrivals: Sequence[Program], backend: Backend, choice: Choice) -> dict[str, Any]:
    async with timed(backend) as url, kernel_before(url, backend) as running, agents_of(running) as agents:
        await agents.use(choice.policy, choice.params)
        await agents.register(arrivals)
        before = cpu_by_process(running)
        live = summary(await play(arrivals, agents), backend.speedup)
        cpu = used_since(running, before)
        server = await metrics(url)
    setup = Setup(choice.policy, choice.params)
    model = summary(simulated(arrivals, backend.shape, Aios(setup)), backend.speedup)
    # The same simulation with what a slot really stood idle between two calls.
    hop = server["timed_gap_seconds"]
    slower = summary(simulated(arrivals, backend.shape, Aios(setup, hop)), backend.speedup)
    return {
        "name": choice.name,
        "live": live,
        "simulated": model,
        "simulated_with_measured_hop": slower,
        "hop_seconds": hop,
        "server": server,
        "cpu_ms_per_call": {name: 1e3 * seconds / live["calls"] for name, seconds in cpu.items()},
    }
