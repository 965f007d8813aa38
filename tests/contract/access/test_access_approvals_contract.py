"""Approvals, on every store."""

import asyncio
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
        change = await asyncio.wait_for(anext(events), 5)

    assert seen == [first, None]
    assert change is not None
    assert change.state is ApprovalState.REJECTED
