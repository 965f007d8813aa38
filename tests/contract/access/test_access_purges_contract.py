"""Purges of killed agents, on every store: who may, how they spread, what they wait for, what stays."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from services.access.core import tombstones
from services.access.core.audit_chain import ERASED
from services.access.errors import AgentAlive, AgentExists, AgentNotFound
from services.access.model.approvals import Approval, ApprovalState, Vote
from services.access.model.audit import Event
from services.access.ports.store import Store, Transaction
from services.access.service.audit_verifying import NotedHead
from services.access.service.purging import PurgeSettings
from services.chassis.auth.identity import Kind
from services.chassis.rpc.errors import IdempotencyMismatch, PermissionDenied
from tests.fakes.access_manager import ADMIN, NEW, SERVICE, TENANT, Desk, agent, asked, whole_log
from tests.fakes.access_manager import desk as make_desk

MANAGERS = ("memory", "storage")
GONE = tombstones.actor(TENANT, "planner")


@pytest.fixture(name="desk")
async def _desk(store: Store, tmp_path: Path) -> Desk:
    return await asyncio.to_thread(
        make_desk, store, tmp_path, purging=PurgeSettings(managers=MANAGERS, settle=timedelta(seconds=60))
    )


async def killed(one: Desk, *names: str) -> None:
    """Register agents, each below the one before, and kill them all."""
    above = ""
    for name in names:
        await one.register(name, by=agent(above) if above else ADMIN)
        above = name
    await one.manager.agents.kill(ADMIN, names[0], "")


async def confirm(one: Desk, *managers: str) -> list[str]:
    """Let managers do and confirm what they are asked to; return of whom."""
    done = []
    for manager in managers:
        for purge in await one.manager.purges.waiting_for(manager, 100):
            await one.manager.purges.confirm(manager, purge.tenant, purge.agent, purge.number, {"rows": 2})
            done.append(purge.agent)
    return done


async def gone(one: Desk, name: str) -> bool:
    """Tell whether an agent is forgotten."""
    return await one.store.read(lambda tx: tx.agents.get(TENANT, name)) is None


async def finish(one: Desk) -> None:
    """Let every manager confirm both passes."""
    await one.manager.purges.step()
    await confirm(one, *MANAGERS)
    await one.manager.purges.step()
    one.clock.advance(60)
    await confirm(one, *MANAGERS)
    await one.manager.purges.step()


async def test_only_killed_agents_are_purged_and_only_by_administrators(desk: Desk) -> None:
    await desk.register("planner")
    purge = desk.manager.purges.purge
    with pytest.raises(AgentAlive):
        await purge(ADMIN, "planner", "", NEW)
    with pytest.raises(AgentNotFound):
        await purge(ADMIN, "nobody", "", NEW)
    with pytest.raises(PermissionDenied):
        await purge(agent("planner"), "planner", "", NEW)


async def test_a_purge_waits_for_every_manager_twice(desk: Desk) -> None:
    await killed(desk, "planner")
    await desk.manager.purges.purge(ADMIN, "planner", "asked for", NEW)
    assert await desk.manager.purges.is_purging(TENANT, "planner")
    await desk.manager.purges.step()
    assert await confirm(desk, "memory") == ["planner"]
    assert await confirm(desk, "memory") == []
    await desk.manager.purges.step()
    desk.clock.advance(1000)
    assert await confirm(desk, "memory") == []
    assert await confirm(desk, "storage") == ["planner"]
    await desk.manager.purges.step()
    assert await confirm(desk, *MANAGERS) == []
    desk.clock.advance(60)
    assert await confirm(desk, *MANAGERS) == ["planner", "planner"]
    assert not await gone(desk, "planner")
    await desk.manager.purges.step()

    assert await gone(desk, "planner")
    assert not await desk.manager.purges.is_purging(TENANT, "planner")


async def test_a_report_about_an_earlier_pass_or_an_unknown_agent_counts_for_nothing(desk: Desk) -> None:
    await killed(desk, "planner")
    await desk.manager.purges.purge(ADMIN, "planner", "", NEW)
    await desk.manager.purges.confirm("memory", TENANT, "planner", 2, {})
    await desk.manager.purges.confirm("memory", TENANT, "nobody", 1, {})

    assert await confirm(desk, "memory") == ["planner"]


async def test_all_below_go_too_and_the_deepest_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.access.service.purging._SPREAD", 1)
    monkeypatch.setattr("services.access.service.purging._AT_ONCE", 1)
    await killed(desk, "planner", "child", "grandchild")
    await desk.register("stranger")
    await desk.manager.purges.purge(ADMIN, "planner", "", NEW)
    await finish(desk)

    assert [await gone(desk, name) for name in ("planner", "child", "grandchild", "stranger")] == [
        True,
        True,
        True,
        False,
    ]
    ends = [one.event for one in await whole_log(desk) if one.event.note.startswith("purged:")]
    assert len(ends) == 3


async def test_an_agent_is_not_forgotten_before_those_below_it(desk: Desk) -> None:
    await killed(desk, "planner", "child")
    purges = desk.manager.purges
    await purges.purge(ADMIN, "planner", "", NEW)
    for number in (1, 2):
        await purges.step()
        for manager in MANAGERS:
            await purges.confirm(manager, TENANT, "planner", number, {})
        await purges.step()
        desk.clock.advance(60)
    await purges.step()

    assert not await gone(desk, "planner")


async def test_the_id_of_a_purged_agent_is_not_given_again(desk: Desk) -> None:
    await killed(desk, "planner")
    await desk.manager.purges.purge(ADMIN, "planner", "", NEW)
    await finish(desk)

    with pytest.raises(AgentExists):
        await desk.register("planner")


async def test_the_log_tells_who_purged_and_why_and_how_much_but_not_whom(desk: Desk) -> None:
    await killed(desk, "planner")
    await desk.manager.purges.purge(ADMIN, "planner", "asked for", NEW)
    await finish(desk)
    log = await whole_log(desk)

    assert "planner" not in repr(log)
    assert log[-1].event.agent == "admin"
    assert "memory.rows=4" in log[-1].event.note
    assert "asked for" in log[-1].event.note
    assert (await desk.manager.verifier.verify(ADMIN, 0, 0, NotedHead())).result.intact


async def test_what_is_told_of_a_purged_agent_afterwards_does_not_bring_its_id_back(desk: Desk) -> None:
    await desk.register("critic")
    await killed(desk, "planner")
    await desk.manager.purges.purge(ADMIN, "planner", "", NEW)
    await finish(desk)
    await desk.decide(agent("planner"), "memory.read", "agents/planner/notes/n")
    await desk.decide(agent("critic"), "memory.read", "agents/planner/notes/n")
    await desk.manager.flush()
    told = Event(
        "planner", Kind.AGENT, "/aios.api.tool.v1.ToolService/CallTool", "tool.call", "agents/planner"
    )
    await desk.manager.audit.append(SERVICE, TENANT, [told], NEW)
    log = await whole_log(desk)

    assert "planner" not in repr(log)
    assert [one.event.agent for one in log[-3:]] == [GONE, "critic", GONE]
    assert {one.event.resource for one in log[-3:]} == {tombstones.name(TENANT, "planner")}


async def test_a_repeated_request_purges_once_also_when_the_agent_is_gone(desk: Desk) -> None:
    await killed(desk, "planner")
    for _ in range(2):
        found = await desk.manager.purges.purge(ADMIN, "planner", "", asked("r1"))
        assert found is not None
    await finish(desk)

    assert await desk.manager.purges.purge(ADMIN, "planner", "", asked("r1")) is None
    with pytest.raises(IdempotencyMismatch):
        await desk.manager.purges.purge(ADMIN, "planner", "", asked("r1", b"other"))


async def test_killed_agents_expire_when_that_is_set(store: Store, tmp_path: Path) -> None:
    settings = PurgeSettings(managers=MANAGERS, retention=timedelta(days=30))
    one = await asyncio.to_thread(make_desk, store, tmp_path, purging=settings)
    await killed(one, "planner", "child")
    await one.register("critic")
    one.clock.advance(29 * 86400)
    await one.manager.purges.step()
    assert await confirm(one, *MANAGERS) == []
    one.clock.advance(86401)
    await finish(one)

    assert [await gone(one, name) for name in ("planner", "child", "critic")] == [True, True, False]


async def test_killed_agents_are_kept_unless_that_is_set(desk: Desk) -> None:
    await killed(desk, "planner")
    desk.clock.advance(10_000 * 86400)
    await finish(desk)

    assert not await gone(desk, "planner")


async def test_a_process_that_ends_between_any_two_steps_leaves_nothing_undone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await killed(desk, "planner")
    await desk.manager.purges.purge(ADMIN, "planner", "", NEW)
    await desk.manager.purges.step()
    await confirm(desk, *MANAGERS)
    await desk.manager.purges.step()
    desk.clock.advance(60)
    await confirm(desk, *MANAGERS)

    async def ends(*_args: object, **_kwargs: object) -> int:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(desk.manager.eraser, "blank", ends)
        with pytest.raises(OSError, match="killed"):
            await desk.manager.purges.step()
    assert not await gone(desk, "planner")
    await desk.manager.purges.step()
    assert await gone(desk, "planner")


async def test_who_is_erased_no_longer_stands_in_what_it_decided_and_voted(desk: Desk) -> None:
    now = desk.clock.now()
    votes = tuple(
        Vote(who, Kind.PERSON, approved=True, comment='"decider": "amy"', time=now) for who in ("amy", "bo")
    )

    def work(tx: Transaction) -> None:
        for number in range(3):
            rest = ("", "", "", ApprovalState.APPROVED, now, now)
            tx.approvals.insert(
                Approval(TENANT, f"a{number}", "x", "tool.call", "tools/t", *rest, decider="amy", votes=votes)
            )

    await desk.store.write(work)
    await desk.manager.eraser.erase(ADMIN, "amy", "asked for")
    found = await desk.store.read(lambda tx: [tx.approvals.get(TENANT, f"a{number}") for number in range(3)])

    assert {one.decider for one in found if one} == {ERASED}
    assert {tuple(vote.decider for vote in one.votes) for one in found if one} == {(ERASED, "bo")}
    assert {one.votes[0].comment for one in found if one} == {'"decider": "amy"'}
