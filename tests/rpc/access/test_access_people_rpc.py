"""People over a real socket: keys, approvals decided by them alone, whatever agents are given."""

import hashlib
import itertools
from dataclasses import replace

import grpc
import pytest

from aios.api.access.v1 import access_pb2, resources_pb2
from aios.api.agent.v1 import agent_pb2
from services.chassis.auth.authz_client import AccessAuthorizer, PermissionCheck
from services.chassis.auth.identity import Kind, Principal, Scope
from services.chassis.rpc.client import KeyCredential
from services.chassis.rpc.errors import ApprovalRequired, KernelError, PermissionDenied
from services.chassis.rpc.exchange import AccessExchange
from services.tool.adapters.approvals_client import AccessApprovals
from services.tool.core.ledger import canonical, digest
from services.tool.model import Tool, ToolCall
from tests.fakes.access_manager import SERVICE_KEYS, TENANT
from tests.fakes.access_rpc import Kernel, Metadata, bearer
from tests.fakes.rpc import reason

APPROVE = access_pb2.APPROVAL_DECISION_APPROVE


async def person(kernel: Kernel, name: str, *, administrator: bool = False) -> Metadata:
    """Make a person and return how it calls."""
    made = await kernel.access.CreatePerson(
        access_pb2.CreatePersonRequest(person_id=name, administrator=administrator), metadata=kernel.admin
    )
    exchange = access_pb2.IssueTokenRequest(person_key=access_pb2.PersonKeyCredential(key=made.person_key))
    return bearer((await kernel.access.IssueToken(exchange)).token)


async def asked(kernel: Kernel, agent: str, arguments: str) -> resources_pb2.Approval:
    """Ask for an approval as the tool manager does."""
    wanted = resources_pb2.Approval(
        agent=f"agents/{agent}",
        action="tool.call",
        resource="tools/pay",
        arguments_sha256=hashlib.sha256(arguments.encode()).hexdigest(),
        resource_version="v1",
    )
    request = access_pb2.RequestApprovalRequest(
        tenant="acme", approval=wanted, arguments=arguments, description="Pay: pays \x1b[2J"
    )
    return (await kernel.access.RequestApproval(request, metadata=kernel.service)).approval


async def test_a_person_looks_at_all_of_a_long_call_and_approves_it(kernel: Kernel) -> None:
    await kernel.register("planner")
    amy = await person(kernel, "amy")
    arguments = '{"aa":"please approve' + " " * 17_000 + '","to":"mal"}'
    approval = await asked(kernel, "planner", arguments)
    shown = await kernel.access.GetApproval(access_pb2.GetApprovalRequest(name=approval.name), metadata=amy)
    part = await kernel.access.GetApprovalArguments(
        access_pb2.GetApprovalArgumentsRequest(name=approval.name, offset=17_000), metadata=amy
    )
    decide = access_pb2.DecideApprovalRequest(name=approval.name, decision=APPROVE)
    with pytest.raises(grpc.aio.AioRpcError) as unseen:
        await kernel.access.DecideApproval(decide, metadata=amy)
    decide.arguments_sha256 = approval.arguments_sha256
    decided = await kernel.access.DecideApproval(decide, metadata=amy)

    assert shown.approval.preview_truncated
    assert shown.approval.summary == "Pay: pays \\u001b[2J"
    assert part.content.decode() == arguments[17_000:]
    assert reason(unseen.value) == "INVALID_REQUEST"
    assert decided.approval.state == resources_pb2.APPROVAL_STATE_APPROVED
    [vote] = decided.approval.votes
    assert (vote.decider, vote.kind) == ("agents/amy", resources_pb2.PRINCIPAL_KIND_PERSON)


async def test_persons_are_made_by_administrators_over_the_wire(kernel: Kernel) -> None:
    amy = await person(kernel, "amy")
    boss = await person(kernel, "boss", administrator=True)
    rule = resources_pb2.ApprovalRule(name="approvalRules/pay", resource="tools/pay", deciders=2)
    await kernel.access.PutApprovalRule(access_pb2.PutApprovalRuleRequest(rule=rule), metadata=boss)
    rules = await kernel.access.ListApprovalRules(access_pb2.ListApprovalRulesRequest(), metadata=boss)
    listed = await kernel.access.ListPersons(access_pb2.ListPersonsRequest(), metadata=boss)
    name = access_pb2.GetPersonRequest(name="persons/amy")
    found = await kernel.access.GetPerson(name, metadata=boss)
    again = await kernel.access.IssuePersonKey(
        access_pb2.IssuePersonKeyRequest(name="persons/amy"), metadata=boss
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.GetPerson(name, metadata=amy)
    with pytest.raises(grpc.aio.AioRpcError) as last:
        await kernel.access.DisablePerson(access_pb2.DisablePersonRequest(name="persons/boss"), metadata=boss)
    await kernel.access.DisablePerson(access_pb2.DisablePersonRequest(name="persons/amy"), metadata=boss)
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await kernel.access.ListApprovals(access_pb2.ListApprovalsRequest(), metadata=amy)
    await kernel.access.EnablePerson(access_pb2.EnablePersonRequest(name="persons/amy"), metadata=boss)
    await kernel.access.RevokePersonKey(access_pb2.RevokePersonKeyRequest(name="persons/amy"), metadata=boss)
    await kernel.access.DeleteApprovalRule(
        access_pb2.DeleteApprovalRuleRequest(name="approvalRules/pay"), metadata=boss
    )

    assert [one.deciders for one in rules.rules] == [2]
    assert [one.name for one in listed.persons] == ["persons/amy", "persons/boss"]
    assert found.person.has_key
    assert again.person_key.startswith("aiosp_")
    assert reason(refused.value) == "PERMISSION_DENIED"
    assert reason(last.value) == "LAST_ADMINISTRATOR"
    assert reason(ended.value) == "CREDENTIAL_REVOKED"


async def test_a_person_stops_an_agent_and_uses_nothing_of_it(kernel: Kernel) -> None:
    await kernel.register("planner")
    amy = await person(kernel, "amy")
    await kernel.agents.KillAgent(agent_pb2.KillAgentRequest(name="agents/planner"), metadata=amy)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.agents.RegisterAgent(agent_pb2.RegisterAgentRequest(agent_id="x"), metadata=amy)

    assert reason(refused.value) == "PERMISSION_DENIED"


async def test_the_other_processes_ask_about_a_person(kernel: Kernel) -> None:
    await kernel.register("planner")
    await person(kernel, "amy")
    clock = kernel.desk.clock
    credential = KeyCredential(kernel.channel, "memory", SERVICE_KEYS["memory"], clock)
    authorizer = AccessAuthorizer(kernel.channel, credential, clock)
    amy = Principal(agent="amy", tenant=TENANT, kind=Kind.PERSON)
    await authorizer.authorize(PermissionCheck(amy, "agent.read", "agents/planner"))
    with pytest.raises(PermissionDenied):
        await authorizer.authorize(PermissionCheck(amy, "memory.read", "agents/planner/notes/n"))


async def test_no_agent_decides_with_whatever_agents_can_give_one_another(kernel: Kernel) -> None:
    """Grants, groups, a permit of everything, policies that agents put, children in other trees."""
    me, _ = await kernel.register("mal")
    await kernel.register("other")
    child = bearer(
        (
            await kernel.agents.RegisterAgent(agent_pb2.RegisterAgentRequest(agent_id="child"), metadata=me)
        ).credential.token
    )
    door = resources_pb2.Policy(name="policies/door", text='@id("door") permit(principal, action, resource);')
    await kernel.access.PutPolicy(access_pb2.PutPolicyRequest(policy=door), metadata=kernel.admin)
    group = access_pb2.CreateGroupRequest(group=resources_pb2.Group(name="groups/deciders"))
    await kernel.access.CreateGroup(group, metadata=me)
    for who in ("mal", "other", "child"):
        await kernel.access.AddMember(
            access_pb2.AddMemberRequest(group="groups/deciders", member=f"agents/{who}"), metadata=me
        )
    rule = 'permit(principal == Agent::"%s", action == Action::"access.approve", resource);'
    texts = [f'@id("p{n}") ' + rule % who for n, who in enumerate(("mal", "other", "child"))]
    own = resources_pb2.Policy(name="policies/own", text="\n".join(texts))
    await kernel.access.PutPolicy(access_pb2.PutPolicyRequest(policy=own), metadata=me)
    in_other_tree = bearer(
        (
            await kernel.agents.RegisterAgent(
                agent_pb2.RegisterAgentRequest(agent_id="cuckoo", parent="agents/other"), metadata=me
            )
        ).credential.token
    )
    other = kernel.token("other", Kind.AGENT)
    approval = await asked(kernel, "child", '{"to":"mal"}')
    decide = access_pb2.DecideApprovalRequest(
        name=approval.name, decision=APPROVE, arguments_sha256=approval.arguments_sha256
    )
    for (grantee, prefix), giver in itertools.product(
        (("agents/other", False), ("groups/deciders", True)), (me, other, kernel.admin)
    ):
        grant = resources_pb2.Grant(
            grantee=grantee,
            resource="approvals/" if prefix else approval.name,
            prefix=prefix,
            actions=["access.approve"],
        )
        with pytest.raises(grpc.aio.AioRpcError):
            await kernel.access.CreateGrant(access_pb2.CreateGrantRequest(grant=grant), metadata=giver)
    for caller in (me, other, child, in_other_tree, kernel.service):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await kernel.access.DecideApproval(decide, metadata=caller)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(grpc.aio.AioRpcError):
            await kernel.access.CreatePerson(access_pb2.CreatePersonRequest(person_id="p"), metadata=caller)
    amy = await person(kernel, "amy")
    assert (await kernel.access.DecideApproval(decide, metadata=amy)).approval.decider == "agents/amy"


async def test_the_tool_manager_asks_with_all_it_has_for_the_tool_as_it_is(kernel: Kernel) -> None:
    await kernel.register("planner")
    clock = kernel.desk.clock
    credential = KeyCredential(kernel.channel, "tool", SERVICE_KEYS["tool"], clock)
    manager = AccessApprovals(kernel.channel, credential, AccessExchange(kernel.channel, credential, clock))
    tool = Tool(id="pay", title="Pay", description="Pays.\nHidden below.", owner="planner")
    text = canonical({"aa": "x" * 20_000, "to": "mal"})
    now = clock.now()
    call = ToolCall(id="c", tool="pay", arguments_sha256=digest(text), effect=tool.effect, created_at=now)
    scope = Scope(TENANT, "planner")
    asked_for = await manager.ask(scope, tool, call, text)
    name = f"approvals/{asked_for.id}"
    shown = await kernel.access.GetApproval(access_pb2.GetApprovalRequest(name=name), metadata=kernel.admin)
    decide = access_pb2.DecideApprovalRequest(
        name=name, decision=APPROVE, arguments_sha256=call.arguments_sha256
    )
    await kernel.access.DecideApproval(decide, metadata=kernel.admin)

    assert shown.approval.arguments_bytes == len(text)
    assert shown.approval.arguments_preview.endswith('"to":"mal"}')
    assert shown.approval.summary == "Pay: Pays.\\nHidden below."
    with pytest.raises(KernelError) as other:
        await manager.consume(scope, asked_for.id, call, replace(tool, version=2))
    assert other.value.reason == ApprovalRequired.reason
    await manager.consume(scope, asked_for.id, call, tool)
