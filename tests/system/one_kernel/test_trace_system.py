"""Whoever may sees every syscall of an agent as it happens: of gRPC and of the door, refused ones too."""

import asyncio

import pytest

import aios
from aios.errors import AiosError, PermissionDenied
from aios.kernel import Kernel
from aios.types.agents import SyscallEvent
from tests.fakes.waiting import until
from tests.system.cluster import Cluster

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="package"),
]


async def traced(kernel: Kernel, agent: str, seen: list[SyscallEvent], *, descendants: bool) -> None:
    async for event in kernel.agents.trace(agent, descendants=descendants):
        seen += [event]


async def until_seen(seen: list[SyscallEvent], method: str, phase: str = "ended") -> SyscallEvent:
    def found() -> list[SyscallEvent]:
        return [event for event in seen if (event.method, event.phase) == (method, phase)]

    await until(lambda: bool(found()), within=30.0)
    return found()[0]


async def test_the_syscalls_of_an_agent_are_seen_by_those_who_may(kernel: Cluster) -> None:
    async with aios.connect(kernel.plan.gateway, kernel.admin_token) as admin:
        parent = admin.as_agent(await admin.agents.register("trace-parent"))
        child = admin.as_agent(await admin.agents.register("trace-child", parent="trace-parent"))
        stranger = admin.as_agent(await admin.agents.register("trace-stranger"))
        above: list[SyscallEvent] = []
        own: list[SyscallEvent] = []
        watching = [
            asyncio.create_task(traced(parent, "me", above, descendants=True)),
            asyncio.create_task(traced(child, "me", own, descendants=False)),
        ]
        await until_seen(above, "", "watching")
        await until_seen(own, "", "watching")

        await child.memory.put("plan", "secret words of the note")
        with pytest.raises(AiosError):
            await child.memory.get("absent")
        with pytest.raises(PermissionDenied):
            await child.memory.get("plan", agent="trace-stranger")
        await child.llm.chat("Say hello.", max_tokens=4)
        await stranger.memory.put("other", "x")
        await parent.memory.put("last", "x")

        put = await until_seen(above, "MemoryService.PutNote")
        assert (put.agent, put.resource) == ("agents/trace-child", "agents/trace-child/notes/plan")
        assert (put.code, put.reason) == ("OK", "")
        assert put.duration is not None
        assert put.syscall_id
        assert (await until_seen(own, "InferenceService.Generate")).code == "OK"
        await until_seen(own, "InferenceService.Generate", "begun")
        await until(lambda: any(event.resource.endswith("/last") for event in above), within=30.0)
        for each in watching:
            each.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

        ended = [event for event in own if event.phase == "ended"]
        assert {event.agent for event in ended} == {"agents/trace-child"}
        refused = [event.reason for event in ended if event.method == "MemoryService.GetNote"]
        assert refused == ["NOTE_NOT_FOUND", "PERMISSION_DENIED"]
        assert {event.agent for event in above if event.agent} == {
            "agents/trace-child",
            "agents/trace-parent",
        }
        assert "secret words" not in str(above)


async def test_nobody_else_sees_them(kernel: Cluster) -> None:
    async with aios.connect(kernel.plan.gateway, kernel.admin_token) as admin:
        await admin.agents.register("trace-private")
        other = admin.as_agent(await admin.agents.register("trace-other"))

        with pytest.raises(PermissionDenied) as refused:
            await traced(other, "trace-private", [], descendants=True)
        assert "`aios grants add trace-other agents/trace-private agent.trace`" in refused.value.hint
