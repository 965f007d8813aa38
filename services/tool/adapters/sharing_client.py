"""The SharingApprovals port on the access manager."""

import hashlib
from datetime import timedelta
from typing import Any, Final

import grpc

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from services.chassis.auth.identity import Scope
from services.chassis.rpc import names
from services.chassis.rpc.client import ServiceCredential
from services.chassis.rpc.status import peer_error
from services.chassis.rpc.wire import duration
from services.tool.adapters.approvals_client import approval
from services.tool.core.making import SharingRequest
from services.tool.model import Approval

SHARE: Final = "tool.share"
"""What is approved; access lets people alone decide it."""
LIFETIME: Final = timedelta(days=7)
"""How long a person has to look at a tool that is to be shared."""
_SECONDS: Final = 10.0


class AccessSharing:
    """Asks for and uses approvals of tools that agents share, as a process of the kernel."""

    def __init__(self, channel: grpc.aio.Channel, credential: ServiceCredential) -> None:
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        self._credential = credential

    async def ask(self, scope: Scope, request: SharingRequest) -> Approval:
        """Ask for an approval, or return the open one of an equal request."""
        wanted = resources_pb2.Approval(
            agent=names.agent_name(scope.agent),
            action=SHARE,
            resource=f"tools/{request.tool}",
            arguments_sha256=request.shown_sha256,
            resource_version=request.sha256,
        )
        message = access_pb2.RequestApprovalRequest(
            tenant=scope.tenant,
            approval=wanted,
            lifetime=duration(LIFETIME.total_seconds()),
            arguments=request.shown,
            description=request.description,
        )
        response = await self._call(self._stub.RequestApproval, message)
        return approval(response.approval)

    async def consume(self, scope: Scope, approval_id: str, *, sha256: str, shown_sha256: str) -> None:
        """Use an approval of exactly this; a repeat of it succeeds for a day."""
        unique = f"{SHARE}/{scope.tenant}/{scope.agent}/{approval_id}/{sha256}"
        message = access_pb2.UseApprovalRequest(
            tenant=scope.tenant,
            name=f"approvals/{approval_id}",
            agent=names.agent_name(scope.agent),
            arguments_sha256=shown_sha256,
            resource_version=sha256,
            request_id=hashlib.sha256(unique.encode()).hexdigest()[:32],
        )
        await self._call(self._stub.UseApproval, message)

    async def _call(self, method: Any, message: Any) -> Any:
        try:
            return await method(message, metadata=await self._credential.metadata(), timeout=_SECONDS)
        except grpc.aio.AioRpcError as failure:
            raise peer_error(failure) from failure
