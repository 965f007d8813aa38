"""Many agents in a closed loop: time end to end beside the floor, memory of one that waits, CPU of a call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from tests.bench.live.clients import DirectAgents, play
from tests.bench.live.plays import compressed, summary
from tests.bench.live.world import Backend, agents_of, cpu_by_process, kernel_before, timed, used_since
from tests.bench.overhead.world import Kernel
from tests.bench.sched.workloads import Program, mint

HOLDERS: Final = ("gateway", "scheduler")
"""Processes that hold something for every agent that waits."""

TARGET: Final = 1.10
"""End-to-end time through the kernel / at the floor."""

_SAMPLE_SECONDS: Final = 0.2


def crowd(count: int, calls: int, seed: int = 1) -> list[Program]:
    """Return agents that start together and make about as many calls in all, at least one each.

    Few agents make their trajectories' calls over and over, many make their first ones only.
    """
    most = max(1, round(calls / count))
    return [
        replace(p, arrival=0.0, steps=(p.steps * (1 + most // len(p.steps)))[:most])
        for p in mint(seed, count)
    ]


async def closed_loop(count: int, calls: int, backend: Backend) -> dict[str, Any]:
    """Play one size at the floor, then in the same order (FIFO) through a fresh kernel. Unit: seconds."""
    programs = compressed(crowd(count, calls), backend.speedup)
    async with timed(backend) as url:
        direct = DirectAgents(url)
        floor = summary(await play(programs, direct), 1.0)
        await direct.close()
        async with kernel_before(url, backend) as running, agents_of(running) as agents:
            await agents.use("fifo", {})
            await agents.register(programs)
            await play(programs[:1], agents)
            before = cpu_by_process(running)
            async with _memory(running) as held:
                through = summary(await play(programs, agents), 1.0)
            cpu = used_since(running, before)
    return {
        "agents": count,
        "calls": through["calls"],
        "floor_s": floor["makespan"],
        "kernel_s": through["makespan"],
        "ratio": through["makespan"] / floor["makespan"],
        "floor_completion_mean_s": floor["completion_mean"],
        "kernel_completion_mean_s": through["completion_mean"],
        "bytes_per_waiting_agent": (max(held) - held[0]) / max(1, count - backend.slots),
        "cpu_ms_per_call": {name: 1e3 * seconds / through["calls"] for name, seconds in cpu.items()},
    }


@asynccontextmanager
async def _memory(running: Kernel) -> AsyncIterator[list[int]]:
    """Sample the memory of the holders; the first value is the one before the block."""

    def sample() -> int:
        resident = running.resident_bytes()
        return sum(resident[name] for name in HOLDERS)

    samples = [sample()]

    async def watch() -> None:
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            samples.append(sample())

    task = asyncio.create_task(watch())
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.wait({task})
