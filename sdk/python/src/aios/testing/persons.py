"""Persons and approval rules of a fake kernel."""

import itertools

from aios.api.access.v1 import access_pb2 as pb
from aios.api.access.v1 import resources_pb2 as res
from aios.errors import AlreadyExists, NotFound, PermissionDenied
from aios.testing.agents import FakeAgents
from aios.testing.caller import ADMIN, Caller


class FakePersons(FakeAgents):
    """Adds persons with keys to the agents. Rules are kept, not enforced."""

    def __init__(self, token_life: float) -> None:
        super().__init__(token_life)
        self._persons: dict[str, res.Person] = {}
        self._rules: dict[str, res.ApprovalRule] = {}
        self._person_keys = itertools.count(1)

    def is_human(self, caller: Caller) -> bool:
        """Tell whether a caller is the administrator or an active person."""
        person = self._persons.get(f"persons/{caller.agent}")
        return caller.agent == ADMIN or (person is not None and person.state == res.PERSON_STATE_ACTIVE)

    def kind_of(self, caller: Caller) -> res.PrincipalKind:
        """Return what sort of principal a caller is."""
        person = self._persons.get(f"persons/{caller.agent}")
        if caller.agent == ADMIN or (person is not None and person.administrator):
            return res.PRINCIPAL_KIND_ADMIN
        return res.PRINCIPAL_KIND_AGENT if person is None else res.PRINCIPAL_KIND_PERSON

    async def create_person(self, request: pb.CreatePersonRequest, caller: Caller) -> pb.CreatePersonResponse:
        """CreatePerson."""
        self._administers(caller)
        name = f"persons/{request.person_id}"
        if name in self._persons or f"agents/{request.person_id}" in self._agents:
            raise AlreadyExists(f"{request.person_id} is taken")
        person = res.Person(
            name=name,
            tenant=request.tenant or "default",
            display_name=request.display_name or request.person_id,
            administrator=request.administrator,
            state=res.PERSON_STATE_ACTIVE,
            creator=f"agents/{caller.agent}",
        )
        self._persons[name] = person
        return pb.CreatePersonResponse(person=person, person_key=self._new_key(person))

    async def get_person(self, request: pb.GetPersonRequest, caller: Caller) -> pb.GetPersonResponse:
        """GetPerson."""
        return pb.GetPersonResponse(person=self._person(request.name, caller))

    async def list_persons(self, request: pb.ListPersonsRequest, caller: Caller) -> pb.ListPersonsResponse:
        """ListPersons, in one page."""
        del request
        self._administers(caller)
        return pb.ListPersonsResponse(persons=[self._persons[name] for name in sorted(self._persons)])

    async def disable_person(
        self, request: pb.DisablePersonRequest, caller: Caller
    ) -> pb.DisablePersonResponse:
        """DisablePerson."""
        person = self._without_key(request.name, caller)
        person.state = res.PERSON_STATE_DISABLED
        return pb.DisablePersonResponse(person=person)

    async def enable_person(self, request: pb.EnablePersonRequest, caller: Caller) -> pb.EnablePersonResponse:
        """EnablePerson."""
        person = self._person(request.name, caller)
        person.state = res.PERSON_STATE_ACTIVE
        return pb.EnablePersonResponse(person=person)

    async def issue_person_key(
        self, request: pb.IssuePersonKeyRequest, caller: Caller
    ) -> pb.IssuePersonKeyResponse:
        """IssuePersonKey."""
        person = self._without_key(request.name, caller)
        return pb.IssuePersonKeyResponse(person=person, person_key=self._new_key(person))

    async def revoke_person_key(
        self, request: pb.RevokePersonKeyRequest, caller: Caller
    ) -> pb.RevokePersonKeyResponse:
        """RevokePersonKey."""
        return pb.RevokePersonKeyResponse(person=self._without_key(request.name, caller))

    async def put_approval_rule(
        self, request: pb.PutApprovalRuleRequest, caller: Caller
    ) -> pb.PutApprovalRuleResponse:
        """PutApprovalRule: kept, not enforced."""
        self._administers(caller)
        self._rules[request.rule.name] = request.rule
        return pb.PutApprovalRuleResponse(rule=request.rule)

    async def list_approval_rules(
        self, request: pb.ListApprovalRulesRequest, caller: Caller
    ) -> pb.ListApprovalRulesResponse:
        """ListApprovalRules, in one page."""
        del request
        self._administers(caller)
        return pb.ListApprovalRulesResponse(rules=[self._rules[name] for name in sorted(self._rules)])

    async def delete_approval_rule(
        self, request: pb.DeleteApprovalRuleRequest, caller: Caller
    ) -> pb.DeleteApprovalRuleResponse:
        """DeleteApprovalRule."""
        self._administers(caller)
        if self._rules.pop(request.name, None) is None:
            raise NotFound(f"no {request.name}", reason="RULE_NOT_FOUND")
        return pb.DeleteApprovalRuleResponse()

    def _administers(self, caller: Caller) -> None:
        if self.kind_of(caller) != res.PRINCIPAL_KIND_ADMIN:
            raise PermissionDenied(f"agents/{caller.agent} is no administrator")

    def _person(self, name: str, caller: Caller) -> res.Person:
        self._administers(caller)
        if name not in self._persons:
            raise NotFound(f"no {name}", reason="PERSON_NOT_FOUND")
        return self._persons[name]

    def _without_key(self, name: str, caller: Caller) -> res.Person:
        person = self._person(name, caller)
        who = name.removeprefix("persons/")
        self._keys = {key: owner for key, owner in self._keys.items() if owner != who}
        self._tokens = {token: owner for token, owner in self._tokens.items() if owner[0] != who}
        person.has_key = False
        return person

    def _new_key(self, person: res.Person) -> str:
        who = person.name.removeprefix("persons/")
        key = f"fake-person-key-{who}-{next(self._person_keys)}"
        self._keys[key] = who
        person.has_key = True
        return key
