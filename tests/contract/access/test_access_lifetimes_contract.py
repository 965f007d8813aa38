"""Agents that end by themselves, on every store: when, with whom, and what is told of it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from services.access.errors import AgentNotFound
from services.access.model.agents import AgentState
from services.access.ports.store import Store
from services.access.service.agents import Changes, NewAgent
from services.access.service.lifetimes import REASON
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc.errors import AgentInactive
from tests.fakes.access_manager import ADMIN, NEW, Desk, agent, asked, whole_log
from tests.fakes.access_manager import desk as make_desk

HOUR = timedelta(hours=1)


@pytest.fixture(name="desk")
async def _desk(store: Store, tmp_path: Path) -> Desk:
    return await asyncio.to_thread(make_desk, store, tmp_path)


async def born(one: Desk, name: str, ttl: timedelta | None = None, by: Caller = ADMIN) -> timedelta | None:
    """Register an agent; return how long it has to live."""
    made = await one.manager.agents.register(by, NewAgent(id=name, ttl=ttl), NEW)
    ends = made.agent.expire_time
    return None if ends is None else ends - one.clock.now()


async def living(one: Desk) -> set[str]:
    """Return the agents that were not killed."""
    found, _ = await one.manager.agents.page(ADMIN, "", 100, "")
    return {one.id for one in found if one.state is not AgentState.KILLED}


async def test_an_agent_ends_when_its_time_is_over_and_not_before(desk: Desk) -> None:
    assert await born(desk, "planner", HOUR) == HOUR
    assert await born(desk, "critic") is None
    desk.clock.advance(3599)
    await desk.manager.lifetimes.end_due()
    assert await living(desk) == {"planner", "critic"}
    desk.clock.advance(1)
    await desk.manager.lifetimes.end_due()

    assert await living(desk) == {"critic"}
    assert not await desk.allows(agent("planner"), "memory.read", "agents/planner/notes/n")


async def test_a_child_never_outlives_its_parent(desk: Desk) -> None:
    await born(desk, "planner", HOUR)
    assert await born(desk, "longer", 9 * HOUR, agent("planner")) == HOUR
    assert await born(desk, "silent", None, agent("planner")) == HOUR
    assert await born(desk, "shorter", HOUR / 2, agent("planner")) == HOUR / 2
    assert await born(desk, "below", HOUR, agent("shorter")) == HOUR / 2
    desk.clock.advance(1800)
    await desk.manager.lifetimes.end_due()
    assert await living(desk) == {"planner", "longer", "silent"}
    desk.clock.advance(1800)
    await desk.manager.lifetimes.end_due()

    assert await living(desk) == set()


async def test_a_tree_ends_as_one(desk: Desk) -> None:
    await born(desk, "planner", HOUR)
    await born(desk, "child", None, agent("planner"))
    await desk.manager.agents.suspend(ADMIN, "planner", "")
    desk.clock.advance(3600)
    await desk.manager.lifetimes.end_due()

    assert await living(desk) == set()
    assert [one.event.reason for one in await whole_log(desk)].count(REASON) == 1


async def test_nothing_that_an_agent_does_makes_its_time_longer(desk: Desk) -> None:
    await born(desk, "planner", HOUR)
    desk.clock.advance(1800)
    changed = await desk.manager.agents.update(agent("planner"), "planner", Changes(kind="busy"), "")
    again = await desk.manager.agents.get(agent("planner"), "planner")

    assert changed.expire_time == again.expire_time == desk.clock.now() + HOUR / 2


async def test_a_repeated_registration_does_not_begin_the_time_anew(desk: Desk) -> None:
    new = NewAgent(id="planner", ttl=HOUR)
    first = await desk.manager.agents.register(ADMIN, new, asked("r1"))
    desk.clock.advance(1800)
    second = await desk.manager.agents.register(ADMIN, new, asked("r1"))
    assert second.agent.expire_time == first.agent.expire_time
    desk.clock.advance(1800)
    await desk.manager.lifetimes.end_due()

    with pytest.raises(AgentInactive):
        await desk.manager.agents.register(ADMIN, new, asked("r1"))


async def test_a_process_that_was_away_ends_them_when_it_is_back(
    desk: Desk, store: Store, tmp_path: Path
) -> None:
    await born(desk, "planner", HOUR)
    later = await asyncio.to_thread(make_desk, store, tmp_path)
    later.clock.advance(100 * 3600)
    await later.manager.lifetimes.end_due()

    assert await living(later) == set()


async def test_the_log_tells_that_time_ended_it(desk: Desk) -> None:
    await born(desk, "planner", HOUR)
    desk.clock.advance(3600)
    await desk.manager.lifetimes.end_due()
    last = (await whole_log(desk))[-1].event

    assert (last.agent, last.kind, last.resource, last.reason) == (
        "access",
        Kind.SERVICE,
        "agents/planner",
        REASON,
    )


async def test_one_that_cannot_be_ended_does_not_keep_the_others_alive(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("planner", "critic"):
        await born(desk, name, HOUR)
    desk.clock.advance(3600)
    kill = desk.manager.agents.kill

    async def stubborn(caller: Caller, name: str, reason: str) -> object:
        if name == "critic":
            raise AgentNotFound("gone")
        return await kill(caller, name, reason)

    monkeypatch.setattr(desk.manager.agents, "kill", stubborn)
    with pytest.raises(AgentNotFound):
        await desk.manager.lifetimes.end_due()

    assert await living(desk) == {"critic"}


async def test_more_agents_than_one_look_shows_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.access.service.lifetimes._AT_ONCE", 2)
    for number in range(5):
        await born(desk, f"a{number}", HOUR)
    desk.clock.advance(3600)

    await desk.manager.lifetimes.end_due()

    assert await living(desk) == set()
