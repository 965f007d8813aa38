"""Decisions, groups, grants and policies, on every store."""

import asyncio
import dataclasses
from contextlib import aclosing
from datetime import timedelta

import pytest

from services.access.errors import (
    AgentNotFound,
    AlreadyExists,
    EtagMismatch,
    GroupCycle,
    RuleNotFound,
)
from services.access.model.audit import AuditOutcome
from services.access.model.rules import Reason
from services.access.service.grants import NewGrant
from services.chassis.auth.identity import Caller
from services.chassis.rpc.errors import IdempotencyMismatch, InvalidRequest, PermissionDenied
from tests.fakes.access_manager import (
    ADMIN,
    KERNEL_ADMIN,
    NEW,
    Desk,
    agent,
    asked,
    whole_log,
)

PLANNER = agent("planner")
CRITIC = agent("critic")
NOTE = "agents/planner/notes/n"


async def test_an_agent_reaches_only_its_own(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")

    assert await desk.allows(PLANNER, "memory.read", "agents/me/notes/n")
    assert not await desk.allows(CRITIC, "memory.read", NOTE)
    assert await desk.allows(ADMIN, "memory.read", NOTE)
    assert not await desk.allows(ADMIN, "scheduler.configure")
    assert await desk.allows(KERNEL_ADMIN, "scheduler.configure")


async def test_an_ancestor_steers_but_does_not_read(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("child", by=PLANNER)
    await desk.register("leaf", by=agent("child"))

    assert await desk.allows(PLANNER, "agent.control", "agents/leaf")
    assert not await desk.allows(PLANNER, "memory.read", "agents/leaf/notes/n")
    assert not await desk.allows(agent("leaf"), "agent.control", "agents/planner")


async def test_a_decision_tells_the_trees_of_the_caller_and_of_the_owner(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("child", by=PLANNER)
    await desk.register("leaf", by=agent("child"))

    own = await desk.decide(agent("leaf"), "memory.read", "agents/me/notes/n")
    others = await desk.decide(ADMIN, "memory.read", "agents/leaf/notes/n")
    denied = await desk.decide(CRITIC, "memory.read", "agents/leaf/notes/n")

    assert (own.tree, own.owner_tree) == ("planner", "planner")
    assert (others.tree, others.owner_tree) == ("", "planner")
    assert (denied.tree, denied.owner_tree) == ("critic", "planner")


async def test_an_agent_nobody_registered_does_nothing(desk: Desk) -> None:
    decision = await desk.decide(agent("ghost"), "inference.generate")

    assert decision.reason is Reason.AGENT_INACTIVE


async def test_the_same_name_in_another_tenant_is_another_agent(desk: Desk) -> None:
    await desk.register("planner")

    assert not await desk.allows(agent("planner", tenant="globex"), "memory.read", NOTE)


async def test_every_change_of_a_rule_raises_the_revision(desk: Desk) -> None:
    await desk.register("planner")
    before = (await desk.decide(PLANNER, "memory.read", NOTE)).revision
    await desk.manager.agents.suspend(ADMIN, "planner", "")

    assert (await desk.decide(PLANNER, "memory.read", NOTE)).revision == before + 1


async def test_a_denial_changes_nothing_and_is_audited_once(desk: Desk) -> None:
    await desk.register("planner")
    for _ in range(3):
        await desk.decide(PLANNER, "access.manage", "groups/g")
    last = (await whole_log(desk))[-1]

    assert last.event.outcome is AuditOutcome.DENIED
    assert (last.event.agent, last.event.action, last.event.resource) == (
        "planner",
        "access.manage",
        "groups/g",
    )
    assert last.event.reason == "PERMISSION_DENIED x3"


async def test_a_watch_of_the_revision_says_it_at_once_and_after_each_change(desk: Desk) -> None:
    await desk.register("planner")
    async with aclosing(desk.manager.checks.watch(60.0)) as events:
        first = await anext(events)
        await desk.manager.agents.kill(ADMIN, "planner", "")
        second = await asyncio.wait_for(anext(events), 30)

    assert (first.revision, first.revoked, first.heartbeat) == (1, (), False)
    assert second.revision == 2
    assert second.epoch == first.epoch
    assert [one.agent for one in second.revoked] == ["planner"]


async def test_a_quiet_watch_beats(desk: Desk) -> None:
    async with aclosing(desk.manager.checks.watch(5.0)) as events:
        await anext(events)
        desk.clock.advance(5)
        beat = await asyncio.wait_for(anext(events), 30)

    assert beat.heartbeat


async def test_a_grant_gives_what_it_names_and_no_more(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    new = NewGrant(grantee="agents/critic", resource=NOTE, actions=frozenset({"memory.read"}))
    grant = await desk.manager.grants.create(PLANNER, new, NEW)
    decision = await desk.decide(CRITIC, "memory.read", NOTE)

    assert decision.allowed
    assert decision.policies == ("policies/grant", grant.name)
    assert not await desk.allows(CRITIC, "memory.write", NOTE)
    assert not await desk.allows(CRITIC, "memory.read", "agents/planner/notes/n2")
    await desk.manager.grants.revoke(PLANNER, grant.name, NEW)
    assert not await desk.allows(CRITIC, "memory.read", NOTE)


async def test_a_prefix_covers_what_lies_below_and_itself(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    new = NewGrant(
        grantee="agents/critic",
        resource="agents/me/files/reports/",
        prefix=True,
        actions=frozenset({"storage.read"}),
    )
    await desk.manager.grants.create(PLANNER, new, NEW)

    assert await desk.allows(CRITIC, "storage.read", "agents/planner/files/reports/2026/a.txt")
    assert await desk.allows(CRITIC, "storage.read", "agents/planner/files/reports")
    assert not await desk.allows(CRITIC, "storage.read", "agents/planner/files/reports2")
    assert not await desk.allows(CRITIC, "storage.read", "agents/planner/files/%")


async def test_a_prefix_may_be_a_whole_collection(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    new = NewGrant(
        grantee="agents/critic", resource="agents/me/notes/", prefix=True, actions=frozenset({"memory.read"})
    )
    grant = await desk.manager.grants.create(PLANNER, new, NEW)

    assert grant.resource == "agents/planner/notes/"
    assert await desk.allows(CRITIC, "memory.read", NOTE)
    assert not await desk.allows(CRITIC, "memory.read", "agents/planner/files/n1")


async def test_a_grant_ends_with_its_time(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    end = desk.clock.now() + timedelta(minutes=1)
    new = NewGrant(
        grantee="agents/critic", resource=NOTE, actions=frozenset({"memory.read"}), expire_time=end
    )
    await desk.manager.grants.create(PLANNER, new, NEW)

    assert (await desk.decide(CRITIC, "memory.read", NOTE)).expire_time == end
    desk.clock.advance(60)
    assert not await desk.allows(CRITIC, "memory.read", NOTE)


async def test_nobody_gives_what_it_may_not_do(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    other = NewGrant(grantee="agents/planner", resource="agents/critic", actions=frozenset({"agent.read"}))
    privilege = NewGrant(
        grantee="agents/planner", resource="agents/me", actions=frozenset({"agent.privilege"})
    )
    kernel = NewGrant(
        grantee="agents/planner", resource="agents/me", actions=frozenset({"scheduler.configure"})
    )

    with pytest.raises(PermissionDenied):
        await desk.manager.grants.create(PLANNER, other, NEW)
    with pytest.raises(PermissionDenied):
        await desk.manager.grants.create(PLANNER, privilege, NEW)
    with pytest.raises(InvalidRequest):
        await desk.manager.grants.create(ADMIN, kernel, NEW)


async def test_a_bad_grant_is_refused(desk: Desk) -> None:
    await desk.register("planner")
    good = NewGrant(grantee="agents/planner", resource="tools/t", actions=frozenset({"tool.call"}))
    past = dataclasses.replace(good, expire_time=desk.clock.now())

    with pytest.raises(AgentNotFound):
        await desk.manager.grants.create(ADMIN, dataclasses.replace(good, grantee="agents/x"), NEW)
    with pytest.raises(RuleNotFound):
        await desk.manager.grants.create(ADMIN, dataclasses.replace(good, grantee="groups/x"), NEW)
    with pytest.raises(InvalidRequest):
        await desk.manager.grants.create(ADMIN, dataclasses.replace(good, prefix=True), NEW)
    with pytest.raises(InvalidRequest):
        await desk.manager.grants.create(ADMIN, past, NEW)
    with pytest.raises(RuleNotFound):
        await desk.manager.grants.revoke(ADMIN, "grants/never", NEW)


async def test_an_agent_lists_what_it_gave_and_got(desk: Desk) -> None:
    for name in ("planner", "critic", "other"):
        await desk.register(name)
    await desk.manager.groups.create(ADMIN, "groups/g", title="", description="", asked=NEW)
    await desk.manager.groups.add_member(ADMIN, "groups/g", "agents/critic", NEW)
    reads = frozenset({"memory.read"})
    ids = []
    for resource, grantee in (
        (NOTE, "agents/critic"),
        ("agents/other/notes/o", "groups/g"),
        ("agents/other/notes/p", "agents/planner"),
    ):
        desk.clock.advance(1)
        new = NewGrant(grantee=grantee, resource=resource, actions=reads)
        ids.append((await desk.manager.grants.create(ADMIN, new, NEW)).id)

    async def listed(caller: Caller, **narrow: str) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page, token = await desk.manager.grants.page(
                caller,
                grantee=narrow.get("grantee", ""),
                resource=narrow.get("resource", ""),
                size=1,
                token=token,
            )
            found += [one.id for one in page]
            if not token:
                return found

    assert await listed(ADMIN) == ids
    assert await listed(CRITIC) == ids[:2]
    assert await listed(PLANNER) == [ids[0], ids[2]]
    assert await listed(ADMIN, grantee="groups/g") == [ids[1]]
    assert await listed(ADMIN, resource=NOTE) == [ids[0]]


async def test_groups_nest_and_give_what_they_got(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    for name in ("inner", "outer"):
        await desk.manager.groups.create(ADMIN, f"groups/{name}", title="", description="", asked=NEW)
    await desk.manager.groups.add_member(ADMIN, "groups/inner", "agents/critic", NEW)
    outer = await desk.manager.groups.add_member(ADMIN, "groups/outer", "groups/inner", NEW)
    new = NewGrant(grantee="groups/outer", resource=NOTE, actions=frozenset({"memory.read"}))
    await desk.manager.grants.create(PLANNER, new, NEW)

    assert outer.member_count == 1
    assert await desk.allows(CRITIC, "memory.read", NOTE)
    with pytest.raises(GroupCycle):
        await desk.manager.groups.add_member(ADMIN, "groups/inner", "groups/outer", NEW)
    with pytest.raises(GroupCycle):
        await desk.manager.groups.add_member(ADMIN, "groups/inner", "groups/inner", NEW)
    await desk.manager.groups.remove_member(ADMIN, "groups/inner", "agents/critic", NEW)
    assert not await desk.allows(CRITIC, "memory.read", NOTE)


async def test_a_deleted_group_takes_its_grants_along(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    create = desk.manager.groups.create
    group = await create(ADMIN, "groups/g", title="G", description="d", asked=NEW)
    await desk.manager.groups.add_member(ADMIN, "groups/g", "agents/critic", NEW)
    new = NewGrant(grantee="groups/g", resource=NOTE, actions=frozenset({"memory.read"}))
    await desk.manager.grants.create(PLANNER, new, NEW)

    with pytest.raises(EtagMismatch):
        await desk.manager.groups.delete(ADMIN, "groups/g", group.etag, NEW)
    with pytest.raises(AlreadyExists):
        await create(ADMIN, "groups/g", title="", description="", asked=NEW)
    await desk.manager.groups.delete(ADMIN, "groups/g", "", NEW)
    with pytest.raises(RuleNotFound):
        await desk.manager.groups.get(ADMIN, "groups/g")
    await create(ADMIN, "groups/g", title="", description="", asked=NEW)
    await desk.manager.groups.add_member(ADMIN, "groups/g", "agents/critic", NEW)
    assert not await desk.allows(CRITIC, "memory.read", NOTE)


async def test_groups_and_members_are_paged(desk: Desk) -> None:
    await desk.register("planner")
    for name in ("c", "a", "b"):
        await desk.manager.groups.create(ADMIN, f"groups/{name}", title="", description="", asked=NEW)
    await desk.manager.groups.add_member(ADMIN, "groups/a", "agents/planner", NEW)
    await desk.manager.groups.add_member(ADMIN, "groups/a", "groups/b", NEW)
    await desk.manager.groups.add_member(ADMIN, "groups/a", "groups/b", NEW)
    groups, token = await desk.manager.groups.page(ADMIN, "", 2, "")
    rest, end = await desk.manager.groups.page(ADMIN, "", 2, token)
    of_planner, _ = await desk.manager.groups.page(ADMIN, "agents/planner", 0, "")
    members, more = await desk.manager.groups.members(ADMIN, "groups/a", 1, "")
    others, _ = await desk.manager.groups.members(ADMIN, "groups/a", 1, more)

    assert [one.id for one in (*groups, *rest)] == ["a", "b", "c"]
    assert end == ""
    assert groups[0].member_count == 2
    assert [one.id for one in of_planner] == ["a"]
    assert [one.name for one in (*members, *others)] == ["agents/planner", "groups/b"]


async def test_a_repeated_request_has_one_effect(desk: Desk) -> None:
    create = desk.manager.groups.create
    first = await create(ADMIN, "groups/g", title="", description="", asked=asked("r"))
    entries = len(await whole_log(desk))
    again = await create(ADMIN, "groups/g", title="", description="", asked=asked("r"))

    assert again == first
    assert len(await whole_log(desk)) == entries
    with pytest.raises(IdempotencyMismatch):
        await create(ADMIN, "groups/h", title="", description="", asked=asked("r", b"e"))


async def test_answers_are_forgotten_after_a_day(desk: Desk) -> None:
    create = desk.manager.groups.create
    await create(ADMIN, "groups/g", title="", description="", asked=asked("r"))
    desk.clock.advance(86_401)
    await desk.manager.forget()

    with pytest.raises(AlreadyExists):
        await create(ADMIN, "groups/g", title="", description="", asked=asked("r"))


@pytest.mark.parametrize("action", ["access.administer", "access.erase", "agent.purge"])
async def test_a_policy_that_permits_everything_lets_no_agent_administer_erase_or_purge(
    desk: Desk, action: str
) -> None:
    await desk.register("planner")
    everything = '@id("everything") permit(principal, action, resource);'
    await desk.manager.policies.put(
        ADMIN, "policies/everything", everything, description="", etag="", asked=NEW
    )

    assert not await desk.allows(PLANNER, action)
    assert not await desk.allows(PLANNER, action, "agents/critic")
    assert await desk.allows(ADMIN, action)
