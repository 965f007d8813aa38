"""Approvals, on every store."""

import asyncio
import dataclasses
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from services.access.errors import (
    AgentNotFound,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalNotFound,
    EtagMismatch,
    QuotaExceeded,
)
from services.access.model import (
    Approval,
    ApprovalState,
)
from services.access.service.grants import NewGrant
from services.chassis.auth.identity import Caller
from services.chassis.rpc.errors import ApprovalRequired, PermissionDenied
from tests.fakes.access_manager import (
    ADMIN,
    NEW,
    SERVICE,
    TENANT,
    Desk,
    agent,
)

PLANNER = agent("planner")
CRITIC = agent("critic")
SHA = "ab" * 32


def wanted(agent_id: str = "planner", *, sha: str = SHA) -> Approval:
    """Describe a call that needs an approval."""
    epoch = datetime.fromtimestamp(0, UTC)
    return Approval(
        tenant=TENANT,
        id="",
        agent=agent_id,
        action="tool.call",
        resource="tools/mail",
        arguments_sha256=sha,
        arguments_preview="{}",
        summary="send a mail",
        state=ApprovalState.PENDING,
        create_time=epoch,
        expire_time=epoch,
    )


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


async def family(desk: Desk) -> None:
    """Register a tree root > planner > helper, root > sibling, and an agent beside it."""
    await desk.register("root")
    await desk.register("planner", by=agent("root"))
    await desk.register("helper", by=agent("planner"))
    await desk.register("sibling", by=agent("root"))
    await desk.register("critic")


@pytest.mark.parametrize("who", ["planner", "root", "helper", "sibling"])
async def test_no_agent_decides_an_approval_of_its_own_tree(desk: Desk, who: str) -> None:
    await family(desk)
    open_door = '@id("all") permit(principal, action, resource);'
    await desk.manager.policies.put(ADMIN, "policies/p", open_door, description="", etag="", asked=NEW)
    desk_ = desk.manager.approvals
    name = f"approvals/{(await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)).id}"

    assert await desk.allows(agent(who), "access.approve", name)
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


async def test_an_ancestor_may_not_decide_and_so_cannot_give_the_right_away(desk: Desk) -> None:
    await family(desk)
    approval = await desk.manager.approvals.request(SERVICE, wanted(), timedelta(hours=1), NEW)
    name = f"approvals/{approval.id}"
    new = NewGrant(grantee="agents/critic", resource=name, actions=frozenset({"access.approve"}))

    assert not await desk.allows(agent("root"), "access.approve", name)
    for giver in ("root", "planner"):
        with pytest.raises(PermissionDenied):
            await desk.manager.grants.create(agent(giver), new, NEW)


async def test_an_agent_of_another_tree_decides_with_a_grant(desk: Desk) -> None:
    await family(desk)
    desk_ = desk.manager.approvals
    name = f"approvals/{(await desk_.request(SERVICE, wanted(), timedelta(hours=1), NEW)).id}"
    assert not await desk.allows(CRITIC, "access.approve", name)
    new = NewGrant(grantee="agents/critic", resource=name, actions=frozenset({"access.approve"}))
    await desk.manager.grants.create(ADMIN, new, NEW)

    assert await desk.allows(CRITIC, "access.approve", name)
    decided = await desk_.decide(CRITIC, name, approve=True, comment="", arguments_sha256="", asked=NEW)
    assert decided.decider == "critic"


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
