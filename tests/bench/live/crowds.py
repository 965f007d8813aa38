"""Crowds of agents that all start at once on a backend short of memory, with a kernel and without one."""

import asyncio
import csv
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from statistics import fmean
from typing import Any, Final

from tests.bench.live.clients import DirectAgents, Overloaded, play
from tests.bench.live.plays import Sample, compressed, simulated, summary
from tests.bench.live.retry import BACKOFFS, Backoff, Retrying
from tests.bench.live.world import UNLIMITED_CONCURRENCY, Backend, agents_of, kernel_before, timed
from tests.bench.sched.aios import Aios, Setup
from tests.bench.sched.drivers import PassThrough
from tests.bench.sched.engine import Driver
from tests.bench.sched.prefix_cache import Block
from tests.bench.sched.workloads import DATA, TOOL_SECONDS, Program, Step, mint, mint_runs

PROMPT_CHARACTERS: Final = 3.72
"""A prompt token in the mean, as in the trajectories."""

_INSTRUCTIONS: Final = 0.75
"""Part of the shortest first prompt that is the same for all agents, as in `workloads.mint`."""


@cache
def _humaneval_tasks() -> tuple[int, ...]:
    with (DATA / "humaneval_lengths.csv").open(newline="") as lines:
        return tuple(round(int(r["prompt_characters"]) / PROMPT_CHARACTERS) for r in csv.DictReader(lines))


def humaneval(seed: int, count: int) -> list[Program]:
    """Return agents that solve HumanEval's tasks, drawn at random, in 1 to 5 steps.

    A prompt is the instructions, the task (as long as HumanEval's own) and what the steps before left.
    Number and lengths of the steps are those of MINT's agents on such tasks.
    """
    rng = random.Random(seed)  # noqa: S311 - a workload, not a secret
    runs = [steps for task, steps in mint_runs() if task == "humaneval"]
    instructions = int(_INSTRUCTIONS * min(steps[0][0] for steps in runs))
    found = []
    for number in range(count):
        task = rng.randrange(len(_humaneval_tasks()))
        blocks = [
            Block("he", instructions),
            Block(f"he-task-{task}", max(1, _humaneval_tasks()[task])),
        ]
        steps = rng.choice(runs)
        common = tuple(blocks)
        made = [Step(common, max(1, steps[0][1]), shared=common)]
        for index, (before, now) in enumerate(pairwise(steps), 1):
            blocks.append(Block(f"he{number}-{index}", max(1, now[0] - before[0])))
            made.append(Step(tuple(blocks), max(1, now[1]), rng.expovariate(1.0 / TOOL_SECONDS), common))
        found.append(Program(f"he-agent-{number}", 0.0, tuple(made), "humaneval"))
    return found


def mint_crowd(seed: int, count: int) -> list[Program]:
    """Return agents of MINT's eight tasks that start together."""
    return [replace(program, arrival=0.0) for program in mint(seed, count)]


CROWDS: Final[Mapping[str, Callable[[int, int], list[Program]]]] = {
    "mint": mint_crowd,
    "humaneval": humaneval,
}

AIOS, PARTS, FIFO = "aios", "aios-parts", "fifo"
WITH_KERNEL: Final = (AIOS, PARTS)
WAYS: Final = (*WITH_KERNEL, FIFO, *BACKOFFS)
"""With the kernel, into a server's queue without bound, and with each kind of retry."""

PART_TOKENS: Final = 256
"""Output tokens that the kernel keeps room for at a time in the way PARTS."""


class RetryingAgents:
    """Agents at a server that refuses: each waits and tries again."""

    def __init__(self, direct: DirectAgents, backoff: Backoff, speedup: float, seed: int = 0) -> None:
        self._direct = direct
        self._backoff = backoff
        self._speedup = speedup
        self._rng = random.Random(seed)  # noqa: S311 - jitter, not a secret

    async def call(self, sample: Sample) -> str:
        """Make one call, however often it takes."""
        while True:
            try:
                return await self._direct.call(sample)
            except Overloaded:
                sample.refusals += 1
            await asyncio.sleep(self._backoff.after(sample.refusals, self._rng, self._speedup))


def driver(way: str, backend: Backend) -> Driver:
    """Return the way as the simulator knows it."""
    if way in WITH_KERNEL:
        return Aios(Setup("adaptive", reserve=PART_TOKENS if way == PARTS else 0))
    if way == FIFO:
        return PassThrough()
    return Retrying(BACKOFFS[way], backend.max_concurrent, backend.speedup)


def simulate(crowd: str, count: int, way: str, backend: Backend, seed: int = 1) -> dict[str, float]:
    """Play a crowd in the simulator."""
    programs = compressed(CROWDS[crowd](seed, count), backend.speedup)
    played = driver(way, backend)
    found = summary(simulated(programs, backend.shape, played), backend.speedup)
    refusals = sum(played.refusals.values()) if isinstance(played, Retrying) else 0
    return found | {"refusals_per_call": refusals / found["calls"]}


async def live(crowd: str, count: int, way: str, backend: Backend, seed: int = 1) -> dict[str, float]:
    """Play a crowd in the real processes."""
    programs = compressed(CROWDS[crowd](seed, count), backend.speedup)
    backend = replace(
        backend, max_concurrent=UNLIMITED_CONCURRENCY if way == FIFO else backend.max_concurrent
    )
    async with timed(backend) as url:
        if way in WITH_KERNEL:
            extra = {"AIOS_SCHEDULER_RESERVE_TOKENS": str(PART_TOKENS)} if way == PARTS else {}
            samples = await _through_kernel(programs, url, backend, extra)
        else:
            direct = DirectAgents(url)
            agents = direct if way == FIFO else RetryingAgents(direct, BACKOFFS[way], backend.speedup)
            samples = await play(programs, agents)
            await direct.close()
    refusals = fmean(sample.refusals for sample in samples)
    return summary(samples, backend.speedup) | {"refusals_per_call": refusals}


async def _through_kernel(
    programs: Sequence[Program], url: str, backend: Backend, extra: Mapping[str, str]
) -> list[Sample]:
    async with kernel_before(url, backend, extra) as running, agents_of(running) as agents:
        await agents.register(programs)
        return await play(programs, agents)


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A backend and what it stands for."""

    meaning: str
    backend: Backend


CONDITIONS: Final = (
    Condition(meaning="24 GB card, an 8B model: KV for 48,000 tokens", backend=Backend(
        slots=64, budget=48_000, speedup=1.0, max_concurrent=128)),
    Condition(meaning="the same with KV for 20,000 tokens", backend=Backend(
        slots=64, budget=20_000, speedup=1.0, max_concurrent=128)),
    Condition(meaning="KV for 20,000 tokens, at most 8 requests", backend=Backend(
        slots=64, budget=20_000, speedup=1.0, max_concurrent=8)),
    Condition(meaning="4 slots and no queue", backend=Backend(
        slots=4, budget=200_000, speedup=1.0, max_concurrent=4)),
    Condition(meaning="one request at a time and no queue", backend=Backend(
        slots=1, budget=200_000, speedup=1.0, max_concurrent=1)),
)  # fmt: skip


def conditions(count: int) -> list[dict[str, Any]]:
    """Simulate the MINT crowd on other backends: where an order pays and where it does not."""
    return [
        {
            "meaning": condition.meaning,
            "by_way": {way: simulate("mint", count, way, condition.backend) for way in WAYS},
        }
        for condition in CONDITIONS
    ]
