"""The methods of AccessService for those who ask about rights."""

from aios.api.access.v1 import access_pb2
from services.access.service.facade import AccessManager
from services.access.wire import access
from services.chassis.auth.identity import current_caller


class ReviewMethods:
    """Tell who calls, and what somebody may do."""

    def __init__(self, manager: AccessManager) -> None:
        self._manager = manager

    async def WhoAmI(self, _request: access_pb2.WhoAmIRequest, _context: object) -> access_pb2.WhoAmIResponse:
        return access.identity(await self._manager.reviews.identity(current_caller()))

    async def ReviewAccess(
        self, request: access_pb2.ReviewAccessRequest, _context: object
    ) -> access_pb2.ReviewAccessResponse:
        questions = [access.question(each) for each in request.questions]
        found = await self._manager.reviews.review(current_caller(), request.subject, questions)
        return access.reviewed(found)
