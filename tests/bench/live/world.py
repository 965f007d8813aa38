"""The processes that are measured: the timed server, and a kernel in front of it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import psutil

from tests.bench.live.clients import TIMED, KernelAgents, Wording
from tests.bench.overhead.world import Kernel, helper, kernel
from tests.bench.sched.server import Shape

UNLIMITED_CONCURRENCY = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """A timed server: what the model is, how much faster it runs, when it refuses."""

    slots: int = 16
    budget: int = 200_000
    speedup: float = 5.0
    max_concurrent: int = UNLIMITED_CONCURRENCY

    @property
    def shape(self) -> Shape:
        """The model at the speed it runs at."""
        return Shape(slots=self.slots, budget=self.budget).faster(self.speedup)


@asynccontextmanager
async def timed(backend: Backend) -> AsyncIterator[str]:
    """Run a timed server; yields its URL."""
    options = {
        "--speedup": backend.speedup,
        "--slots": backend.slots,
        "--budget": backend.budget,
        "--max-concurrent": backend.max_concurrent,
    }
    arguments = [part for name, value in options.items() for part in (name, str(value))]
    async with helper("tests.bench.live.tgi", *arguments) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def kernel_before(
    url: str, backend: Backend, more: Mapping[str, str] | None = None
) -> AsyncIterator[Kernel]:
    """Run a kernel that knows what the backend holds."""
    extra: Mapping[str, str] = {
        "AIOS_SCHEDULER_MAX_WAITING": "20000",
        "AIOS_TGI_SLOTS": str(backend.slots),
        "AIOS_TGI_BATCH_TOKENS": str(backend.budget),
        **(more or {}),
    }
    async with kernel(tgi=url, extra=extra) as running:
        yield running


@asynccontextmanager
async def agents_of(running: Kernel, wording: Wording = TIMED) -> AsyncIterator[KernelAgents]:
    """Connect agents to a kernel."""
    agents = KernelAgents(running.plan.gateway, running.admin_token, wording)
    try:
        yield agents
    finally:
        await agents.close()


async def metrics(url: str) -> dict[str, float]:
    """Read a timed server's metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def cpu_by_process(running: Kernel) -> dict[str, float]:
    """Return the CPU seconds of every process so far."""
    found = {}
    for name, pid in running.supervisor.pids.items():
        times = psutil.Process(pid).cpu_times()
        found[name] = times.user + times.system
    return found


def used_since(running: Kernel, before: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU seconds of every process since."""
    return {name: seconds - before[name] for name, seconds in cpu_by_process(running).items()}
