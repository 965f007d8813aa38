"""Provided tools in a kernel of real processes: a gateway is killed under a call, a provider is stopped."""

import asyncio
from collections import Counter
from typing import Any

import pytest

import aios
from aios.errors import AiosError
from aios.kernel import Kernel
from tests.system.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="package")]


class Workshop:
    """A tool that runs until it is let go, and what it saw."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.released = asyncio.Event()
        self.runs: Counter[str] = Counter()
        self.tool = aios.tool(name=name)(self.edit)

    async def edit(self, step: str) -> str:
        """Edit something."""
        self.runs[step] += 1
        await self.released.wait()
        return step

    async def begun(self, step: str) -> None:
        """Wait until a step runs."""
        async with asyncio.timeout(30):
            while not self.runs[step]:  # noqa: ASYNC110 - the calls come from other processes
                await asyncio.sleep(0.02)


async def pair(kernel: Cluster, admin: Kernel, tool: str) -> tuple[Kernel, Kernel]:
    """Register one who calls a tool and one who provides it, both named after it."""
    caller, worker = await kernel.agent(admin, f"{tool}-caller"), await kernel.agent(admin, f"{tool}-worker")
    await admin.access.grant(f"agents/{tool}-worker", f"tools/{tool}", ["tool.register"])
    return caller, worker


async def test_a_provided_call_survives_kill_9_of_the_gateway_and_runs_once(kernel: Cluster) -> None:
    workshop = Workshop("mend")
    async with kernel.admin() as admin:
        planner, worker = await pair(kernel, admin, workshop.name)
        async with worker.tools.provide(workshop.tool, capacity=1) as provider:
            name = await planner.tools.start(workshop.name, {"step": "one"}, request_id="one")
            await workshop.begun("one")
            kernel.kill("gateway")
            await kernel.restarted("gateway")
            workshop.released.set()
            result = await planner.tools.call(workshop.name, {"step": "one"}, request_id="one", timeout=60)
            after = await planner.tools.call(workshop.name, {"step": "two"}, timeout=60)
            ended = await planner.tools.get_call(name)
            failed = provider.error

    assert (str(result), str(after)) == ("one", "two")
    assert (ended.state, ended.attempt_count) == ("succeeded", 1)
    assert workshop.runs == Counter(["one", "two"])
    assert failed is None


@pytest.mark.parametrize("how", ["killed", "suspended"])
async def test_the_callers_of_a_provider_that_is_stopped_are_told_at_once(kernel: Cluster, how: str) -> None:
    workshop = Workshop(f"edit_{how}")

    async def serve(worker: Kernel) -> None:
        async with worker.tools.provide(workshop.tool, capacity=1) as provider:
            await provider.wait()

    async with kernel.admin() as admin:
        planner, worker = await pair(kernel, admin, workshop.name)
        serving = asyncio.create_task(serve(worker))

        def call(step: str) -> "asyncio.Task[Any]":
            arguments = {"step": step}
            return asyncio.create_task(planner.tools.call(workshop.name, arguments, timeout=90))

        async with asyncio.timeout(30):
            while not any(info.available for info in await planner.tools.list(names=[workshop.name])):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        running = call("one")
        await workshop.begun("one")
        if how == "killed":
            await admin.agents.kill(f"{workshop.name}-worker")
        else:
            await admin.agents.suspend(f"{workshop.name}-worker")
        # Long before the lease of 60 s is over.
        async with asyncio.timeout(20):
            with pytest.raises(aios.errors.UnknownOutcome):
                await running
            with pytest.raises(AiosError):
                await serving

    assert workshop.runs == Counter(["one"])
