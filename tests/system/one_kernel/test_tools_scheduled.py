"""Tool calls whose scheduler is killed: what runs goes on, what waits runs later, nothing runs twice."""

import asyncio
from collections import Counter

import pytest

import aios
from aios._wire import tools as tools_wire
from aios.api.tool.v1 import tool_pb2
from aios.calls.provider import Provider
from aios.kernel import Kernel
from tests.fakes.waiting import until
from tests.system.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="package")]


class Workshop:
    """A tool `amend(path, step)` that runs until it is let go, and what it saw."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.runs: Counter[str] = Counter()
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.tool = aios.tool(name="amend")(self.edit)

    async def edit(self, path: str, step: str) -> str:
        """Edit a file."""
        self.runs[step] += 1
        self.inside[path] += 1
        self.most[path] = max(self.most[path], self.inside[path])
        try:
            await self.released.wait()
        finally:
            self.inside[path] -= 1
        return step


async def offer(worker: Kernel, workshop: Workshop) -> Provider:
    """Register the tool with a lock per file and return its provider."""
    message = tools_wire.tool_message(
        workshop.tool.spec, effect="reversible", timeout=60, max_concurrency=3, labels={}, etag=""
    )
    message.provider.SetInParent()
    message.locks.append("file {path}")
    request = tool_pb2.RegisterToolRequest(tool=message)
    await worker.tools._transport.call(request, tool_pb2.RegisterToolResponse, timeout=10)
    return Provider(worker.tools._transport, [workshop.tool], capacity=9, instance="")


async def states(admin: Kernel) -> Counter[str]:
    """Count the tool calls of the tenant by state, as the scheduler lists them."""
    return Counter(call.state for call in await admin.queue.list() if call.lane == "tool")


async def listed(admin: Kernel, **wanted: int) -> None:
    """Wait until the scheduler lists so many calls in each state."""
    async with asyncio.timeout(30):
        while True:
            try:
                if await states(admin) == Counter(wanted):
                    return
            except aios.errors.Unavailable:
                pass  # it is away right now
            await asyncio.sleep(0.05)


async def test_tool_calls_survive_kill_9_of_the_scheduler(kernel: Cluster) -> None:
    workshop = Workshop()
    async with kernel.admin() as admin:
        planner, critic = await kernel.agent(admin, "editor"), await kernel.agent(admin, "reviewer")
        worker = await kernel.agent(admin, "workshop")
        await admin.access.grant("agents/workshop", "tools/amend", ["tool.register"])

        def edit(agent: Kernel, path: str, step: str) -> asyncio.Task[aios.types.tools.ToolResult]:
            arguments = {"path": path, "step": step}
            return asyncio.create_task(agent.tools.call("amend", arguments, request_id=step, timeout=90))

        async with await offer(worker, workshop):
            calls = [edit(planner, "a", "p1"), edit(planner, "b", "p2")]
            await listed(admin, running=2)
            calls += [edit(planner, "a", "p3"), edit(critic, "a", "c1")]
            await listed(admin, running=2, waiting=2)
            why = await critic.queue.explain("tool-c1")
            kernel.kill("scheduler")
            calls += [edit(critic, "b", "c2"), edit(critic, "c", "c3")]
            await kernel.restarted("scheduler")
            await listed(admin, running=3, waiting=3)
            await until(lambda: len(workshop.runs) >= 3)  # granted, a call is on its way to its provider
            before = Counter(workshop.runs)
            workshop.released.set()
            results = [str(result) for result in await asyncio.gather(*calls)]
            await listed(admin)

    assert why.binding_limit == "it needs the lock file a, which is held by another agent"
    assert before == Counter(["p1", "p2", "c3"])
    assert results == ["p1", "p2", "p3", "c1", "c2", "c3"]
    assert workshop.runs == Counter(results)
    assert set(workshop.most.values()) == {1}
