"""What is measured: groups of processes with their CPU time, their memory and their counters."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import aiohttp
import psutil

from tests.bench.overhead.world import Kernel

MANAGER_METRICS: Final = 100
"""What a manager's metrics port lies above its gRPC port."""


@dataclass(frozen=True, slots=True)
class Group:
    """Processes that serve calls together."""

    pids: Callable[[], Mapping[str, int]]

    def cpu(self) -> dict[str, float]:
        """CPU time so far by process, with that of its children. Unit: seconds."""
        return {name: sum(map(_cpu, _family(pid))) for name, pid in self.pids().items()}

    def resident(self) -> dict[str, int]:
        """Resident memory by process. Unit: bytes."""
        return {name: sum(_memory(each, "rss") for each in _family(pid)) for name, pid in self.pids().items()}

    def proportional(self) -> dict[str, int]:
        """Memory by process, what several share divided among them. Unit: bytes."""
        return {name: sum(_memory(each, "pss") for each in _family(pid)) for name, pid in self.pids().items()}


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _cpu(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        used = process.cpu_times()
        return float(used.user + used.system)
    return 0.0


def _memory(process: psutil.Process, what: str) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(getattr(process.memory_full_info(), what))
    return 0


def of_kernel(running: Kernel) -> Group:
    """Return the processes of a kernel."""
    return Group(lambda: running.supervisor.pids)


@asynccontextmanager
async def floor(backend: str) -> AsyncIterator[tuple[str, Group]]:
    """Run the floor before a backend; yields its endpoint and its processes."""
    pids: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(_helper(pids, "scheduler"))
        gateway = await stack.enter_async_context(_helper(pids, "gateway", f"127.0.0.1:{scheduler}", backend))
        yield f"127.0.0.1:{gateway}", Group(lambda: pids)


@asynccontextmanager
async def _helper(pids: dict[str, int], kind: str, *arguments: str) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.cost.floor", kind, *arguments,
        stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        if process.stdout is None:
            raise AssertionError("the process has a pipe")
        port = int(await process.stdout.readline())
        pids[kind] = process.pid
        yield port
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


def _started(methods: str) -> re.Pattern[str]:
    return re.compile(rf'^aios_rpc_started_total\{{method="[^"]*/(?:{methods})"\}} (\S+)', re.MULTILINE)


COUNTS: Final = {
    "access decisions": _started("Check|BatchCheck"),
    "token exchanges": _started("ExchangeToken"),
    "saves": _started("SaveSnapshot"),
    "drops": _started("DeleteSnapshot"),
    "commits": re.compile(r"^aios_database_commit_seconds_count\{[^}]*\} (\S+)", re.MULTILINE),
}


async def counts(running: Kernel) -> dict[str, float]:
    """Return what the kernel's processes have counted so far."""
    base = running.plan.base_port
    ports = [base + 10, *(base + number + MANAGER_METRICS for number in range(1, 8))]
    found = dict.fromkeys(COUNTS, 0.0)
    async with aiohttp.ClientSession() as client:
        for port in ports:
            with suppress(aiohttp.ClientError):
                async with client.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    page = await answer.text()
                for name, pattern in COUNTS.items():
                    found[name] += sum(map(float, pattern.findall(page)))
    return found
