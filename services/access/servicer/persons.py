"""The methods of AccessService about persons, and about how many of them must approve."""

from aios.api.access.v1 import access_pb2
from services.access.service.facade import AccessManager
from services.access.wire import access
from services.access.wire import approvals as wire
from services.chassis.auth.identity import current_caller


class PersonMethods:
    """Make persons, steer them, and put approval rules."""

    def __init__(self, manager: AccessManager) -> None:
        self._manager = manager

    async def CreatePerson(
        self, request: access_pb2.CreatePersonRequest, _context: object
    ) -> access_pb2.CreatePersonResponse:
        asked = access.asked("CreatePerson", request)
        made = await self._manager.persons.create(current_caller(), wire.new_person(request), asked)
        return access_pb2.CreatePersonResponse(person=wire.person(made.person), person_key=made.key)

    async def GetPerson(
        self, request: access_pb2.GetPersonRequest, _context: object
    ) -> access_pb2.GetPersonResponse:
        person = await self._manager.persons.get(current_caller(), request.name, request.tenant)
        return access_pb2.GetPersonResponse(person=wire.person(person))

    async def ListPersons(
        self, request: access_pb2.ListPersonsRequest, _context: object
    ) -> access_pb2.ListPersonsResponse:
        page, token = await self._manager.persons.page(
            current_caller(), request.tenant, request.page_size, request.page_token
        )
        persons = [wire.person(one) for one in page]
        return access_pb2.ListPersonsResponse(persons=persons, next_page_token=token)

    async def DisablePerson(
        self, request: access_pb2.DisablePersonRequest, _context: object
    ) -> access_pb2.DisablePersonResponse:
        asked = access.asked("DisablePerson", request)
        person = await self._manager.persons.disable(current_caller(), request.name, request.tenant, asked)
        return access_pb2.DisablePersonResponse(person=wire.person(person))

    async def EnablePerson(
        self, request: access_pb2.EnablePersonRequest, _context: object
    ) -> access_pb2.EnablePersonResponse:
        asked = access.asked("EnablePerson", request)
        person = await self._manager.persons.enable(current_caller(), request.name, request.tenant, asked)
        return access_pb2.EnablePersonResponse(person=wire.person(person))

    async def RevokePersonKey(
        self, request: access_pb2.RevokePersonKeyRequest, _context: object
    ) -> access_pb2.RevokePersonKeyResponse:
        asked = access.asked("RevokePersonKey", request)
        person = await self._manager.persons.revoke_key(current_caller(), request.name, request.tenant, asked)
        return access_pb2.RevokePersonKeyResponse(person=wire.person(person))

    async def IssuePersonKey(
        self, request: access_pb2.IssuePersonKeyRequest, _context: object
    ) -> access_pb2.IssuePersonKeyResponse:
        asked = access.asked("IssuePersonKey", request)
        made = await self._manager.persons.issue_key(current_caller(), request.name, request.tenant, asked)
        return access_pb2.IssuePersonKeyResponse(person=wire.person(made.person), person_key=made.key)

    async def PutApprovalRule(
        self, request: access_pb2.PutApprovalRuleRequest, _context: object
    ) -> access_pb2.PutApprovalRuleResponse:
        asked = access.asked("PutApprovalRule", request)
        rule = await self._manager.persons.put_rule(current_caller(), wire.new_rule(request.rule), asked)
        return access_pb2.PutApprovalRuleResponse(rule=wire.rule(rule))

    async def ListApprovalRules(
        self, request: access_pb2.ListApprovalRulesRequest, _context: object
    ) -> access_pb2.ListApprovalRulesResponse:
        page, token = await self._manager.persons.rules(
            current_caller(), request.page_size, request.page_token
        )
        rules = [wire.rule(one) for one in page]
        return access_pb2.ListApprovalRulesResponse(rules=rules, next_page_token=token)

    async def DeleteApprovalRule(
        self, request: access_pb2.DeleteApprovalRuleRequest, _context: object
    ) -> access_pb2.DeleteApprovalRuleResponse:
        asked = access.asked("DeleteApprovalRule", request)
        await self._manager.persons.drop_rule(current_caller(), request.name, asked)
        return access_pb2.DeleteApprovalRuleResponse()
