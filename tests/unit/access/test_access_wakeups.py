"""Whoever follows agents, approvals or the rules hears of this process's changes without looking for them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.access.model.agents import AgentState
from services.access.model.approvals import Approval, ApprovalState
from tests.fakes.access_manager import ADMIN, NEW, SERVICE, TENANT, Desk, desk
from tests.fakes.stores.access import MemoryStore
from tests.fakes.waiting import until

NEVER = 3600.0
"""Seconds between looks: no test waits for one."""


@pytest.fixture
def manager(tmp_path: Path) -> Desk:
    """Build a manager that looks for other processes' changes next to never."""
    return desk(MemoryStore(), tmp_path, poll=NEVER)


@pytest.fixture
def looking(tmp_path: Path) -> Desk:
    """Build a manager that looks for other processes' changes all the time."""
    return desk(MemoryStore(), tmp_path, poll=0.01)


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


@pytest.mark.parametrize("watches", [1, 200])
async def test_idle_watches_cost_one_look_however_many_there_are(looking: Desk, watches: int) -> None:
    made, store = looking, looking.manager.ports.store
    await made.register("a")
    reads, whole = 0, store.read

    async def counted(work: Any) -> Any:
        nonlocal reads
        reads += 1
        return await whole(work)

    object.__setattr__(made.manager.ports, "store", Counted(store, counted))
    looks, poll = 0, made.manager.ports.poll
    look = poll._look

    async def noted() -> Any:
        nonlocal looks
        looks += 1
        return await look()

    poll._look = noted
    streams = [
        watch
        for _ in range(watches)
        for watch in (made.manager.agents.watch(ADMIN, "agents/a"), made.manager.approvals.watch(ADMIN, ""))
    ]
    waits = []
    for each in streams:
        await anext(each)
        waits.append(asyncio.create_task(drain(each)))
    begun = looks
    await until(lambda: looks >= begun + 4)  # each watch has looked once for itself by now
    before, first = reads, looks
    await until(lambda: looks >= first + 5)
    idle = reads - before, looks - first
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    for each in streams:
        await each.aclose()

    assert idle[0] == idle[1]
    assert poll._task is None


async def drain(events: AsyncGenerator[Any, None]) -> None:
    """Read a watch for ever."""
    async for _ in events:
        pass


class Counted:
    """A store whose reads are counted."""

    def __init__(self, store: Any, read: Any) -> None:
        self._store = store
        self.read = read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
