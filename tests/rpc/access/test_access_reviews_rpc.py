"""Who asks about rights, over a real socket: whom a credential stands for, and what somebody may do."""

from typing import Any

import grpc
import pytest

from aios.api.access.v1 import access_pb2, resources_pb2
from aios.api.agent.v1 import agent_pb2
from services.chassis.auth.identity import Kind
from tests.fakes.access_manager import KERNEL_TENANT, TENANT
from tests.fakes.access_rpc import Kernel
from tests.fakes.rpc import reason

PERMITTED = resources_pb2.DECISION_REASON_PERMITTED
NOT_PERMITTED = resources_pb2.DECISION_REASON_NOT_PERMITTED
FORBIDDEN = resources_pb2.DECISION_REASON_FORBIDDEN


async def ask(
    kernel: Kernel, who: Any, *questions: tuple[str, str], subject: str = "", **more: Any
) -> access_pb2.ReviewAccessResponse:
    """Ask what somebody may do."""
    asked = [access_pb2.AccessQuestion(action=action, resource=name, **more) for action, name in questions]
    request = access_pb2.ReviewAccessRequest(subject=subject, questions=asked)
    return await kernel.access.ReviewAccess(request, metadata=who)


async def refused(kernel: Kernel, who: Any, *questions: tuple[str, str], subject: str = "") -> str:
    """Ask, and return the reason why it was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await ask(kernel, who, *questions, subject=subject)
    return reason(error.value)


async def put_policy(kernel: Kernel, name: str, text: str) -> None:
    policy = resources_pb2.Policy(name=f"policies/{name}", text=text)
    await kernel.access.PutPolicy(access_pb2.PutPolicyRequest(policy=policy), metadata=kernel.admin)


async def test_a_credential_is_told_whom_it_stands_for_and_whether_it_may_administer(kernel: Kernel) -> None:
    me, key = await kernel.register("planner")
    token = await kernel.access.IssueToken(
        access_pb2.IssueTokenRequest(agent_key=access_pb2.AgentKeyCredential(key=key))
    )
    with_token = (("authorization", f"Bearer {token.token}"),)
    agent = await kernel.access.WhoAmI(access_pb2.WhoAmIRequest(), metadata=with_token)
    admin = await kernel.access.WhoAmI(access_pb2.WhoAmIRequest(), metadata=kernel.admin)
    kernels = await kernel.access.WhoAmI(
        access_pb2.WhoAmIRequest(), metadata=kernel.token("admin", Kind.ADMIN, KERNEL_TENANT)
    )

    assert (agent.principal.agent, agent.principal.tenant) == ("agents/planner", TENANT)
    assert agent.principal.kind == resources_pb2.PRINCIPAL_KIND_AGENT
    assert agent.display_name == "planner"
    assert agent.expire_time == token.expire_time
    assert agent.sign_in_time.seconds > 0
    assert (agent.administers_tenant, agent.administers_kernel) == (False, False)
    assert (admin.administers_tenant, admin.administers_kernel) == (True, False)
    assert (kernels.administers_tenant, kernels.administers_kernel) == (True, True)
    assert me


async def test_who_is_asked_about_is_answered_with_the_policy_that_decides(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    await kernel.register("critic")
    await put_policy(
        kernel, "no-notes", '@id("no-notes") forbid(principal, action == Action::"memory.write", resource);'
    )
    told = await ask(
        kernel,
        me,
        ("memory.read", "agents/me/notes/n"),
        ("memory.write", "agents/me/notes/n"),
        ("memory.read", "agents/critic/notes/n"),
    )

    assert told.subject.agent == "agents/planner"
    assert [each.allowed for each in told.reviews] == [True, False, False]
    assert [each.reason for each in told.reviews] == [PERMITTED, FORBIDDEN, NOT_PERMITTED]
    assert [list(each.policies) for each in told.reviews] == [["policies/owner"], ["policies/no-notes"], []]
    assert told.reviews[1].summary == (
        "planner may not memory.write on agents/me/notes/n: forbidden by policies/no-notes."
    )
    assert told.revision > 0


async def test_an_answer_is_the_one_that_trying_gives(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    told = await ask(kernel, me, ("agent.read", "agents/me"), ("agent.read", "agents/critic"))
    found = await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/me"), metadata=me)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/critic"), metadata=me)

    assert [each.allowed for each in told.reviews] == [True, False]
    assert found.agent.name == "agents/planner"
    assert reason(error.value) == "PERMISSION_DENIED"


async def test_who_may_ask_about_whom(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    stranger, _ = await kernel.register("critic")
    await kernel.agents.RegisterAgent(agent_pb2.RegisterAgentRequest(agent_id="child"), metadata=me)
    person = access_pb2.CreatePersonRequest(person_id="ada")
    await kernel.access.CreatePerson(person, metadata=kernel.admin)
    ada = kernel.token("ada", Kind.PERSON)
    question = ("memory.read", "agents/me/notes/n")

    below = await ask(kernel, me, question, subject="agents/child")
    by_admin = await ask(kernel, kernel.admin, question, subject="agents/child")
    by_person = await ask(kernel, ada, question, subject="agents/child")
    of_person = await ask(kernel, kernel.admin, ("access.approve", ""), subject="persons/ada")
    own = await ask(kernel, ada, ("access.approve", ""), ("access.administer", ""))

    for told in (below, by_admin, by_person):
        assert told.subject.agent == "agents/child"
        assert told.reviews[0].allowed
    assert of_person.subject.kind == resources_pb2.PRINCIPAL_KIND_PERSON
    assert of_person.reviews[0].allowed
    assert [each.allowed for each in own.reviews] == [True, False]
    assert await refused(kernel, stranger, question, subject="agents/child") == "PERMISSION_DENIED"
    assert await refused(kernel, stranger, question, subject="agents/ghost") == "PERMISSION_DENIED"
    assert await refused(kernel, stranger, question, subject="persons/ada") == "PERMISSION_DENIED"
    assert await refused(kernel, kernel.admin, question, subject="agents/ghost") == "AGENT_NOT_FOUND"
    assert await refused(kernel, kernel.admin, question, subject="persons/ghost") == "PERSON_NOT_FOUND"


async def test_nothing_is_told_of_another_tenant(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    stranger = kernel.token("admin", Kind.ADMIN, "globex")
    question = ("memory.read", "agents/planner/notes/n")
    told = await ask(kernel, stranger, question)
    exists = await refused(kernel, stranger, question, subject="agents/planner")
    ghost = await refused(kernel, stranger, question, subject="agents/ghost")

    assert told.subject.tenant == "globex"
    assert exists == ghost == "AGENT_NOT_FOUND"
    assert me


async def test_no_policy_takes_it_from_anybody_to_ask_about_itself(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    await kernel.agents.RegisterAgent(agent_pb2.RegisterAgentRequest(agent_id="child"), metadata=me)
    await put_policy(kernel, "nothing", '@id("nothing") forbid(principal is Agent, action, resource);')
    own = await ask(kernel, me, ("memory.read", ""))
    who = await kernel.access.WhoAmI(access_pb2.WhoAmIRequest(), metadata=me)

    assert list(own.reviews[0].policies) == ["policies/nothing"]
    assert who.principal.agent == "agents/planner"
    assert await refused(kernel, me, ("memory.read", ""), subject="agents/child") == "PERMISSION_DENIED"


async def test_a_suspended_agent_is_no_exception_and_who_asks_about_it_learns_why(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    suspend = agent_pb2.SuspendAgentRequest(name="agents/planner", reason="loops")
    await kernel.agents.SuspendAgent(suspend, metadata=kernel.admin)
    told = await ask(kernel, kernel.admin, ("memory.read", ""), subject="agents/planner")

    assert await refused(kernel, me, ("memory.read", "")) == "AGENT_INACTIVE"
    assert told.reviews[0].reason == resources_pb2.DECISION_REASON_AGENT_INACTIVE
    assert "it is suspended" in told.reviews[0].summary


async def test_what_waits_for_a_person_or_on_an_effect_says_so(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    rule = (
        '@id("risky") forbid(principal, action == Action::"tool.call", resource) '
        'when { context.effect == "irreversible" } unless { context.approved };'
    )
    await put_policy(kernel, "risky", rule)
    plain = await ask(kernel, me, ("tool.call", "tools/pay"))
    risky = await ask(kernel, me, ("tool.call", "tools/pay"), effect="irreversible")

    assert plain.reviews[0].allowed
    assert plain.reviews[0].effect_matters
    assert risky.reviews[0].reason == resources_pb2.DECISION_REASON_APPROVAL_REQUIRED
    assert risky.reviews[0].summary.endswith("only once a person has approved it, by policies/risky.")


async def test_a_question_that_cannot_be_is_refused_and_says_which(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")

    assert await refused(kernel, me, ("memory.dream", "")) == "INVALID_REQUEST"
    assert await refused(kernel, me, ("memory.read", "Agents/x")) == "INVALID_REQUEST"
    assert await refused(kernel, me) == "INVALID_REQUEST"
    assert await refused(kernel, me, *[("memory.read", "")] * 33) == "INVALID_REQUEST"


async def test_asking_records_no_denial(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    await ask(kernel, me, ("memory.read", "agents/critic/notes/n"))
    await kernel.desk.manager.flush()
    log = await kernel.access.QueryAudit(access_pb2.QueryAuditRequest(), metadata=kernel.admin)

    assert not [entry for entry in log.entries if entry.outcome == resources_pb2.AUDIT_OUTCOME_DENIED]
