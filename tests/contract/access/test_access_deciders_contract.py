"""How many people decide an approval, and what becomes of it when one of them may not any more."""

import asyncio
import dataclasses

import pytest

from services.access.errors import ApprovalDecided
from services.access.model.approvals import ApprovalState
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc.errors import ApprovalRequired, PermissionDenied
from tests.fakes.access_manager import ADMIN, NEW, Desk, asked, whole_log
from tests.fakes.approvals import (
    CRITIC,
    decide,
    family,
    named,
    pending,
    person,
    put_policy,
    rule,
    use,
)


async def two_people(desk: Desk) -> tuple[Caller, Caller]:
    """Make two persons and a rule that wants both."""
    await desk.register("planner")
    amy, bob = await person(desk, "amy"), await person(desk, "bob")
    await desk.manager.persons.put_rule(ADMIN, rule(2), NEW)
    return amy, bob


async def test_a_rule_wants_two_different_people(desk: Desk) -> None:
    amy, bob = await two_people(desk)
    name = await pending(desk)

    first = await decide(desk, amy, name)
    assert (first.state, first.required) == (ApprovalState.PENDING, 2)
    assert (await decide(desk, amy, name)).votes == first.votes
    with pytest.raises(ApprovalRequired):
        await use(desk, name)
    second = await decide(desk, bob, name)
    assert (second.state, [vote.decider for vote in second.votes]) == (ApprovalState.APPROVED, ["amy", "bob"])
    assert (await use(desk, name)).state is ApprovalState.USED
    log = [entry.event for entry in await whole_log(desk) if entry.event.method.endswith("DecideApproval")]
    assert [(event.agent, event.kind, event.reason) for event in log] == [
        ("amy", Kind.PERSON, "approved"),
        ("bob", Kind.PERSON, "approved"),
    ]


@pytest.mark.parametrize("who", ["amy", "bob"])
async def test_one_rejection_ends_what_two_must_approve(desk: Desk, who: str) -> None:
    callers = dict(zip(("amy", "bob"), await two_people(desk), strict=True))
    name = await pending(desk)
    await decide(desk, callers["amy"], name)

    rejected = await decide(desk, callers[who], name, approve=False)
    assert (rejected.state, rejected.decider) == (ApprovalState.REJECTED, who)
    with pytest.raises(ApprovalDecided):
        await decide(desk, callers["bob"], name)


async def test_a_stricter_rule_counts_for_what_is_pending_and_no_agent_fills_it(desk: Desk) -> None:
    await family(desk)
    amy = await person(desk, "amy")
    await put_policy(desk, named("critic"))
    name = await pending(desk)
    await desk.manager.persons.put_rule(ADMIN, rule(2), NEW)

    assert (await decide(desk, amy, name)).state is ApprovalState.PENDING
    with pytest.raises(PermissionDenied):
        await decide(desk, CRITIC, name)
    await desk.manager.persons.drop_rule(ADMIN, "approvalRules/r", NEW)
    assert (await decide(desk, ADMIN, name)).state is ApprovalState.APPROVED


@pytest.mark.parametrize(
    ("action", "resource", "deciders"),
    [
        ("tool.call", "", 2),
        ("", "tools/mail", 2),
        ("", "tools/", 2),
        ("memory.read", "", 1),
        ("", "tools/mai", 1),
        ("", "files/", 1),
    ],
)
async def test_a_rule_is_about_an_action_and_a_name_or_all_below_it(
    desk: Desk, action: str, resource: str, deciders: int
) -> None:
    await desk.register("planner")
    made = dataclasses.replace(rule(2), action=action, resource=resource)
    await desk.manager.persons.put_rule(ADMIN, made, NEW)
    name = await pending(desk)

    assert (await desk.manager.approvals.get(ADMIN, name)).required == deciders


async def test_two_people_who_decide_at_once_are_settled_one_after_the_other(desk: Desk) -> None:
    await desk.register("planner")
    amy, bob = await person(desk, "amy"), await person(desk, "bob")
    name = await pending(desk)
    ends = await asyncio.gather(
        decide(desk, amy, name), decide(desk, bob, name, approve=False), return_exceptions=True
    )

    assert sum(isinstance(end, ApprovalDecided) for end in ends) == 1
    found = await desk.manager.approvals.get(ADMIN, name)
    assert len(found.votes) == 1


async def test_a_decision_that_is_sent_again_is_made_once(desk: Desk) -> None:
    amy, _ = await two_people(desk)
    name = await pending(desk)
    again = asked("r1")
    for _ in range(2):
        found = await desk.manager.approvals.decide(
            amy, name, approve=True, comment="", arguments_sha256="", asked=again
        )

    assert len(found.votes) == 1


async def test_what_a_person_gave_ends_when_the_person_is_disabled(desk: Desk) -> None:
    await desk.register("planner")
    amy = await person(desk, "amy")
    given, half = await pending(desk), await pending(desk, '{"other":1}')
    await decide(desk, amy, given)
    await desk.manager.persons.put_rule(ADMIN, rule(2), NEW)
    await decide(desk, amy, half)
    await desk.manager.persons.disable(ADMIN, "persons/amy", "", NEW)

    assert (await desk.manager.approvals.get(ADMIN, given)).state is ApprovalState.CANCELLED
    assert (await desk.manager.approvals.get(ADMIN, half)).votes == ()
    with pytest.raises(ApprovalRequired):
        await use(desk, given)
    with pytest.raises(PermissionDenied):
        await decide(desk, amy, half)


async def test_what_a_named_agent_gave_ends_with_it(desk: Desk) -> None:
    await family(desk)
    await put_policy(desk, named("critic"))
    name = await pending(desk)
    await decide(desk, CRITIC, name)
    await desk.manager.agents.kill(ADMIN, "critic", "")

    with pytest.raises(ApprovalRequired):
        await use(desk, name)
    again = await pending(desk)
    assert again != name
    assert await pending(desk) == again
    assert (await desk.manager.approvals.get(ADMIN, name)).state is ApprovalState.CANCELLED


async def test_what_agents_share_is_decided_by_people_alone_whatever_a_policy_says(desk: Desk) -> None:
    await family(desk)
    amy = await person(desk, "amy")
    await put_policy(desk, named("critic"))
    call, share = await pending(desk), await pending(desk, action="tool.share")

    assert (await decide(desk, CRITIC, call)).state is ApprovalState.APPROVED
    with pytest.raises(PermissionDenied):
        await decide(desk, CRITIC, share)
    with pytest.raises(PermissionDenied):
        await decide(desk, CRITIC, share, approve=False)
    assert (await decide(desk, amy, share)).state is ApprovalState.APPROVED
