"""Agents, on every store: registration, trees, states, changes, the watch."""

import asyncio
from contextlib import aclosing

import pytest

from services.access.errors import (
    AgentExists,
    AgentNotFound,
    AgentTreeLimit,
    EtagMismatch,
)
from services.access.model.agents import AgentState
from services.access.model.rules import Reason
from services.access.service import agents as agents_module
from services.access.service.agents import Changes, NewAgent
from services.access.service.grants import NewGrant
from services.chassis.dispatch.scheduling import Hints, SchedulingClass
from services.chassis.rpc.errors import (
    AgentInactive,
    CredentialInvalid,
    CredentialRevoked,
    IdempotencyMismatch,
    InvalidPageToken,
    InvalidRequest,
    PermissionDenied,
)
from tests.fakes.access_manager import (
    ADMIN,
    KERNEL_ADMIN,
    NEW,
    SERVICE,
    TENANT,
    Desk,
    agent,
    asked,
)

PLANNER = agent("planner")
NOTE = "agents/planner/notes/n"


async def test_a_registered_agent_is_found_and_may_act(desk: Desk) -> None:
    made = await desk.register("planner")
    found = await desk.manager.agents.get(ADMIN, "planner")

    assert found == made.agent
    assert found.state is AgentState.ACTIVE
    assert await desk.allows(PLANNER, "memory.write", NOTE)
    assert desk.keys.verify(made.token.text, now=desk.clock.now()).agent == "planner"


async def test_hints_and_labels_survive_the_store(desk: Desk) -> None:
    hints = Hints(SchedulingClass.REALTIME, 7, -3, 1.5)
    new = NewAgent(id="planner", kind="researcher", hints=hints, labels={"team": "blue"})
    await desk.manager.agents.register(ADMIN, new, NEW)
    found = await desk.manager.agents.get(ADMIN, "planner")

    assert found.hints == hints
    assert found.labels == {"team": "blue"}
    assert found.kind == "researcher"
    assert found.create_time == desk.clock.now()


async def test_a_taken_id_is_refused(desk: Desk) -> None:
    await desk.register("planner")

    with pytest.raises(AgentExists):
        await desk.register("planner")


async def test_the_same_id_may_exist_in_two_tenants(desk: Desk) -> None:
    await desk.register("planner")
    new = NewAgent(id="planner", tenant="globex")
    other = await desk.manager.agents.register(KERNEL_ADMIN, new, NEW)

    assert other.agent.tenant == "globex"
    with pytest.raises(AgentNotFound):
        await desk.manager.agents.get(KERNEL_ADMIN, "planner")


async def test_only_the_kernels_administrators_reach_other_tenants(desk: Desk) -> None:
    with pytest.raises(PermissionDenied):
        await desk.manager.agents.register(ADMIN, NewAgent(id="x", tenant="globex"), NEW)
    with pytest.raises(InvalidRequest):
        await desk.manager.agents.register(KERNEL_ADMIN, NewAgent(id="x", tenant="kernel"), NEW)


@pytest.mark.parametrize("reserved", ["me", "admin"])
async def test_some_ids_are_reserved(desk: Desk, reserved: str) -> None:
    with pytest.raises(InvalidRequest):
        await desk.register(reserved)


async def test_a_repeated_registration_has_one_effect_and_renews_the_key(desk: Desk) -> None:
    new = NewAgent(id="planner")
    first = await desk.manager.agents.register(ADMIN, new, asked("r1"))
    again = await desk.manager.agents.register(ADMIN, new, asked("r1"))

    assert again.agent == first.agent
    assert (await desk.manager.tokens.by_agent_key(again.key, None)).principal.agent == "planner"
    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.by_agent_key(first.key, None)
    with pytest.raises(IdempotencyMismatch):
        await desk.manager.agents.register(ADMIN, new, asked("r1", b"other"))


async def test_an_agent_registers_children_of_its_own(desk: Desk) -> None:
    await desk.register("planner")
    made = await desk.register("child", by=PLANNER)

    assert made.agent.parent == "planner"
    assert made.token.principal.parent == "planner"


async def test_a_tree_keeps_its_limits(desk: Desk) -> None:
    await desk.register("a")
    await desk.register("b", parent="a")
    await desk.register("c", parent="b")
    with pytest.raises(AgentTreeLimit):
        await desk.register("d", parent="c")
    await desk.register("b2", parent="a")
    await desk.register("b3", parent="a")
    with pytest.raises(AgentTreeLimit):
        await desk.register("b4", parent="a")
    await desk.manager.agents.kill(ADMIN, "b3", "")

    assert (await desk.register("b4", parent="a")).agent.parent == "a"


async def test_a_parent_must_exist_and_live(desk: Desk) -> None:
    with pytest.raises(AgentNotFound):
        await desk.register("x", parent="nobody")
    await desk.register("a")
    await desk.manager.agents.suspend(ADMIN, "a", "")
    with pytest.raises(AgentInactive):
        await desk.register("x", parent="a")


async def test_agents_are_listed_by_id_and_page(desk: Desk) -> None:
    for name in ("b", "a.x", "a-x", "a", "c"):
        await desk.register(name)
    first, token = await desk.manager.agents.page(ADMIN, "", 2, "")
    second, token2 = await desk.manager.agents.page(ADMIN, "", 2, token)
    third, end = await desk.manager.agents.page(ADMIN, "", 2, token2)

    assert [one.id for one in (*first, *second, *third)] == ["a", "a-x", "a.x", "b", "c"]
    assert end == ""
    with pytest.raises(InvalidPageToken):
        await desk.manager.agents.page(ADMIN, "agents/a", 2, token)


async def test_an_agent_lists_its_own_tree(desk: Desk) -> None:
    await desk.register("a")
    await desk.register("a0")
    await desk.register("b", parent="a")
    await desk.register("c", parent="b")
    mine, _ = await desk.manager.agents.page(agent("a"), "", 0, "")
    below, _ = await desk.manager.agents.page(ADMIN, "agents/b", 0, "")
    nobody, _ = await desk.manager.agents.page(ADMIN, "agents/ghost", 0, "")

    assert [one.id for one in mine] == ["a", "b", "c"]
    assert [one.id for one in below] == ["b", "c"]
    assert nobody == []


async def test_an_update_changes_what_it_names_and_the_etag(desk: Desk) -> None:
    before = (await desk.register("planner")).agent
    after = await desk.manager.agents.update(ADMIN, "planner", Changes(display_name="P"), before.etag)

    assert after.display_name == "P"
    assert after.hints == before.hints
    assert after.etag != before.etag
    with pytest.raises(EtagMismatch):
        await desk.manager.agents.update(ADMIN, "planner", Changes(kind="x"), before.etag)


async def test_an_update_that_changes_nothing_keeps_the_etag(desk: Desk) -> None:
    before = (await desk.register("planner")).agent
    after = await desk.manager.agents.update(ADMIN, "planner", Changes(display_name="planner"), "")

    assert after.etag == before.etag


async def test_an_agent_cannot_take_capacity_from_others(desk: Desk) -> None:
    await desk.register("planner")
    greedy = Changes(hints=Hints(scheduling_class=SchedulingClass.REALTIME))

    with pytest.raises(PermissionDenied):
        await desk.manager.agents.update(PLANNER, "planner", greedy, "")
    with pytest.raises(PermissionDenied):
        await desk.manager.agents.update(PLANNER, "planner", Changes(hints=Hints(weight=9)), "")
    with pytest.raises(PermissionDenied):
        await desk.register("child", by=PLANNER, hints=Hints(priority=-1))
    assert (await desk.manager.agents.update(ADMIN, "planner", greedy, "")).hints == greedy.hints


async def test_a_granted_privilege_lets_an_agent_be_real_time(desk: Desk) -> None:
    await desk.register("planner")
    new = NewGrant(
        grantee="agents/planner", resource="agents/planner", actions=frozenset({"agent.privilege"})
    )
    await desk.manager.grants.create(ADMIN, new, NEW)
    greedy = Changes(hints=Hints(scheduling_class=SchedulingClass.REALTIME))

    assert await desk.manager.agents.update(PLANNER, "planner", greedy, "")


async def test_a_suspended_tree_does_nothing_until_it_is_resumed(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("child", by=PLANNER)
    suspended = await desk.manager.agents.suspend(ADMIN, "planner", "")

    assert suspended.state is AgentState.SUSPENDED
    decision = await desk.decide(agent("child"), "inference.generate")
    assert decision.reason is Reason.AGENT_INACTIVE
    await desk.manager.agents.resume(ADMIN, "planner")
    assert await desk.allows(agent("child"), "inference.generate")


async def test_a_killed_tree_is_gone_for_good(desk: Desk) -> None:
    made = await desk.register("planner")
    child = await desk.register("child", by=PLANNER)
    await desk.register("bystander")
    killed, count = await desk.manager.agents.kill(ADMIN, "planner", "")
    again, none = await desk.manager.agents.kill(ADMIN, "planner", "")

    assert (killed.state, count) == (AgentState.KILLED, 2)
    assert (again.state, none) == (AgentState.KILLED, 0)
    assert not await desk.allows(agent("child"), "inference.generate")
    assert await desk.allows(agent("bystander"), "inference.generate")
    with pytest.raises(AgentInactive):
        await desk.manager.agents.resume(ADMIN, "planner")
    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.by_agent_key(made.key, None)
    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(child.token.text, None)


async def test_a_watch_shows_the_agents_then_every_change(desk: Desk) -> None:
    await desk.register("a")
    await desk.register("b")
    async with aclosing(desk.manager.agents.watch(ADMIN, "")) as events:
        seen = [await anext(events), await anext(events)]
        await desk.manager.agents.suspend(ADMIN, "b", "")
        change = await asyncio.wait_for(anext(events), 30)

    assert [(event.agent.id, event.initial) for event in seen] == [("a", True), ("b", True)]
    assert (change.agent.id, change.agent.state, change.initial) == ("b", AgentState.SUSPENDED, False)


async def test_a_process_of_the_kernel_watches_the_agents_of_all_tenants(desk: Desk) -> None:
    await desk.register("a")
    await desk.manager.agents.register(KERNEL_ADMIN, NewAgent(id="a", tenant="globex"), NEW)
    async with aclosing(desk.manager.agents.watch(SERVICE, "")) as events:
        seen = [await anext(events), await anext(events)]
    async with aclosing(desk.manager.agents.watch(ADMIN, "")) as events:
        first = await anext(events)
        await desk.register("b")
        second = await asyncio.wait_for(anext(events), 30)

    assert await desk.allows(SERVICE, "agent.list")
    assert [event.agent.tenant for event in seen] == [TENANT, "globex"]
    assert [first.agent.id, second.agent.id] == ["a", "b"]


async def test_a_tree_that_changes_at_once_is_watched_whole(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents_module, "_WATCH_PAGE", 2)
    await desk.register("a")
    for name in ("b", "c", "d"):
        await desk.register(name, parent="a")
    await desk.manager.agents.suspend(ADMIN, "a", "")
    async with aclosing(desk.manager.agents.watch(ADMIN, "")) as events:
        seen = [await anext(events) for _ in range(4)]

    assert [event.agent.id for event in seen] == ["a", "b", "c", "d"]
