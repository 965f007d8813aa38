"""`kernel.access`: who may do what: grants, approvals, policies, audit."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime

from aios._paging import pages
from aios._streams import follow_forever
from aios._transport import Transport
from aios._wire import access as wire
from aios._wire.common import agent_name, timestamp
from aios.api.access.v1 import access_pb2 as pb
from aios.api.access.v1 import resources_pb2 as res
from aios.types.access import (
    AccessPolicy,
    AccessReview,
    Approval,
    ApprovalRule,
    AuditCheck,
    AuditEntry,
    Grant,
    Identity,
    Person,
    PersonHandle,
)


class Access:
    """Gives and takes permissions, decides approvals, reads the audit log."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def who_am_i(self, *, timeout: float | None = None) -> Identity:
        """Return whom the connection's credential stands for, until when, and whether it may administer."""
        return wire.identity(
            await self._transport.call(pb.WhoAmIRequest(), pb.WhoAmIResponse, timeout=timeout)
        )

    async def may(
        self,
        action: str,
        resource: str = "",
        *,
        subject: str = "",
        effect: str = "",
        untrusted: bool = False,
        timeout: float | None = None,
    ) -> AccessReview:
        """Return whether somebody may do an action on a resource now, and by which policies.

        `subject` is an agent, or `persons/{person}`; default: the caller, who is always answered about
        itself. Nothing is done and no denial recorded. Raises InvalidRequest for an action or resource that
        cannot be, NotFound, PermissionDenied for a subject that the caller may not ask about.
        """
        asked = pb.AccessQuestion(action=action, resource=resource, effect=effect, untrusted=untrusted)
        request = pb.ReviewAccessRequest(subject=wire.subject_name(subject), questions=[asked])
        response = await self._transport.call(request, pb.ReviewAccessResponse, timeout=timeout)
        return wire.review(response.reviews[0])

    async def review(
        self, questions: Sequence[tuple[str, str]], *, subject: str = "", timeout: float | None = None
    ) -> list[AccessReview]:
        """Return the answers to several questions, each an action and a resource, at one state of the rules.

        At most 32. Raises as `may`.
        """
        asked = [pb.AccessQuestion(action=action, resource=resource) for action, resource in questions]
        request = pb.ReviewAccessRequest(subject=wire.subject_name(subject), questions=asked)
        response = await self._transport.call(request, pb.ReviewAccessResponse, timeout=timeout)
        return [wire.review(one) for one in response.reviews]

    async def grant(
        self,
        grantee: str,
        resource: str,
        actions: Sequence[str],
        *,
        prefix: bool = False,
        expire_time: datetime | None = None,
        description: str = "",
        timeout: float | None = None,
    ) -> Grant:
        """Permit an agent (or `groups/...`) actions such as `memory.read` on a resource of one's own.

        With `prefix`, `resource` ends with a slash and stands for everything below. Raises NotFound for the
        grantee, PermissionDenied.
        """
        message = res.Grant(
            grantee=wire.grantee_name(grantee),
            resource=resource,
            actions=actions,
            prefix=prefix,
            expire_time=timestamp(expire_time),
            description=description,
        )
        request = pb.CreateGrantRequest(grant=message)
        return wire.grant(
            (await self._transport.call(request, pb.CreateGrantResponse, timeout=timeout)).grant
        )

    async def revoke(self, grant: str, *, timeout: float | None = None) -> None:
        """Take a grant back at once. Raises NotFound, PermissionDenied."""
        await self._transport.call(pb.RevokeGrantRequest(name=grant), pb.RevokeGrantResponse, timeout=timeout)

    async def grants(
        self, *, grantee: str = "", resource: str = "", timeout: float | None = None
    ) -> list[Grant]:
        """Return the grants the caller may see, oldest first. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[Grant], str]:
            request = pb.ListGrantsRequest(
                grantee=wire.grantee_name(grantee) if grantee else "",
                resource=resource,
                page_size=500,
                page_token=token,
            )
            response = await self._transport.call(request, pb.ListGrantsResponse, timeout=timeout)
            return [wire.grant(grant) for grant in response.grants], response.next_page_token

        return await pages(page, None)

    async def approvals(
        self, *, pending_only: bool = True, agent: str = "", timeout: float | None = None
    ) -> list[Approval]:
        """Return the approvals the caller may see, newest first. `timeout` bounds each page."""
        states = [res.APPROVAL_STATE_PENDING] if pending_only else []

        async def page(token: str) -> tuple[list[Approval], str]:
            request = pb.ListApprovalsRequest(
                states=states, agent=agent_name(agent), page_size=200, page_token=token
            )
            response = await self._transport.call(request, pb.ListApprovalsResponse, timeout=timeout)
            return [wire.approval(one) for one in response.approvals], response.next_page_token

        return await pages(page, None)

    async def approval(self, approval: str, *, timeout: float | None = None) -> Approval:
        """Return one approval. Raises NotFound."""
        request = pb.GetApprovalRequest(name=approval)
        response = await self._transport.call(request, pb.GetApprovalResponse, timeout=timeout)
        return wire.approval(response.approval)

    async def arguments(self, approval: str, *, timeout: float | None = None) -> bytes:
        """Return the whole arguments of an open approval as canonical JSON; `timeout` bounds each part.

        For who may decide it. They may hold padding and what only looks like something else: show people
        `shown_arguments`. Raises NotFound, DataLoss when they are not what the approval is for.
        """
        parts = await wire.argument_parts(self._transport, approval, timeout)
        return b"".join(part.content for part in parts)

    async def shown_arguments(self, approval: str, *, timeout: float | None = None) -> str:
        """Return the whole arguments of an open approval for people, uncut.

        What does not show is written as its code, long runs of it as their length. Raises as `arguments`.
        """
        parts = await wire.argument_parts(self._transport, approval, timeout)
        return "".join(part.shown for part in parts)

    async def decide(
        self,
        approval: str,
        *,
        approve: bool,
        comment: str = "",
        arguments_sha256: str = "",
        timeout: float | None = None,
    ) -> Approval:
        """Approve or reject a call; `arguments_sha256` makes sure that it is still the one that was shown.

        It is required to approve what has `preview_truncated`. Where several people are wanted, the approval
        stays pending until all have approved. Raises NotFound, PreconditionFailed when it was decided
        already, PermissionDenied: people decide, and an agent only where an administrator's policy names it,
        and nothing that an agent of its own tree asks for.
        """
        decision = pb.APPROVAL_DECISION_APPROVE if approve else pb.APPROVAL_DECISION_REJECT
        request = pb.DecideApprovalRequest(
            name=approval, decision=decision, comment=comment, arguments_sha256=arguments_sha256
        )
        response = await self._transport.call(request, pb.DecideApprovalResponse, timeout=timeout)
        return wire.approval(response.approval)

    async def watch_approvals(
        self, *, agent: str = "", timeout: float | None = None
    ) -> AsyncIterator[Approval]:
        """Yield the pending approvals, then every change; after a lost connection the pending ones again.

        `timeout` bounds the whole watch. Unit: seconds; default: no bound.
        """
        request = pb.WatchApprovalsRequest(agent=agent_name(agent))
        stream = follow_forever(self._transport, lambda: request, pb.WatchApprovalsResponse, timeout=timeout)
        async with aclosing(stream):
            async for message in stream:
                if message.HasField("approval"):
                    yield wire.approval(message.approval)

    async def create_person(
        self,
        person: str,
        *,
        tenant: str = "",
        display_name: str = "",
        administrator: bool = False,
        timeout: float | None = None,
    ) -> PersonHandle:
        """Make a person with a key, which is shown only here. For administrators.

        `person` is the id. Raises AlreadyExists, PermissionDenied.
        """
        request = pb.CreatePersonRequest(
            person_id=person, tenant=tenant, display_name=display_name, administrator=administrator
        )
        return wire.person_handle(
            await self._transport.call(request, pb.CreatePersonResponse, timeout=timeout)
        )

    async def persons(self, *, tenant: str = "", timeout: float | None = None) -> list[Person]:
        """Return the persons of a tenant by name. For administrators. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[Person], str]:
            request = pb.ListPersonsRequest(tenant=tenant, page_size=500, page_token=token)
            response = await self._transport.call(request, pb.ListPersonsResponse, timeout=timeout)
            return [wire.person(one) for one in response.persons], response.next_page_token

        return await pages(page, None)

    async def disable_person(self, person: str, *, tenant: str = "", timeout: float | None = None) -> Person:
        """End a person's key, tokens and unused approvals. Raises NotFound, PreconditionFailed."""
        request = pb.DisablePersonRequest(name=wire.person_name(person), tenant=tenant)
        response = await self._transport.call(request, pb.DisablePersonResponse, timeout=timeout)
        return wire.person(response.person)

    async def enable_person(self, person: str, *, tenant: str = "", timeout: float | None = None) -> Person:
        """Let a disabled person act again; a key is made apart. Raises NotFound."""
        request = pb.EnablePersonRequest(name=wire.person_name(person), tenant=tenant)
        response = await self._transport.call(request, pb.EnablePersonResponse, timeout=timeout)
        return wire.person(response.person)

    async def issue_person_key(
        self, person: str, *, tenant: str = "", timeout: float | None = None
    ) -> PersonHandle:
        """Make a new key in the place of a person's old one. Raises NotFound, AgentInactive."""
        request = pb.IssuePersonKeyRequest(name=wire.person_name(person), tenant=tenant)
        return wire.person_handle(
            await self._transport.call(request, pb.IssuePersonKeyResponse, timeout=timeout)
        )

    async def revoke_person_key(
        self, person: str, *, tenant: str = "", timeout: float | None = None
    ) -> Person:
        """End a person's key and all tokens issued to the person. Raises NotFound."""
        request = pb.RevokePersonKeyRequest(name=wire.person_name(person), tenant=tenant)
        response = await self._transport.call(request, pb.RevokePersonKeyResponse, timeout=timeout)
        return wire.person(response.person)

    async def put_approval_rule(
        self,
        rule: str,
        deciders: int,
        *,
        action: str = "",
        resource: str = "",
        description: str = "",
        timeout: float | None = None,
    ) -> ApprovalRule:
        """Say how many different people must approve an action, a resource, or all below one.

        For administrators. Raises InvalidRequest, PermissionDenied.
        """
        message = res.ApprovalRule(
            name=wire.rule_name(rule),
            action=action,
            resource=resource,
            deciders=deciders,
            description=description,
        )
        request = pb.PutApprovalRuleRequest(rule=message)
        return wire.rule(
            (await self._transport.call(request, pb.PutApprovalRuleResponse, timeout=timeout)).rule
        )

    async def approval_rules(self, *, timeout: float | None = None) -> list[ApprovalRule]:
        """Return the tenant's approval rules by name. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[ApprovalRule], str]:
            request = pb.ListApprovalRulesRequest(page_size=100, page_token=token)
            response = await self._transport.call(request, pb.ListApprovalRulesResponse, timeout=timeout)
            return [wire.rule(one) for one in response.rules], response.next_page_token

        return await pages(page, None)

    async def delete_approval_rule(self, rule: str, *, timeout: float | None = None) -> None:
        """Delete an approval rule. Raises NotFound."""
        request = pb.DeleteApprovalRuleRequest(name=wire.rule_name(rule))
        await self._transport.call(request, pb.DeleteApprovalRuleResponse, timeout=timeout)

    async def put_policy(
        self, policy: str, text: str, *, description: str = "", etag: str = "", timeout: float | None = None
    ) -> AccessPolicy:
        """Put a Cedar policy in force; `policy` is its name, such as `policies/team`.

        Raises InvalidRequest when the text does not pass the checks, EtagMismatch, PermissionDenied.
        """
        message = res.Policy(name=policy, text=text, description=description, etag=etag)
        request = pb.PutPolicyRequest(policy=message)
        return wire.policy(
            (await self._transport.call(request, pb.PutPolicyResponse, timeout=timeout)).policy
        )

    async def policies(self, *, timeout: float | None = None) -> list[AccessPolicy]:
        """Return the policies in force, by name. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[AccessPolicy], str]:
            request = pb.ListPoliciesRequest(page_size=100, page_token=token)
            response = await self._transport.call(request, pb.ListPoliciesResponse, timeout=timeout)
            return [wire.policy(one) for one in response.policies], response.next_page_token

        return await pages(page, None)

    async def audit(
        self,
        *,
        agent: str = "",
        action: str = "",
        resource_prefix: str = "",
        since: datetime | None = None,
        oldest_first: bool = False,
        limit: int | None = 100,
        timeout: float | None = None,
    ) -> list[AuditEntry]:
        """Return entries of the audit log, newest first. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[AuditEntry], str]:
            request = pb.QueryAuditRequest(
                agent=agent_name(agent),
                action=action,
                resource_prefix=resource_prefix,
                start_time=timestamp(since),
                oldest_first=oldest_first,
                page_size=min(limit or 1000, 1000),
                page_token=token,
            )
            response = await self._transport.call(request, pb.QueryAuditResponse, timeout=timeout)
            return [wire.entry(entry) for entry in response.entries], response.next_page_token

        return await pages(page, limit)

    async def verify_audit(
        self,
        *,
        expected_head_hash: str = "",
        expected_head_sequence: int = 0,
        timeout: float | None = None,
    ) -> AuditCheck:
        """Check that nothing in the audit log was changed, removed or cut off.

        The kernel compares the log with the heads that it exported itself; a noted one can be given on top.
        """
        request = pb.VerifyAuditRequest(
            expected_head_hash=expected_head_hash, expected_head_sequence=expected_head_sequence
        )
        return wire.check(await self._transport.call(request, pb.VerifyAuditResponse, timeout=timeout))

    async def erase_audit(self, agent: str, *, reason: str = "", timeout: float | None = None) -> int:
        """Blank what the audit log tells of a killed agent; return in how many entries."""
        request = pb.EraseAuditRequest(agent=agent_name(agent), reason=reason)
        response = await self._transport.call(request, pb.EraseAuditResponse, timeout=timeout)
        return response.erased_count
