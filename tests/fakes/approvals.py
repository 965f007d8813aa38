"""Approvals to ask for, and people and agents to decide them."""

import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from services.access.model.approvals import Approval, ApprovalRule, ApprovalState
from services.access.service.persons import NewPerson
from services.chassis.auth.identity import Caller
from tests.fakes.access_manager import ADMIN, NEW, SERVICE, TENANT, Desk, agent

PLANNER = agent("planner")
CRITIC = agent("critic")
SHA = hashlib.sha256(b"{}").hexdigest()


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


async def person(desk: Desk, name: str, *, administrator: bool = False) -> Caller:
    """Make a person and return how it calls."""
    made = await desk.manager.persons.create(ADMIN, NewPerson(id=name, administrator=administrator), NEW)
    return Caller(agent=name, tenant=TENANT, kind=made.person.kind)


def rule(deciders: int) -> ApprovalRule:
    """Describe a rule about everything."""
    return ApprovalRule(TENANT, "r", "", "", deciders, "", "", datetime.fromtimestamp(0, UTC))


def named(who: str) -> str:
    """Write a policy that names an agent as a decider."""
    rule = f'permit(principal == Agent::"{who}", action == Action::"access.approve", resource);'
    return f'@id("names-{who}") {rule}'


async def pending(desk: Desk, arguments: str = "{}", **fields: Any) -> str:
    """Ask for an approval and return its name."""
    sha = hashlib.sha256(arguments.encode()).hexdigest()
    asked_for = dataclasses.replace(wanted(sha=sha), arguments_preview="", **fields)
    found = await desk.manager.approvals.request(
        SERVICE, asked_for, timedelta(hours=1), NEW, arguments=arguments, description="send a mail"
    )
    return f"approvals/{found.id}"


async def decide(desk: Desk, who: Caller, name: str, *, approve: bool = True, sha: str = "") -> Approval:
    """Decide an approval."""
    return await desk.manager.approvals.decide(
        who, name, approve=approve, comment="", arguments_sha256=sha, asked=NEW
    )


async def use(desk: Desk, name: str, *, sha: str = SHA, version: str = "") -> Approval:
    """Use an approval."""
    return await desk.manager.approvals.use(
        SERVICE, TENANT, name, agent="planner", arguments_sha256=sha, asked=NEW, resource_version=version
    )


async def put_policy(desk: Desk, text: str, *, by: Caller = ADMIN, name: str = "p") -> None:
    """Put a policy in force."""
    await desk.manager.policies.put(by, f"policies/{name}", text, description="", etag="", asked=NEW)


async def family(desk: Desk) -> None:
    """Register a tree root > planner > helper, root > sibling, and an agent beside it."""
    await desk.register("root")
    await desk.register("planner", by=agent("root"))
    await desk.register("helper", by=agent("planner"))
    await desk.register("sibling", by=agent("root"))
    await desk.register("critic")
