"""AccessService over gRPC. The pipeline has authenticated, authorised and validated every request."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Final

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from services.access.service.facade import AccessManager
from services.access.servicer.approvals import ApprovalMethods
from services.access.servicer.persons import PersonMethods
from services.access.servicer.reviews import ReviewMethods
from services.access.wire import access
from services.chassis.auth.identity import current_caller
from services.chassis.auth.processes import ACCESS
from services.chassis.rpc.wire import quota_usage
from services.chassis.shares import Openings

_HEARTBEAT: Final = timedelta(seconds=5)


class AccessServicer(ApprovalMethods, PersonMethods, ReviewMethods, access_pb2_grpc.AccessServiceServicer):
    """Implements aios.api.access.v1.AccessService. The proto says what each method promises."""

    def __init__(self, manager: AccessManager, openings: Openings | None = None) -> None:
        super().__init__(manager)
        self._openings = openings
        self._manager = manager

    async def Check(self, request: access_pb2.CheckRequest, _context: object) -> access_pb2.CheckResponse:
        caller = current_caller()
        check = self._manager.checks.may_name(caller, access.check(request, caller))
        decision = await self._manager.checks.check(check)
        return access_pb2.CheckResponse(decision=access.decision(decision))

    async def BatchCheck(
        self, request: access_pb2.BatchCheckRequest, _context: object
    ) -> access_pb2.BatchCheckResponse:
        caller, service = current_caller(), self._manager.checks
        checks = [service.may_name(caller, access.check(one, caller)) for one in request.checks]
        decisions = [access.decision(made) for made in await service.batch(checks)]
        return access_pb2.BatchCheckResponse(decisions=decisions)

    async def WatchRevision(
        self, request: access_pb2.WatchRevisionRequest, _context: object
    ) -> AsyncIterator[access_pb2.WatchRevisionResponse]:
        heartbeat = access.duration(request, "heartbeat") or _HEARTBEAT
        watch = self._manager.checks.watch(heartbeat.total_seconds(), request.watcher)
        async with aclosing(watch) as events:
            async for event in events:
                yield access.revision(event)

    async def ConfirmRevision(
        self, request: access_pb2.ConfirmRevisionRequest, _context: object
    ) -> access_pb2.ConfirmRevisionResponse:
        """Note how far a watcher is."""
        self._manager.checks.confirm(request.watcher, request.revision)
        return access_pb2.ConfirmRevisionResponse()

    async def MarkUntrusted(
        self, request: access_pb2.MarkUntrustedRequest, _context: object
    ) -> access_pb2.MarkUntrustedResponse:
        caller, agent = current_caller(), request.agent.removeprefix("agents/")
        revision = await self._manager.marks.mark(caller, request.tenant, agent, request.source)
        return access_pb2.MarkUntrustedResponse(revision=revision)

    async def GetUsage(
        self, _request: access_pb2.GetUsageRequest, _context: object
    ) -> access_pb2.GetUsageResponse:
        caller = current_caller()
        return access_pb2.GetUsageResponse(
            quotas=quota_usage(await self._manager.agents.usage(caller), caller, self._openings)
        )

    async def CreateGroup(
        self, request: access_pb2.CreateGroupRequest, _context: object
    ) -> access_pb2.CreateGroupResponse:
        new, asked = request.group, access.asked("CreateGroup", request)
        group = await self._manager.groups.create(
            current_caller(), new.name, title=new.title, description=new.description, asked=asked
        )
        return access_pb2.CreateGroupResponse(group=access.group(group))

    async def GetGroup(
        self, request: access_pb2.GetGroupRequest, _context: object
    ) -> access_pb2.GetGroupResponse:
        group = await self._manager.groups.get(current_caller(), request.name)
        return access_pb2.GetGroupResponse(group=access.group(group))

    async def ListGroups(
        self, request: access_pb2.ListGroupsRequest, _context: object
    ) -> access_pb2.ListGroupsResponse:
        page, token = await self._manager.groups.page(
            current_caller(), request.member, request.page_size, request.page_token
        )
        groups = [access.group(group) for group in page]
        return access_pb2.ListGroupsResponse(groups=groups, next_page_token=token)

    async def DeleteGroup(
        self, request: access_pb2.DeleteGroupRequest, _context: object
    ) -> access_pb2.DeleteGroupResponse:
        asked = access.asked("DeleteGroup", request)
        await self._manager.groups.delete(current_caller(), request.name, request.etag, asked)
        return access_pb2.DeleteGroupResponse()

    async def AddMember(
        self, request: access_pb2.AddMemberRequest, _context: object
    ) -> access_pb2.AddMemberResponse:
        asked = access.asked("AddMember", request)
        group = await self._manager.groups.add_member(current_caller(), request.group, request.member, asked)
        return access_pb2.AddMemberResponse(group=access.group(group))

    async def RemoveMember(
        self, request: access_pb2.RemoveMemberRequest, _context: object
    ) -> access_pb2.RemoveMemberResponse:
        asked = access.asked("RemoveMember", request)
        group = await self._manager.groups.remove_member(
            current_caller(), request.group, request.member, asked
        )
        return access_pb2.RemoveMemberResponse(group=access.group(group))

    async def ListMembers(
        self, request: access_pb2.ListMembersRequest, _context: object
    ) -> access_pb2.ListMembersResponse:
        page, token = await self._manager.groups.members(
            current_caller(), request.group, request.page_size, request.page_token
        )
        members = [access.member(member) for member in page]
        return access_pb2.ListMembersResponse(members=members, next_page_token=token)

    async def CreateGrant(
        self, request: access_pb2.CreateGrantRequest, _context: object
    ) -> access_pb2.CreateGrantResponse:
        asked = access.asked("CreateGrant", request)
        grant = await self._manager.grants.create(current_caller(), access.new_grant(request.grant), asked)
        return access_pb2.CreateGrantResponse(grant=access.grant(grant, current_caller()))

    async def RevokeGrant(
        self, request: access_pb2.RevokeGrantRequest, _context: object
    ) -> access_pb2.RevokeGrantResponse:
        asked = access.asked("RevokeGrant", request)
        await self._manager.grants.revoke(current_caller(), request.name, asked)
        return access_pb2.RevokeGrantResponse()

    async def ListGrants(
        self, request: access_pb2.ListGrantsRequest, _context: object
    ) -> access_pb2.ListGrantsResponse:
        page, token = await self._manager.grants.page(
            current_caller(),
            grantee=request.grantee,
            resource=request.resource,
            size=request.page_size,
            token=request.page_token,
        )
        grants = [access.grant(grant, current_caller()) for grant in page]
        return access_pb2.ListGrantsResponse(grants=grants, next_page_token=token)

    async def PutPolicy(
        self, request: access_pb2.PutPolicyRequest, _context: object
    ) -> access_pb2.PutPolicyResponse:
        new, asked = request.policy, access.asked("PutPolicy", request)
        policy, found = await self._manager.policies.put(
            current_caller(), new.name, new.text, description=new.description, etag=new.etag, asked=asked
        )
        warnings = [access.finding(finding) for finding in found]
        return access_pb2.PutPolicyResponse(policy=access.policy(policy), warnings=warnings)

    async def ValidatePolicy(
        self, request: access_pb2.ValidatePolicyRequest, _context: object
    ) -> access_pb2.ValidatePolicyResponse:
        found = await self._manager.policies.validate(current_caller(), request.text)
        valid = self._manager.policies.is_valid(found)
        return access_pb2.ValidatePolicyResponse(valid=valid, findings=[access.finding(one) for one in found])

    async def GetPolicy(
        self, request: access_pb2.GetPolicyRequest, _context: object
    ) -> access_pb2.GetPolicyResponse:
        policy = await self._manager.policies.get(current_caller(), request.name, request.version)
        return access_pb2.GetPolicyResponse(policy=access.policy(policy))

    async def ListPolicies(
        self, request: access_pb2.ListPoliciesRequest, _context: object
    ) -> access_pb2.ListPoliciesResponse:
        page, token = await self._manager.policies.page(
            current_caller(), request.page_size, request.page_token
        )
        policies = [access.policy(policy) for policy in page]
        return access_pb2.ListPoliciesResponse(policies=policies, next_page_token=token)

    async def ListPolicyVersions(
        self, request: access_pb2.ListPolicyVersionsRequest, _context: object
    ) -> access_pb2.ListPolicyVersionsResponse:
        page, token = await self._manager.policies.versions(
            current_caller(), request.name, request.page_size, request.page_token
        )
        policies = [access.policy(policy) for policy in page]
        return access_pb2.ListPolicyVersionsResponse(policies=policies, next_page_token=token)

    async def DeletePolicy(
        self, request: access_pb2.DeletePolicyRequest, _context: object
    ) -> access_pb2.DeletePolicyResponse:
        asked = access.asked("DeletePolicy", request)
        await self._manager.policies.delete(current_caller(), request.name, request.etag, asked)
        return access_pb2.DeletePolicyResponse()

    async def AppendAudit(
        self, request: access_pb2.AppendAuditRequest, _context: object
    ) -> access_pb2.AppendAuditResponse:
        events = [access.event(entry) for entry in request.entries]
        asked = access.asked("AppendAudit", request)
        last = await self._manager.audit.append(current_caller(), request.tenant, events, asked)
        return access_pb2.AppendAuditResponse(last_sequence=last)

    async def QueryAudit(
        self, request: access_pb2.QueryAuditRequest, _context: object
    ) -> access_pb2.QueryAuditResponse:
        caller = current_caller()
        query = access.audit_query(request, caller)
        page, token = await self._manager.audit.query(caller, query, request.page_size, request.page_token)
        entries = [access.audit_entry(entry) for entry in page]
        return access_pb2.QueryAuditResponse(entries=entries, next_page_token=token)

    async def VerifyAudit(
        self, request: access_pb2.VerifyAuditRequest, _context: object
    ) -> access_pb2.VerifyAuditResponse:
        first, last, noted = request.first_sequence, request.last_sequence, access.noted_head(request)
        found = await self._manager.verifier.verify(current_caller(), first, last, noted)
        return access.verified(found)

    async def EraseAudit(
        self, request: access_pb2.EraseAuditRequest, _context: object
    ) -> access_pb2.EraseAuditResponse:
        agent = request.agent.removeprefix("agents/")
        count = await self._manager.eraser.erase(current_caller(), agent, request.reason)
        return access_pb2.EraseAuditResponse(erased_count=count)

    async def IssueToken(
        self, request: access_pb2.IssueTokenRequest, _context: object
    ) -> access_pb2.IssueTokenResponse:
        tokens, lifetime = self._manager.tokens, access.duration(request, "lifetime")
        which = request.WhichOneof("credential")
        if which == "agent_key":
            token = await tokens.by_agent_key(request.agent_key.key, lifetime)
        elif which == "service_key":
            token = await tokens.by_service_key(
                request.service_key.service,
                request.service_key.key,
                lifetime,
                request.audience or ACCESS,
            )
        elif which == "person_key":
            token = await tokens.by_person_key(request.person_key.key, lifetime)
        else:
            token = await tokens.by_renewal(
                request.renew.token, lifetime, own_session=request.renew.own_session
            )
        return access.token(token)

    async def ExchangeToken(
        self, request: access_pb2.ExchangeTokenRequest, _context: object
    ) -> access_pb2.ExchangeTokenResponse:
        made = await self._manager.tokens.exchange(current_caller(), request.token, request.audience)
        return access.exchanged(made)

    async def RevokeToken(
        self, request: access_pb2.RevokeTokenRequest, _context: object
    ) -> access_pb2.RevokeTokenResponse:
        target, asked = access.revoke_target(request), access.asked("RevokeToken", request)
        done = await self._manager.tokens.revoke(current_caller(), request.agent, target, asked)
        return access.token_revoked(done)

    async def GetJwks(
        self, _request: access_pb2.GetJwksRequest, _context: object
    ) -> access_pb2.GetJwksResponse:
        return access.jwks(self._manager.tokens.public_keys())
