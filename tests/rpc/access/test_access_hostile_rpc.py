"""What a hostile caller sends: it gets a typed error, and nothing that it may not have."""

from typing import Any

import grpc
import pytest

from aios.api.access.v1 import access_pb2, resources_pb2
from aios.api.agent.v1 import agent_pb2
from tests.fakes.access_manager import TENANT
from tests.fakes.access_rpc import SHA, Kernel
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import metadata_of, reason


async def test_only_who_may_put_policies_may_have_them_checked(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.ValidatePolicy(access_pb2.ValidatePolicyRequest(text="permit("), metadata=me)

    assert reason(refused.value) == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("condition", "bound"),
    [("true" + " && true" * 4999, "operations"), ("(" * 800 + "true" + ")" * 800, "depth")],
)
async def test_a_policy_that_passes_a_bound_is_a_typed_error(
    kernel: Kernel, condition: str, bound: str
) -> None:
    text = f'@id("d") permit(principal, action, resource) when {{ {condition} }};'
    policy = resources_pb2.Policy(name="policies/d", text=text)
    judged = await kernel.access.ValidatePolicy(
        access_pb2.ValidatePolicyRequest(text=text), metadata=kernel.admin
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.PutPolicy(access_pb2.PutPolicyRequest(policy=policy), metadata=kernel.admin)

    assert not judged.valid
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(refused.value) == "POLICY_INVALID"
    assert metadata_of(refused.value)["bound"] == bound


async def test_no_agent_of_the_tree_decides_its_approval(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    await kernel.agents.RegisterAgent(
        agent_pb2.RegisterAgentRequest(agent_id="child", parent="agents/planner"), metadata=me
    )
    wanted = resources_pb2.Approval(
        agent="agents/child", action="tool.call", resource="tools/mail", arguments_sha256=SHA
    )
    asked = await kernel.access.RequestApproval(
        access_pb2.RequestApprovalRequest(tenant=TENANT, approval=wanted), metadata=kernel.service
    )
    decide = access_pb2.DecideApprovalRequest(
        name=asked.approval.name, decision=access_pb2.APPROVAL_DECISION_APPROVE
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await kernel.access.DecideApproval(decide, metadata=me)

    assert reason(refused.value) == "PERMISSION_DENIED"


async def test_a_forged_page_token_is_an_invalid_argument_of_every_list(kernel: Kernel) -> None:
    me, _ = await kernel.register("planner")
    await kernel.register("critic")
    for name in ("a", "b"):
        group = resources_pb2.Group(name=f"groups/{name}")
        await kernel.access.CreateGroup(access_pb2.CreateGroupRequest(group=group), metadata=kernel.admin)
        member = access_pb2.AddMemberRequest(
            group="groups/a", member="agents/" + {"a": "planner"}.get(name, "critic")
        )
        await kernel.access.AddMember(member, metadata=kernel.admin)
        grant = resources_pb2.Grant(
            grantee="agents/critic", resource=f"agents/planner/notes/{name}", actions=["memory.read"]
        )
        await kernel.access.CreateGrant(access_pb2.CreateGrantRequest(grant=grant), metadata=me)
        policy = resources_pb2.Policy(name="policies/p", text=f"// {name}")
        await kernel.access.PutPolicy(access_pb2.PutPolicyRequest(policy=policy), metadata=kernel.admin)
        wanted = resources_pb2.Approval(
            agent="agents/planner", action="tool.call", resource=f"tools/{name}", arguments_sha256=SHA
        )
        await kernel.access.RequestApproval(
            access_pb2.RequestApprovalRequest(tenant=TENANT, approval=wanted), metadata=kernel.service
        )

    lists: list[tuple[Any, Any]] = [
        (kernel.access.ListGroups, access_pb2.ListGroupsRequest()),
        (kernel.access.ListMembers, access_pb2.ListMembersRequest(group="groups/a")),
        (kernel.access.ListGrants, access_pb2.ListGrantsRequest()),
        (kernel.access.ListPolicies, access_pb2.ListPoliciesRequest()),
        (kernel.access.ListPolicyVersions, access_pb2.ListPolicyVersionsRequest(name="policies/p")),
        (kernel.access.ListApprovals, access_pb2.ListApprovalsRequest()),
        (kernel.access.QueryAudit, access_pb2.QueryAuditRequest()),
        (kernel.agents.ListAgents, agent_pb2.ListAgentsRequest()),
    ]
    for method, request in lists:
        await refuses_forgeries(method, request, kernel.admin)
