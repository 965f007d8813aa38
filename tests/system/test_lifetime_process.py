"""Agents end by themselves also when the process that ends them is killed meanwhile."""

import asyncio

import pytest

from aios.errors import AgentInactive, Unauthenticated
from aios.kernel import Kernel
from tests.system.cluster import cluster

pytestmark = [pytest.mark.torture, pytest.mark.system, pytest.mark.timeout(120)]


async def states(admin: Kernel) -> dict[str, str]:
    """Return what the agents are."""
    return {agent.id: agent.state for agent in await admin.agents.list()}


async def test_agents_whose_time_is_over_end_after_a_restart_with_all_below_them() -> None:
    async with cluster() as kernel, kernel.admin() as admin:
        planner = admin.as_agent(await admin.agents.register("planner", ttl=3))
        child = await planner.agents.register("child", ttl=10_000)
        await admin.agents.register("critic", ttl=10_000)
        assert child.agent.expire_time == (await admin.agents.get("planner")).expire_time
        kernel.kill("access")
        await kernel.restarted("access")
        async with asyncio.timeout(60):
            while (await states(admin))["child"] != "killed":  # noqa: ASYNC110 - another process ends it
                await asyncio.sleep(0.2)

        assert await states(admin) == {"planner": "killed", "child": "killed", "critic": "active"}
        with pytest.raises((AgentInactive, Unauthenticated)):
            await planner.memory.put("note", "text")
