"""Whoever follows agents, approvals or the rules hears of this process's changes without looking for them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.access.model import AgentState, Approval, ApprovalState
from tests.fakes.access_manager import ADMIN, NEW, SERVICE, TENANT, Desk, desk
from tests.fakes.stores.access import MemoryStore

NEVER = 3600.0
"""Seconds between looks: no test waits for one."""


@pytest.fixture
def manager(tmp_path: Path) -> Desk:
    """Build a manager that looks for other processes' changes next to never."""
    return desk(MemoryStore(), tmp_path, poll=NEVER)


async def waiting(events: AsyncGenerator[Any, None]) -> "asyncio.Task[Any]":
    """Begin to wait for the next event, and let the watch come to its rest."""
    task = asyncio.ensure_future(anext(events))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_change_of_an_agent_wakes_who_follows_agents(manager: Desk) -> None:
    await manager.register("a")
    async with aclosing(manager.manager.agents.watch(ADMIN, "")) as events:
        await anext(events)
        change = await waiting(events)
        await manager.manager.agents.suspend(ADMIN, "a", "")

        assert (await change).agent.state is AgentState.SUSPENDED


async def test_a_change_of_the_rules_wakes_who_follows_the_revision(manager: Desk) -> None:
    async with aclosing(manager.manager.checks.watch(NEVER)) as events:
        first = await anext(events)
        change = await waiting(events)
        await manager.register("a")

        assert (await change).revision == first.revision + 1


async def test_a_request_for_approval_wakes_who_follows_approvals(manager: Desk) -> None:
    await manager.register("planner")
    approval = Approval(
        tenant=TENANT,
        id="",
        agent="planner",
        action="tool.call",
        resource="tools/mail",
        arguments_sha256="0" * 64,
        arguments_preview="{}",
        summary="send a mail",
        state=ApprovalState.PENDING,
        create_time=datetime.fromtimestamp(0, UTC),
        expire_time=datetime.fromtimestamp(0, UTC),
    )
    async with aclosing(manager.manager.approvals.watch(ADMIN, "")) as events:
        assert await anext(events) is None
        change = await waiting(events)
        made = await manager.manager.approvals.request(SERVICE, approval, timedelta(hours=1), NEW)

        assert (await change).id == made.id
