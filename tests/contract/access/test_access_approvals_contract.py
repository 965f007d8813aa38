"""Approvals, on every store."""

import asyncio
import dataclasses
import hashlib
from contextlib import aclosing
from datetime import timedelta

import pytest

from services.access.errors import (
    AgentNotFound,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalNotFound,
    EtagMismatch,
)
from services.access.model.approvals import Approval, ApprovalState
from services.access.service.grants import NewGrant
from services.chassis.auth.identity import Caller
from services.chassis.quotas import Cap, Owner
from services.chassis.rpc.errors import ApprovalRequired, InvalidRequest, PermissionDenied, QuotaExceeded
from tests.fakes.access_manager import (
    ADMIN,
    NEW,
    SERVICE,
    TENANT,
    Desk,
    agent,
)
from tests.fakes.approvals import (
    CRITIC,
    PLANNER,
    SHA,
    decide,
    family,
    named,
    pending,
    put_policy,
    use,
    wanted,
)

ALL = ' @id("q") permit(principal, action, resource);'
APPROVE = 'action == Action::"access.approve"'


async def test_an_approval_is_used_once_for_its_arguments(desk: Desk) -> None:
    await desk.register("planner")
    desk_ = desk.manager.approvals
    approval = await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)
    name = f"approvals/{approval.id}"

    async def use(sha: str = SHA, by: str = "planner") -> Approval:
        return await desk_.use(SERVICE, TENANT, name, agent=by, arguments_sha256=sha, asked=NEW)

    assert await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW) == approval
    with pytest.raises(ApprovalRequired):
        await use()
    with pytest.raises(EtagMismatch):
        await desk_.decide(ADMIN, name, approve=True, comment="", arguments_sha256="cd" * 32, asked=NEW)
    with pytest.raises(PermissionDenied):
        await desk_.decide(PLANNER, name, approve=True, comment="", arguments_sha256="", asked=NEW)
    decided = await desk_.decide(ADMIN, name, approve=True, comment="fine", arguments_sha256=SHA, asked=NEW)
    assert (decided.state, decided.decider, decided.comment) == (ApprovalState.APPROVED, "admin", "fine")
    with pytest.raises(ApprovalDecided):
        await desk_.decide(ADMIN, name, approve=False, comment="", arguments_sha256="", asked=NEW)
    with pytest.raises(ApprovalRequired):
        await use("cd" * 32)
    with pytest.raises(ApprovalNotFound):
        await use(by="critic")
    assert (await use()).state is ApprovalState.USED
    with pytest.raises(ApprovalDecided):
        await use()


async def test_approvals_expire_and_are_limited(desk: Desk) -> None:
    await desk.register("planner")
    desk_ = desk.manager.approvals
    approval = await desk_.request(SERVICE, wanted(), timedelta(minutes=1), NEW)
    await desk_.request(SERVICE, wanted(sha="cd" * 32), timedelta(hours=1), NEW)
    with pytest.raises(QuotaExceeded):
        await desk_.request(SERVICE, wanted(sha="ef" * 32), timedelta(hours=1), NEW)
    with pytest.raises(AgentNotFound):
        await desk_.request(SERVICE, wanted("ghost"), timedelta(hours=1), NEW)
    desk.clock.advance(60)
    name = f"approvals/{approval.id}"

    assert (await desk_.get(PLANNER, name)).state is ApprovalState.EXPIRED
    with pytest.raises(ApprovalExpired):
        await desk_.decide(ADMIN, name, approve=True, comment="", arguments_sha256="", asked=NEW)
    assert await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW) != approval


async def test_approvals_are_listed_newest_first_by_state(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    desk_ = desk.manager.approvals
    ids = []
    for number, who in enumerate(("planner", "critic", "planner")):
        desk.clock.advance(1)
        life = timedelta(minutes=1 if number == 0 else 60)
        ids.append((await desk_.request(SERVICE, wanted(who, sha=f"{number:064x}"), life, NEW)).id)
    desk.clock.advance(60)

    async def listed(caller: Caller, *states: ApprovalState, agent_name: str = "") -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page, token = await desk_.page(
                caller,
                agent=agent_name,
                states=frozenset(states),
                size=1,
                token=token,
            )
            found += [one.id for one in page]
            if not token:
                return found

    assert await listed(ADMIN) == ids[::-1]
    assert await listed(ADMIN, ApprovalState.PENDING) == [ids[2], ids[1]]
    assert await listed(ADMIN, ApprovalState.EXPIRED) == [ids[0]]
    assert await listed(ADMIN, ApprovalState.EXPIRED, ApprovalState.PENDING) == ids[::-1]
    assert await listed(CRITIC) == [ids[1]]
    assert await listed(ADMIN, agent_name="agents/planner") == [ids[2], ids[0]]
    with pytest.raises(PermissionDenied):
        await listed(CRITIC, agent_name="agents/planner")


async def test_a_watch_of_approvals_shows_the_pending_ones_then_changes(desk: Desk) -> None:
    await desk.register("planner")
    desk_ = desk.manager.approvals
    first = await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)
    async with aclosing(desk_.watch(ADMIN, "")) as events:
        seen = [await anext(events), await anext(events)]
        await desk_.decide(
            ADMIN, f"approvals/{first.id}", approve=False, comment="", arguments_sha256="", asked=NEW
        )
        change = await asyncio.wait_for(anext(events), 30)

    assert seen == [first, None]
    assert change is not None
    assert change.state is ApprovalState.REJECTED


@pytest.mark.parametrize("who", ["planner", "root", "helper", "sibling"])
async def test_no_agent_decides_an_approval_of_its_own_tree(desk: Desk, who: str) -> None:
    await family(desk)
    await desk.manager.policies.put(ADMIN, "policies/p", named(who), description="", etag="", asked=NEW)
    desk_ = desk.manager.approvals
    name = f"approvals/{(await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)).id}"

    for approve in (True, False):
        with pytest.raises(PermissionDenied):
            await desk_.decide(agent(who), name, approve=approve, comment="", arguments_sha256="", asked=NEW)
    assert (await desk_.get(PLANNER, name)).state is ApprovalState.PENDING


async def test_an_agent_registered_after_the_request_is_of_the_tree_too(desk: Desk) -> None:
    await family(desk)
    desk_ = desk.manager.approvals
    name = f"approvals/{(await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)).id}"
    await desk.register("late", by=agent("sibling"))

    with pytest.raises(PermissionDenied):
        await desk_.decide(agent("late"), name, approve=True, comment="", arguments_sha256="", asked=NEW)


async def test_an_agent_that_repeats_a_decision_of_its_tree_is_refused(desk: Desk) -> None:
    await family(desk)
    desk_ = desk.manager.approvals
    name = f"approvals/{(await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)).id}"
    await desk_.decide(ADMIN, name, approve=True, comment="", arguments_sha256="", asked=NEW)

    with pytest.raises(PermissionDenied):
        await desk_.decide(agent("root"), name, approve=True, comment="", arguments_sha256="", asked=NEW)


async def test_nobody_gives_the_right_to_decide_away_by_a_grant(desk: Desk) -> None:
    await family(desk)
    approval = await desk.manager.approvals.request(SERVICE, wanted(), timedelta(hours=1), NEW)
    name = f"approvals/{approval.id}"
    new = NewGrant(grantee="agents/critic", resource=name, actions=frozenset({"access.approve"}))

    assert not await desk.allows(agent("root"), "access.approve", name)
    for giver in (agent("root"), agent("planner"), ADMIN):
        with pytest.raises(InvalidRequest):
            await desk.manager.grants.create(giver, new, NEW)


async def test_an_approval_whose_tree_was_not_noted_is_for_administrators(desk: Desk) -> None:
    await family(desk)
    desk_ = desk.manager.approvals
    approval = await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)
    unknown = dataclasses.replace(approval, root="")
    await desk.store.write(lambda tx: tx.approvals.update(unknown))
    name = f"approvals/{approval.id}"

    assert approval.root == "root"
    with pytest.raises(PermissionDenied):
        await desk_.decide(CRITIC, name, approve=True, comment="", arguments_sha256="", asked=NEW)
    await desk_.decide(ADMIN, name, approve=True, comment="", arguments_sha256="", asked=NEW)


async def test_an_agent_of_another_tree_decides_when_a_policy_of_an_administrator_names_it(
    desk: Desk,
) -> None:
    await family(desk)
    name = await pending(desk)
    assert not await desk.allows(CRITIC, "access.approve", name)
    await put_policy(desk, named("critic"))

    assert await desk.allows(CRITIC, "access.approve", name)
    decided = await decide(desk, CRITIC, name)
    assert (decided.decider, decided.state) == ("critic", ApprovalState.APPROVED)
    assert (await use(desk, name)).state is ApprovalState.USED


@pytest.mark.parametrize(
    "rule",
    [
        "permit(principal, action, resource);",
        'permit(principal, action == Action::"access.approve", resource);',
        'permit(principal is Agent, action == Action::"access.approve", resource);',
        'permit(principal in Agent::"critic", action == Action::"access.approve", resource);',
        'permit(principal in Group::"g", action == Action::"access.approve", resource);',
        'permit(principal == Agent::"critic", action, resource);',
        'permit(principal == Agent::"critic", action in Action::"admin", resource);',
        f'permit(principal, {APPROVE}, resource) when {{ principal == Agent::"critic" }};',
        f'permit(principal == Agent::"other", {APPROVE}, resource);{ALL}',
        f'permit(principal == Agent::"critic", {APPROVE}, resource) when {{ false }};{ALL}',
    ],
)
async def test_no_policy_that_permits_more_than_one_agent_to_decide_names_anybody(
    desk: Desk, rule: str
) -> None:
    await family(desk)
    name = await pending(desk)
    await put_policy(desk, f'@id("p") {rule}')

    assert not await desk.allows(CRITIC, "access.approve", name)


async def test_a_policy_that_an_agent_put_names_nobody(desk: Desk) -> None:
    await family(desk)
    name = await pending(desk)
    await put_policy(desk, '@id("all") permit(principal, action, resource);', name="all")
    await put_policy(desk, named("critic"), by=CRITIC)
    assert not await desk.allows(CRITIC, "access.approve", name)
    await put_policy(desk, named("critic"))

    assert await desk.allows(CRITIC, "access.approve", name)


async def test_an_agent_that_takes_a_named_id_later_is_not_the_one_that_was_named(desk: Desk) -> None:
    await family(desk)
    name = await pending(desk)
    await put_policy(desk, named("late"))
    desk.clock.advance(1)
    await desk.register("late")

    assert not await desk.allows(agent("late"), "access.approve", name)


async def test_approving_what_was_cut_takes_the_hash_that_was_shown(desk: Desk) -> None:
    await desk.register("planner")
    arguments = '{"aa":"please approve' + " " * 17_000 + '","to":"mal"}'
    sha = hashlib.sha256(arguments.encode()).hexdigest()
    name = await pending(desk, arguments)
    shown = await desk.manager.approvals.get(ADMIN, name)

    assert (shown.preview_truncated, shown.arguments_bytes) == (True, len(arguments))
    assert shown.arguments_preview.endswith('"to":"mal"}')
    with pytest.raises(InvalidRequest):
        await decide(desk, ADMIN, name)
    with pytest.raises(EtagMismatch):
        await decide(desk, ADMIN, name, sha="ef" * 32)
    assert (await decide(desk, ADMIN, name, sha=sha)).state is ApprovalState.APPROVED


async def test_arguments_must_have_the_hash_that_is_asked_for(desk: Desk) -> None:
    await desk.register("planner")
    with pytest.raises(InvalidRequest):
        await desk.manager.approvals.request(
            SERVICE, wanted(), timedelta(hours=1), NEW, arguments='{"other":1}'
        )


async def test_the_whole_arguments_are_read_in_parts_while_the_approval_is_open(desk: Desk) -> None:
    await desk.register("planner")
    arguments = '{"a":"' + "x" * 40_000 + '"}'
    sha = hashlib.sha256(arguments.encode()).hexdigest()
    name = await pending(desk, arguments)
    read, offset = b"", 0
    while True:
        part = await desk.manager.approvals.arguments(ADMIN, name, offset, 30_000)
        read += part.content
        offset = part.following
        if not offset:
            break

    assert read.decode() == arguments
    await decide(desk, ADMIN, name, sha=sha)
    await use(desk, name, sha=sha)
    with pytest.raises(ApprovalNotFound):
        await desk.manager.approvals.arguments(ADMIN, name, 0, 10)


async def test_arguments_of_approvals_that_expired_are_forgotten(desk: Desk) -> None:
    await desk.register("planner")
    name = await pending(desk)
    await desk.manager.forget()
    assert (await desk.manager.approvals.arguments(ADMIN, name, 0, 10)).content == b"{}"
    desk.clock.advance(3600)
    await desk.manager.forget()

    with pytest.raises(ApprovalNotFound):
        await desk.manager.approvals.arguments(ADMIN, name, 0, 10)


async def test_approvals_that_ended_long_ago_are_forgotten_and_give_their_place_back(desk: Desk) -> None:
    await family(desk)
    name = await pending(desk)
    desk.clock.advance(29 * 86_400)
    await desk.manager.forget()
    kept = await desk.manager.approvals.get(ADMIN, name)
    before = await rows_charged(desk)
    desk.clock.advance(2 * 86_400)
    await desk.manager.forget()

    assert kept.state is ApprovalState.EXPIRED
    assert before == {1}
    assert await rows_charged(desk) == {0}
    with pytest.raises(ApprovalNotFound):
        await desk.manager.approvals.get(ADMIN, name)


async def rows_charged(desk: Desk) -> set[int]:
    """Return how many approvals an agent, its tree and its tenant are charged for."""
    caps = {"approval_rows": Cap.of(9)}
    told = await desk.store.read(lambda tx: tx.usage.told(Owner(ADMIN.tenant, "planner", ""), caps))
    return {one.used for one in told}


async def test_texts_of_agents_reach_a_decider_without_what_does_not_show(desk: Desk) -> None:
    await family(desk)
    await put_policy(desk, named("critic"))
    hostile = "pay \x1b[2J\u202e\u200b" + "x" * 600
    asked_for = dataclasses.replace(wanted(), summary=hostile)
    found = await desk.manager.approvals.request(SERVICE, asked_for, timedelta(hours=1), NEW)
    name = f"approvals/{found.id}"
    decided = await desk.manager.approvals.decide(
        CRITIC, name, approve=True, comment=hostile, arguments_sha256="", asked=NEW
    )

    assert found.summary.startswith("pay \\u001b[2J\\u202e\\u200b")
    assert len(found.summary) <= 512
    assert "cut" in found.summary
    assert decided.comment.isprintable()
    with pytest.raises(InvalidRequest):
        await pending(desk, resource="files/a\u202eb")


async def test_an_approval_is_for_one_version_of_what_it_is_about(desk: Desk) -> None:
    await desk.register("planner")
    name = await pending(desk, resource_version="v1")
    await decide(desk, ADMIN, name)

    assert await pending(desk, resource_version="v1") == name
    assert await pending(desk, resource_version="v2") != name
    with pytest.raises(ApprovalRequired):
        await use(desk, name, version="v2")
    assert (await use(desk, name, version="v1")).state is ApprovalState.USED


async def test_open_approvals_are_limited_for_trees_too(desk: Desk) -> None:
    await family(desk)
    await desk.register("late", by=agent("sibling"))
    for number in range(8):
        who = ("planner", "helper", "sibling", "root")[number % 4]
        await pending(desk, arguments=f'{{"n":{number}}}', agent=who)
    with pytest.raises(QuotaExceeded) as refused:
        await pending(desk, agent="late")

    assert refused.value.metadata["level"] == "tree"
