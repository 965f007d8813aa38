"""The processes that are measured: a TGI-shaped fake, a kernel in front of it, and what both use."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from launcher.backends import Backends
from launcher.data import prepare
from launcher.plan import KernelPlan
from launcher.ports import free_base_port
from launcher.supervisor import Supervisor


@asynccontextmanager
async def helper(*arguments: str) -> AsyncIterator[int]:
    """Run `python -m ...` that prints its port first; yields the port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        if process.stdout is None:
            raise AssertionError("the process has a pipe")
        yield int(await process.stdout.readline())
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


@asynccontextmanager
async def fake_tgi(*, slots: int, latency: float, tokens: int) -> AsyncIterator[str]:
    """Run a TGI-shaped fake; yields its URL."""
    options = ("--slots", str(slots), "--latency", str(latency), "--tokens", str(tokens))
    async with helper("tests.fakes.fake_tgi", *options) as port:
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A running kernel."""

    plan: KernelPlan
    supervisor: Supervisor
    start_seconds: float

    @property
    def admin_token(self) -> str:
        """Token of the administrator."""
        return self.plan.admin_token_file.read_text().strip()

    def cpu_seconds(self) -> float:
        """CPU time of all processes so far."""
        times = [psutil.Process(pid).cpu_times() for pid in self.supervisor.pids.values()]
        return sum(each.user + each.system for each in times)

    def resident_bytes(self) -> dict[str, int]:
        """Resident memory by process."""
        return {name: psutil.Process(pid).memory_info().rss for name, pid in self.supervisor.pids.items()}


@asynccontextmanager
async def kernel(
    *, tgi: str = "", extra: Mapping[str, str] | None = None, data_dir: Path | None = None
) -> AsyncIterator[Kernel]:
    """Run a kernel on free ports, by default with a data directory of its own."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aios-bench-")))
        plan = KernelPlan(
            data_dir=data_dir or directory / "data",
            base_port=free_base_port(usual=False),
            backends=Backends(tgi=(tgi,) if tgi else ()),
            log_format="json",
            extra={"AIOS_LOG_LEVEL": "warning", **(extra or {})},
        )
        await asyncio.to_thread(prepare, plan)
        supervisor = Supervisor(plan, _print_trouble)
        stack.push_async_callback(supervisor.stop)
        started = time.perf_counter()
        await supervisor.start()
        yield Kernel(plan, supervisor, time.perf_counter() - started)


def _print_trouble(name: str, line: str) -> None:
    if os.environ.get("AIOS_BENCH_LOGS"):
        sys.stderr.write(f"{name}: {line}\n")
