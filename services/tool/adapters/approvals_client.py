"""The Approvals port on the access manager."""

import hashlib
from datetime import UTC
from typing import Final

import grpc

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from services.chassis.auth.identity import Scope, current_caller
from services.chassis.auth.processes import ACCESS
from services.chassis.rpc import names
from services.chassis.rpc.client import ServiceCredential
from services.chassis.rpc.errors import ApprovalRequired
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.status import peer_error
from services.tool.core.ledger import definition
from services.tool.model import Approval, Tool, ToolCall

_ACTION: Final = "tool.call"
_SECONDS: Final = 5.0
_OPEN: Final = frozenset({resources_pb2.APPROVAL_STATE_PENDING, resources_pb2.APPROVAL_STATE_APPROVED})


class AccessApprovals:
    """Asks for and spends approvals as a process of the kernel, and looks at them as their agent."""

    def __init__(
        self, channel: grpc.aio.Channel, credential: ServiceCredential, exchange: TokenExchange
    ) -> None:
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        self._credential = credential
        self._exchange = exchange

    async def ask(self, scope: Scope, tool: Tool, call: ToolCall, arguments_json: str) -> Approval:
        """Ask for an approval of a call, or return the open one of an equal call."""
        wanted = resources_pb2.Approval(
            agent=names.agent_name(scope.agent),
            action=_ACTION,
            resource=f"tools/{tool.id}",
            arguments_sha256=call.arguments_sha256,
            syscall_id=call.syscall_id,
            resource_version=definition(tool),
        )
        request = access_pb2.RequestApprovalRequest(
            tenant=scope.tenant,
            approval=wanted,
            arguments=arguments_json,
            description=f"{tool.title or tool.id}: {tool.description}",
        )
        try:
            response = await self._stub.RequestApproval(
                request, metadata=await self._credential.metadata(), timeout=_SECONDS
            )
        except grpc.aio.AioRpcError as failure:
            raise peer_error(failure) from failure
        return approval(response.approval)

    async def poll(self, approval_id: str) -> Approval:
        """Return the calling agent's approval. Raises ApprovalRequired when it was rejected or is over."""
        metadata = await self._exchange.metadata(current_caller(), ACCESS)
        try:
            response = await self._stub.GetApproval(
                access_pb2.GetApprovalRequest(name=f"approvals/{approval_id}"),
                metadata=metadata,
                timeout=_SECONDS,
            )
        except grpc.aio.AioRpcError as failure:
            raise peer_error(failure) from failure
        return approval(response.approval)

    async def consume(self, scope: Scope, approval_id: str, call: ToolCall, tool: Tool) -> None:
        """Use an approval for a call of a tool as it is now.

        Raises ApprovalRequired when it is not for that call and that tool, or not given.
        """
        # Ids of calls are an agent's own; the request's must be unique among all that this process sends.
        unique = f"{scope.tenant}/{scope.agent}/{call.id}/{approval_id}"
        request = access_pb2.UseApprovalRequest(
            tenant=scope.tenant,
            name=f"approvals/{approval_id}",
            agent=names.agent_name(scope.agent),
            arguments_sha256=call.arguments_sha256,
            resource_version=definition(tool),
            request_id=hashlib.sha256(unique.encode()).hexdigest()[:32],
        )
        try:
            await self._stub.UseApproval(
                request, metadata=await self._credential.metadata(), timeout=_SECONDS
            )
        except grpc.aio.AioRpcError as failure:
            raise peer_error(failure) from failure


def approval(found: resources_pb2.Approval) -> Approval:
    """Read an approval. Raises ApprovalRequired when it was rejected or is over."""
    if found.state not in _OPEN:
        state = resources_pb2.ApprovalState.Name(found.state).removeprefix("APPROVAL_STATE_").lower()
        raise ApprovalRequired(f"{found.name} is {state}", metadata={"approval": found.name, "state": state})
    return Approval(
        found.name.removeprefix("approvals/"),
        found.state == resources_pb2.APPROVAL_STATE_APPROVED,
        found.expire_time.ToDatetime(UTC),
    )
