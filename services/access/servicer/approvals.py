"""The methods of AccessService about approvals."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Final

from aios.api.access.v1 import access_pb2
from services.access.service.facade import AccessManager
from services.access.wire import access
from services.access.wire import approvals as wire
from services.chassis.auth.identity import current_caller

_APPROVAL_LIFE: Final = timedelta(hours=1)
_PART: Final = 65_536


class ApprovalMethods:
    """Ask for approvals, look at them, decide them, spend them."""

    def __init__(self, manager: AccessManager) -> None:
        self._manager = manager

    async def RequestApproval(
        self, request: access_pb2.RequestApprovalRequest, _context: object
    ) -> access_pb2.RequestApprovalResponse:
        asked = access.asked("RequestApproval", request)
        lifetime = access.duration(request, "lifetime") or _APPROVAL_LIFE
        wanted = wire.wanted_approval(request)
        approval = await self._manager.approvals.request(
            current_caller(),
            wanted,
            lifetime,
            asked,
            arguments=request.arguments,
            description=request.description,
        )
        return access_pb2.RequestApprovalResponse(approval=wire.approval(approval, current_caller()))

    async def UseApproval(
        self, request: access_pb2.UseApprovalRequest, _context: object
    ) -> access_pb2.UseApprovalResponse:
        approval = await self._manager.approvals.use(
            current_caller(),
            request.tenant,
            request.name,
            agent=request.agent.removeprefix("agents/"),
            arguments_sha256=request.arguments_sha256,
            asked=access.asked("UseApproval", request),
            resource_version=request.resource_version,
        )
        return access_pb2.UseApprovalResponse(approval=wire.approval(approval, current_caller()))

    async def GetApproval(
        self, request: access_pb2.GetApprovalRequest, _context: object
    ) -> access_pb2.GetApprovalResponse:
        approval = await self._manager.approvals.get(current_caller(), request.name)
        return access_pb2.GetApprovalResponse(approval=wire.approval(approval, current_caller()))

    async def ListApprovals(
        self, request: access_pb2.ListApprovalsRequest, _context: object
    ) -> access_pb2.ListApprovalsResponse:
        page, token = await self._manager.approvals.page(
            current_caller(),
            agent=request.agent,
            states=wire.states(request.states),
            size=request.page_size,
            token=request.page_token,
        )
        approvals = [wire.approval(approval, current_caller()) for approval in page]
        return access_pb2.ListApprovalsResponse(approvals=approvals, next_page_token=token)

    async def WatchApprovals(
        self, request: access_pb2.WatchApprovalsRequest, _context: object
    ) -> AsyncIterator[access_pb2.WatchApprovalsResponse]:
        async with aclosing(self._manager.approvals.watch(current_caller(), request.agent)) as events:
            async for approval in events:
                found = wire.approval(approval, current_caller()) if approval else None
                yield access_pb2.WatchApprovalsResponse(approval=found)

    async def DecideApproval(
        self, request: access_pb2.DecideApprovalRequest, _context: object
    ) -> access_pb2.DecideApprovalResponse:
        approval = await self._manager.approvals.decide(
            current_caller(),
            request.name,
            approve=request.decision == access_pb2.APPROVAL_DECISION_APPROVE,
            comment=request.comment,
            arguments_sha256=request.arguments_sha256,
            asked=access.asked("DecideApproval", request),
        )
        return access_pb2.DecideApprovalResponse(approval=wire.approval(approval, current_caller()))

    async def GetApprovalArguments(
        self, request: access_pb2.GetApprovalArgumentsRequest, _context: object
    ) -> access_pb2.GetApprovalArgumentsResponse:
        part = await self._manager.approvals.arguments(
            current_caller(), request.name, request.offset, request.max_bytes or _PART
        )
        return wire.arguments_part(part, current_caller())
