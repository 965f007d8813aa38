"""A whole kernel of real processes for system tests."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aios
from aios.kernel import Kernel
from launcher.backends import Backends
from launcher.data import prepare
from launcher.plan import KernelPlan
from launcher.ports import free_base_port
from launcher.supervisor import Supervisor
from tests.fakes.waiting import until


@dataclass
class Cluster:
    """A running kernel and what a test does to it."""

    plan: KernelPlan
    supervisor: Supervisor
    output: list[str] = field(default_factory=list)
    _starts: dict[str, int] = field(default_factory=dict)
    """How often a process will have been started again once it is back from its last kill."""

    @property
    def admin_token(self) -> str:
        """Token of the administrator."""
        return self.plan.admin_token_file.read_text().strip()

    def kill(self, name: str) -> None:
        """Kill one process as the machine would."""
        self._starts[name] = self.supervisor.restarts[name] + 1
        os.kill(self.supervisor.pids[name], signal.SIGKILL)

    async def restarted(self, name: str) -> None:
        """Wait until the supervisor has started a killed process again, and all of the kernel is ready."""
        await until(lambda: self.supervisor.restarts[name] >= self._starts[name])
        await self.supervisor.ready(30)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Kernel]:
        """Connect as the administrator."""
        async with aios.connect(self.plan.gateway, token=self.admin_token) as kernel:
            yield kernel

    async def agent(self, admin: Kernel, name: str) -> Kernel:
        """Register an agent and return the kernel as it sees it."""
        return admin.as_agent(await admin.agents.register(name))


@asynccontextmanager
async def cluster(
    *,
    model: Path | None = None,
    tgi: tuple[str, ...] = (),
    openai: tuple[str, ...] = (),
    extra: Mapping[str, str] | None = None,
    data: Callable[[Path], object] | None = None,
    tls: bool = False,
    base_port: int | None = None,
) -> AsyncIterator[Cluster]:
    """Run a kernel on free ports or those above `base_port`, on the demo model unless told otherwise.

    `tgi`, `openai`: inference servers of these protocols to use instead of the embedded one; `data` fills the
    data directory before the start.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aios-test-")))
        plan = KernelPlan(
            data_dir=directory / "data",
            base_port=base_port or free_base_port(usual=False),
            backends=Backends(tgi=tgi, openai=openai),
            tls=tls,
            log_format="json",
            extra={
                "AIOS_LOG_LEVEL": "warning",
                **({"AIOS_MODEL": str(model)} if model is not None else {}),
                **(extra or {}),
            },
        )
        await asyncio.to_thread(prepare, plan)
        if data is not None:
            await asyncio.to_thread(data, plan.data_dir)
        output: list[str] = []
        supervisor = Supervisor(plan, lambda name, line: output.append(f"{name}: {line}"))
        stack.push_async_callback(supervisor.stop)
        try:
            await supervisor.start()
            yield Cluster(plan, supervisor, output)
        except BaseException:
            print("\n".join(output[-80:]))  # noqa: T201 - shown by pytest with the failure
            raise
