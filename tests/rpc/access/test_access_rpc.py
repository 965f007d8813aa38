"""The access manager over a real socket: who may call what, and what travels on the wire."""

import asyncio
import re
from datetime import timedelta

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from aios.api.access.v1 import access_pb2, resources_pb2
from aios.api.agent.v1 import agent_pb2
from services.access.service.agent_keys import key_hash
from services.chassis.auth.authz_client import AccessAuthorizer, PermissionCheck
from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.processes import PROCESSES
from services.chassis.auth.tokens import KeyRing, Revocations, TokenVerifier
from services.chassis.rpc.client import AccessKeySource, KeyCredential, StaticCredential
from services.chassis.rpc.errors import CredentialRevoked, PermissionDenied
from tests.fakes.access_manager import KERNEL_TENANT, SERVICE_KEYS, TENANT
from tests.fakes.access_rpc import SHA, Kernel
from tests.fakes.rpc import reason
from tests.fakes.waiting import until


def check(agent: str, action: str, resource: str = "") -> access_pb2.CheckRequest:
    """Ask about an agent."""
    who = resources_pb2.Principal(
        agent=f"agents/{agent}", tenant=TENANT, kind=resources_pb2.PRINCIPAL_KIND_AGENT
    )
    return access_pb2.CheckRequest(principal=who, action=action, resource=resource)


async def test_an_agent_is_registered_and_uses_its_credentials(kernel: Kernel) -> None:
    me, key = await kernel.register("planner")
    found = await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/me"), metadata=me)
    exchange = access_pb2.IssueTokenRequest(agent_key=access_pb2.AgentKeyCredential(key=key))
    token = await kernel.access.IssueToken(exchange)
    renewed = await kernel.access.IssueToken(
        access_pb2.IssueTokenRequest(renew=access_pb2.RenewCredential(token=token.token))
    )

    assert found.agent.name == "agents/planner"
    assert found.agent.state == agent_pb2.AGENT_STATE_ACTIVE
    assert renewed.principal.agent == "agents/planner"
    assert renewed.token_id != token.token_id


async def test_an_agent_that_ends_by_itself_says_when(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    request = agent_pb2.RegisterAgentRequest(agent_id="helper", ttl=Duration(seconds=90))
    made = (await kernel.agents.RegisterAgent(request, metadata=me)).agent
    found = (await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/me"), metadata=me)).agent

    assert made.expire_time.ToDatetime() - made.create_time.ToDatetime() == timedelta(seconds=90)
    assert not found.HasField("expire_time")


@pytest.mark.parametrize("seconds", [0, -5, 400_000_000])
async def test_a_time_to_live_has_bounds(kernel: Kernel, seconds: int) -> None:
    me, _ = await kernel.register("planner")
    request = agent_pb2.RegisterAgentRequest(agent_id="helper", ttl=Duration(seconds=seconds))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.agents.RegisterAgent(request, metadata=me)

    assert reason(refused.value) == "INVALID_REQUEST"


async def test_a_key_is_kept_as_its_hash_alone(kernel: Kernel) -> None:
    _, key = await kernel.register("planner")
    known = await kernel.desk.store.read(lambda tx: tx.agents.key(key_hash(key)))

    assert known is not None
    assert await kernel.desk.store.read(lambda tx: tx.agents.key(key)) is None


async def test_an_agent_may_not_register_roots_or_others_children(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    await kernel.register("critic")
    child = await kernel.agents.RegisterAgent(agent_pb2.RegisterAgentRequest(agent_id="child"), metadata=me)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.agents.RegisterAgent(
            agent_pb2.RegisterAgentRequest(agent_id="x", parent="agents/critic"), metadata=me
        )

    assert child.agent.parent == "agents/planner"
    assert reason(refused.value) == "PERMISSION_DENIED"


async def test_the_tenant_comes_from_the_credential(kernel: Kernel) -> None:
    await kernel.register("planner")
    stranger = kernel.token("admin", Kind.ADMIN, "globex")
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/planner"), metadata=stranger)

    assert reason(missing.value) == "AGENT_NOT_FOUND"


async def test_permission_is_checked_before_existence(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/ghost"), metadata=me)

    assert reason(refused.value) == "PERMISSION_DENIED"


async def test_an_update_names_its_fields(kernel: Kernel) -> None:
    await kernel.register("planner")
    hints = agent_pb2.SchedulingHints(scheduling_class=agent_pb2.SCHEDULING_CLASS_BATCH, weight=3)
    hints.max_wait.FromTimedelta(timedelta(seconds=2))
    request = agent_pb2.UpdateAgentRequest(
        agent=agent_pb2.Agent(name="agents/planner", hints=hints, display_name="ignored"),
        update_mask=FieldMask(paths=["hints"]),
    )
    changed = await kernel.agents.UpdateAgent(request, metadata=kernel.admin)
    request.update_mask.paths[:] = ["state"]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.agents.UpdateAgent(request, metadata=kernel.admin)

    assert changed.agent.hints == hints
    assert changed.agent.display_name == "planner"
    assert reason(refused.value) == "INVALID_REQUEST"


async def test_a_suspended_agent_is_refused_everywhere_and_resumed(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    name = "agents/planner"
    await kernel.agents.SuspendAgent(
        agent_pb2.SuspendAgentRequest(name=name, reason="loops"), metadata=kernel.admin
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/me"), metadata=me)
    await kernel.agents.ResumeAgent(agent_pb2.ResumeAgentRequest(name=name), metadata=kernel.admin)

    assert reason(refused.value) == "AGENT_INACTIVE"
    assert await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/me"), metadata=me)


async def test_a_killed_agents_token_is_refused_at_once(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    killed = await kernel.agents.KillAgent(
        agent_pb2.KillAgentRequest(name="agents/planner"), metadata=kernel.admin
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/me"), metadata=me)

    assert killed.killed_count == 1
    assert reason(refused.value) == "CREDENTIAL_REVOKED"


async def test_a_revoked_token_is_refused_at_once(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    await kernel.access.RevokeToken(access_pb2.RevokeTokenRequest(), metadata=me)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/me"), metadata=me)

    assert reason(refused.value) == "CREDENTIAL_REVOKED"


@pytest.mark.parametrize("kind", [Kind.AGENT, Kind.ADMIN])
async def test_only_processes_ask_about_others(kernel: Kernel, kind: Kind) -> None:
    await kernel.register("planner")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.Check(check("planner", "memory.read"), metadata=kernel.token("planner", kind))

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_process_asks_one_and_many(kernel: Kernel) -> None:
    await kernel.register("planner")
    own = check("planner", "memory.read", "agents/planner/notes/n")
    other = check("planner", "memory.read", "agents/critic/notes/n")
    one = await kernel.access.Check(own, metadata=kernel.service)
    many = await kernel.access.BatchCheck(
        access_pb2.BatchCheckRequest(checks=[own, other] * 20), metadata=kernel.service
    )

    assert one.decision.allowed
    assert list(one.decision.policies) == ["policies/owner"]
    assert [made.allowed for made in many.decisions] == [True, False] * 20
    assert many.decisions[1].reason == resources_pb2.DECISION_REASON_NOT_PERMITTED


async def test_every_process_verifies_decides_and_follows(kernel: Kernel) -> None:
    """The chassis' own client against the real manager: keys, service token, decisions, revocations."""
    me, _ = await kernel.register("planner")
    token = me[0][1].removeprefix("Bearer ")
    clock = kernel.desk.clock
    revocations = Revocations()
    verifier = TokenVerifier(KeyRing(AccessKeySource(kernel.channel), clock), clock, PROCESSES, revocations)
    credential = KeyCredential(kernel.channel, "memory", SERVICE_KEYS["memory"], clock)
    authorizer = AccessAuthorizer(kernel.channel, credential, clock, revocations=revocations)
    watch = asyncio.create_task(authorizer.watch())
    try:
        holder = await verifier.authenticate(token)
        await authorizer.authorize(PermissionCheck(holder, "memory.write", "agents/planner/notes/n"))
        with pytest.raises(PermissionDenied):
            await authorizer.authorize(PermissionCheck(holder, "memory.write", "agents/critic/notes/n"))
        await until(lambda: authorizer.live)
        await kernel.agents.KillAgent(
            agent_pb2.KillAgentRequest(name="agents/planner"), metadata=kernel.admin
        )
        await until(lambda: revocations.covers(holder))
    finally:
        watch.cancel()

    with pytest.raises(CredentialRevoked):
        await verifier.authenticate(token)


async def test_the_public_keys_verify_the_signed_audit_head(kernel: Kernel) -> None:
    await kernel.register("planner")
    keys = await kernel.access.GetJwks(access_pb2.GetJwksRequest())
    found = await kernel.access.VerifyAudit(access_pb2.VerifyAuditRequest(), metadata=kernel.admin)
    [jwk] = [key for key in keys.keys if key.kid == found.signature_kid]
    public = jwt.algorithms.OKPAlgorithm.from_jwk({"kty": jwk.kty, "crv": jwk.crv, "x": jwk.x})

    assert isinstance(public, Ed25519PublicKey)
    signed = f"aios-audit:{TENANT}:{found.head_sequence}:{found.head_hash}".encode()
    public.verify(found.head_signature, signed)
    assert found.intact


async def test_groups_grants_and_members_travel(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    critic, _ = await kernel.register("critic")
    group = resources_pb2.Group(name="groups/analysts", title="Analysts")
    await kernel.access.CreateGroup(access_pb2.CreateGroupRequest(group=group), metadata=kernel.admin)
    joined = await kernel.access.AddMember(
        access_pb2.AddMemberRequest(group="groups/analysts", member="agents/critic"), metadata=kernel.admin
    )
    grant = resources_pb2.Grant(
        grantee="groups/analysts", resource="agents/me/notes/n", actions=["memory.read"]
    )
    made = await kernel.access.CreateGrant(access_pb2.CreateGrantRequest(grant=grant), metadata=me)
    seen = await kernel.access.ListGrants(access_pb2.ListGrantsRequest(), metadata=critic)
    allowed = await kernel.access.Check(
        check("critic", "memory.read", "agents/planner/notes/n"), metadata=kernel.service
    )

    assert joined.group.member_count == 1
    assert made.grant.resource == "agents/planner/notes/n"
    assert made.grant.creator == "agents/planner"
    assert list(seen.grants) == [made.grant]
    assert allowed.decision.allowed
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.RevokeGrant(access_pb2.RevokeGrantRequest(name=made.grant.name), metadata=critic)
    assert reason(refused.value) == "PERMISSION_DENIED"
    await kernel.access.RevokeGrant(access_pb2.RevokeGrantRequest(name=made.grant.name), metadata=me)
    await kernel.access.RevokeGrant(access_pb2.RevokeGrantRequest(name=made.grant.name), metadata=me)
    listed = await kernel.access.ListMembers(
        access_pb2.ListMembersRequest(group="groups/analysts"), metadata=me
    )
    assert [member.member for member in listed.members] == ["agents/critic"]
    with pytest.raises(grpc.aio.AioRpcError) as forbidden:
        await kernel.access.RemoveMember(
            access_pb2.RemoveMemberRequest(group="groups/analysts", member="agents/critic"), metadata=me
        )
    assert reason(forbidden.value) == "PERMISSION_DENIED"
    await kernel.access.RemoveMember(
        access_pb2.RemoveMemberRequest(group="groups/analysts", member="agents/critic"), metadata=kernel.admin
    )
    groups = await kernel.access.ListGroups(access_pb2.ListGroupsRequest(), metadata=me)
    got = await kernel.access.GetGroup(access_pb2.GetGroupRequest(name="groups/analysts"), metadata=me)
    assert list(groups.groups) == [got.group]
    await kernel.access.DeleteGroup(
        access_pb2.DeleteGroupRequest(name="groups/analysts"), metadata=kernel.admin
    )


async def test_a_policy_is_validated_put_listed_and_deleted(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    text = '@id("stop") forbid(principal is Agent, action == Action::"tool.call", resource);'
    judged = await kernel.access.ValidatePolicy(
        access_pb2.ValidatePolicyRequest(text="permit("), metadata=kernel.admin
    )
    policy = resources_pb2.Policy(name="policies/stop", text=text)
    put = await kernel.access.PutPolicy(
        access_pb2.PutPolicyRequest(policy=policy, request_id="r1"), metadata=kernel.admin
    )
    again = await kernel.access.PutPolicy(
        access_pb2.PutPolicyRequest(policy=policy, request_id="r1"), metadata=kernel.admin
    )
    decided = await kernel.access.Check(check("planner", "tool.call", "tools/t"), metadata=kernel.service)
    listed = await kernel.access.ListPolicies(
        access_pb2.ListPoliciesRequest(page_size=100), metadata=kernel.admin
    )
    got = await kernel.access.GetPolicy(
        access_pb2.GetPolicyRequest(name="policies/owner"), metadata=kernel.admin
    )
    versions = await kernel.access.ListPolicyVersions(
        access_pb2.ListPolicyVersionsRequest(name="policies/stop"), metadata=kernel.admin
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.PutPolicy(access_pb2.PutPolicyRequest(policy=policy), metadata=me)
    await kernel.access.DeletePolicy(
        access_pb2.DeletePolicyRequest(name="policies/stop"), metadata=kernel.admin
    )

    assert not judged.valid
    assert put.policy == again.policy
    assert decided.decision.reason == resources_pb2.DECISION_REASON_FORBIDDEN
    assert list(decided.decision.policies) == ["policies/stop"]
    assert "policies/stop" in [one.name for one in listed.policies]
    assert got.policy.builtin
    assert [one.version for one in versions.policies] == [1]
    assert reason(refused.value) == "PERMISSION_DENIED"


async def test_an_approval_is_asked_for_decided_and_used(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    wanted = resources_pb2.Approval(
        agent="agents/planner", action="tool.call", resource="tools/mail", arguments_sha256=SHA
    )
    asked = await kernel.access.RequestApproval(
        access_pb2.RequestApprovalRequest(tenant=TENANT, approval=wanted), metadata=kernel.service
    )
    name = asked.approval.name
    watch = kernel.access.WatchApprovals(access_pb2.WatchApprovalsRequest(), metadata=kernel.admin)
    first = await watch.read()
    mine = await kernel.access.GetApproval(access_pb2.GetApprovalRequest(name=name), metadata=me)
    decide = access_pb2.DecideApprovalRequest(
        name=name, decision=access_pb2.APPROVAL_DECISION_APPROVE, arguments_sha256=SHA
    )
    with pytest.raises(grpc.aio.AioRpcError) as own:
        await kernel.access.DecideApproval(decide, metadata=me)
    decided = await kernel.access.DecideApproval(decide, metadata=kernel.admin)
    used = await kernel.access.UseApproval(
        access_pb2.UseApprovalRequest(tenant=TENANT, name=name, agent="agents/planner", arguments_sha256=SHA),
        metadata=kernel.service,
    )
    listed = await kernel.access.ListApprovals(
        access_pb2.ListApprovalsRequest(states=[resources_pb2.APPROVAL_STATE_USED]), metadata=me
    )
    watch.cancel()

    assert isinstance(first, access_pb2.WatchApprovalsResponse)
    assert first.approval == mine.approval == asked.approval
    assert reason(own.value) == "PERMISSION_DENIED"
    assert decided.approval.decider == "agents/admin"
    assert list(listed.approvals) == [used.approval]


async def test_another_agents_approval_is_not_seen(kernel: Kernel) -> None:
    await kernel.register("planner")
    critic, _ = await kernel.register("critic")
    wanted = resources_pb2.Approval(
        agent="agents/planner", action="tool.call", resource="tools/mail", arguments_sha256=SHA
    )
    asked = await kernel.access.RequestApproval(
        access_pb2.RequestApprovalRequest(tenant=TENANT, approval=wanted), metadata=kernel.service
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.GetApproval(
            access_pb2.GetApprovalRequest(name=asked.approval.name), metadata=critic
        )

    assert reason(refused.value) == "PERMISSION_DENIED"


async def test_audit_entries_of_other_processes_are_kept_and_found(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    entry = resources_pb2.AuditEntry(
        agent="agents/planner",
        kind=resources_pb2.PRINCIPAL_KIND_AGENT,
        method="/aios.api.storage.v1.StorageService/DeleteFile",
        action="storage.delete",
        resource="agents/planner/files/x",
        outcome=resources_pb2.AUDIT_OUTCOME_OK,
        policies=["policies/owner"],
        arguments_sha256=SHA,
        trace_id="0" * 32,
        approval="approvals/a1",
    )
    appended = await kernel.access.AppendAudit(
        access_pb2.AppendAuditRequest(tenant=TENANT, entries=[entry]), metadata=kernel.service
    )
    found = await kernel.access.QueryAudit(access_pb2.QueryAuditRequest(action="storage.delete"), metadata=me)

    assert appended.last_sequence == 2
    [kept] = found.entries
    for field in entry.DESCRIPTOR.fields:
        if entry.HasField(field.name) if field.has_presence else getattr(entry, field.name):
            assert getattr(kept, field.name) == getattr(entry, field.name)


async def test_agents_are_watched_and_listed(kernel: Kernel) -> None:
    await kernel.register("planner")
    watch = kernel.agents.WatchAgents(agent_pb2.WatchAgentsRequest(), metadata=kernel.admin)
    first = await watch.read()
    await kernel.register("critic")
    second = await watch.read()
    watch.cancel()
    listed = await kernel.agents.ListAgents(agent_pb2.ListAgentsRequest(page_size=1), metadata=kernel.admin)

    assert isinstance(first, agent_pb2.WatchAgentsResponse)
    assert isinstance(second, agent_pb2.WatchAgentsResponse)
    assert (first.agent.name, first.initial) == ("agents/planner", True)
    assert (second.agent.name, second.initial, second.revision) == ("agents/critic", False, 2)
    assert [agent.name for agent in listed.agents] == ["agents/critic"]
    assert listed.next_page_token


async def test_a_watch_that_is_left_frees_its_place(kernel: Kernel) -> None:
    watch = kernel.access.WatchRevision(access_pb2.WatchRevisionRequest(), metadata=kernel.service)
    event = await watch.read()
    assert isinstance(event, access_pb2.WatchRevisionResponse)
    assert kernel.desk.meter.counts["watching revision"] == 1
    watch.cancel()

    await until(lambda: not kernel.desk.meter.counts["watching revision"])


async def test_a_public_method_needs_no_credential_and_others_do(kernel: Kernel) -> None:
    assert await kernel.access.GetJwks(access_pb2.GetJwksRequest())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/me"))

    assert reason(refused.value) == "CREDENTIAL_MISSING"


async def test_a_wrong_service_key_is_refused(kernel: Kernel) -> None:
    wrong = access_pb2.ServiceKeyCredential(service="memory", key="guess")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.IssueToken(access_pb2.IssueTokenRequest(service_key=wrong))

    assert reason(refused.value) == "CREDENTIAL_INVALID"
    assert "guess" not in str(refused.value.details())


async def test_a_malformed_resource_is_an_error_of_the_question(kernel: Kernel) -> None:
    await kernel.register("planner")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.Check(check("planner", "memory.read", "agents//notes"), metadata=kernel.service)

    assert reason(refused.value) == "INVALID_REQUEST"


async def test_the_kernels_administrator_registers_in_any_tenant(kernel: Kernel) -> None:
    root = kernel.token("admin", Kind.ADMIN, KERNEL_TENANT)
    made = await kernel.agents.RegisterAgent(agent_pb2.RegisterAgentRequest(tenant="globex"), metadata=root)

    assert made.agent.tenant == "globex"
    assert re.fullmatch(r"agents/a-[0-9a-f]{12}", made.agent.name)


async def test_a_static_credential_is_enough_for_the_client(kernel: Kernel) -> None:
    credential = StaticCredential(kernel.service[0][1].removeprefix("Bearer "))
    authorizer = AccessAuthorizer(kernel.channel, credential, kernel.desk.clock)
    await kernel.register("planner")
    who = Principal(agent="planner", tenant=TENANT, kind=Kind.AGENT)

    await authorizer.authorize(PermissionCheck(who, "inference.generate", "agents/planner"))
