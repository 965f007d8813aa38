"""Grants, approvals and the audit of a fake kernel."""

import hashlib
import itertools

from aios.api.access.v1 import access_pb2 as pb
from aios.api.access.v1 import resources_pb2 as res
from aios.errors import NotFound, PermissionDenied, PreconditionFailed
from aios.testing.caller import ADMIN, Caller
from aios.testing.persons import FakePersons


class FakeAccess(FakePersons):
    """Adds grants to agents and persons: any action on an agent's resource lets it be read."""

    def __init__(self, token_life: float) -> None:
        super().__init__(token_life)
        self.approvals: dict[str, res.Approval] = {}
        self._roots: dict[str, str] = {}
        self._grants: dict[str, res.Grant] = {}
        self._policies: dict[str, res.Policy] = {}
        self._entries: list[res.AuditEntry] = []
        self._ids = itertools.count(1)

    def ask(self, agent: str, tool: str, arguments: str) -> str:
        """Let an approval wait for a decision and return its name."""
        name = f"approvals/{next(self._ids)}"
        digest = hashlib.sha256(arguments.encode()).hexdigest()
        self.approvals[name] = res.Approval(
            name=name,
            agent=f"agents/{agent}",
            action="tool.call",
            resource=f"tools/{tool}",
            arguments_sha256=digest,
            arguments_preview=arguments,
            arguments_bytes=len(arguments.encode()),
            required_deciders=1,
            state=res.APPROVAL_STATE_PENDING,
        )
        self._roots[name] = self._root(f"agents/{agent}")
        return name

    async def who_am_i(self, request: pb.WhoAmIRequest, caller: Caller) -> pb.WhoAmIResponse:
        """WhoAmI."""
        del request
        kind = self.kind_of(caller)
        administers = kind == res.PRINCIPAL_KIND_ADMIN
        return pb.WhoAmIResponse(
            principal=res.Principal(agent=f"agents/{caller.agent}", tenant="default", kind=kind),
            display_name=caller.agent,
            administers_tenant=administers,
            administers_kernel=administers,
        )

    async def review_access(self, request: pb.ReviewAccessRequest, caller: Caller) -> pb.ReviewAccessResponse:
        """ReviewAccess, of the caller alone: its own, what it was granted, and what belongs to no agent."""
        name = caller.resolve(request.subject or "agents/me", write=True).rpartition("/")[2]
        subject = Caller(name, frozenset(self.granted.get(name, ())))
        who = res.Principal(agent=f"agents/{name}", tenant="default", kind=self.kind_of(subject))
        reviews = [_reviewed(subject, each) for each in request.questions]
        return pb.ReviewAccessResponse(subject=who, reviews=reviews)

    async def create_grant(self, request: pb.CreateGrantRequest, caller: Caller) -> pb.CreateGrantResponse:
        grant = request.grant
        grant.resource = caller.resolve(grant.resource, write=True)
        grant.name = f"grants/{next(self._ids)}"
        grant.creator = f"agents/{caller.agent}"
        self._grants[grant.name] = grant
        self._grant(grant).add(grant.resource.split("/")[1])
        self._note(caller, "access.grant", grant.resource)
        return pb.CreateGrantResponse(grant=grant)

    async def revoke_grant(self, request: pb.RevokeGrantRequest, caller: Caller) -> pb.RevokeGrantResponse:
        if request.name not in self._grants:
            raise NotFound(f"no {request.name}", reason="RULE_NOT_FOUND")
        grant = self._grants.pop(request.name)
        self._grant(grant).discard(grant.resource.split("/")[1])
        self._note(caller, "access.revoke", grant.resource)
        return pb.RevokeGrantResponse()

    async def list_grants(self, request: pb.ListGrantsRequest, caller: Caller) -> pb.ListGrantsResponse:
        """ListGrants, in one page."""
        del caller
        found = [one for one in self._grants.values() if request.grantee in ("", one.grantee)]
        return pb.ListGrantsResponse(grants=found)

    async def list_approvals(
        self, request: pb.ListApprovalsRequest, caller: Caller
    ) -> pb.ListApprovalsResponse:
        """ListApprovals, in one page."""
        del caller
        found = [one for one in self.approvals.values() if not request.states or one.state in request.states]
        return pb.ListApprovalsResponse(approvals=reversed(found))

    async def get_approval(self, request: pb.GetApprovalRequest, caller: Caller) -> pb.GetApprovalResponse:
        """GetApproval."""
        del caller
        return pb.GetApprovalResponse(approval=self._approval(request.name))

    async def get_approval_arguments(
        self, request: pb.GetApprovalArgumentsRequest, caller: Caller
    ) -> pb.GetApprovalArgumentsResponse:
        """GetApprovalArguments, in one part."""
        del caller
        approval = self._approval(request.name)
        content = approval.arguments_preview.encode()
        return pb.GetApprovalArgumentsResponse(
            content=content,
            shown=approval.arguments_preview,
            total_bytes=len(content),
            arguments_sha256=approval.arguments_sha256,
        )

    async def decide_approval(
        self, request: pb.DecideApprovalRequest, caller: Caller
    ) -> pb.DecideApprovalResponse:
        """DecideApproval: by people, or by an agent of another tree that a policy names."""
        if not self.is_human(caller) and not self._may_approve(caller, request.name):
            raise PermissionDenied(
                f"agents/{caller.agent} may not decide {request.name}", metadata={"approval": request.name}
            )
        approval = self._approval(request.name)
        if approval.state != res.APPROVAL_STATE_PENDING:
            raise PreconditionFailed(f"{request.name} was decided", reason="APPROVAL_DECIDED")
        approved = request.decision == pb.APPROVAL_DECISION_APPROVE
        vote = approval.votes.add(decider=f"agents/{caller.agent}", approved=approved)
        vote.kind = self.kind_of(caller)
        approval.state = res.APPROVAL_STATE_APPROVED if approved else res.APPROVAL_STATE_REJECTED
        approval.decider = f"agents/{caller.agent}"
        approval.comment = request.comment
        return pb.DecideApprovalResponse(approval=approval)

    async def put_policy(self, request: pb.PutPolicyRequest, caller: Caller) -> pb.PutPolicyResponse:
        """PutPolicy, for the administrator: kept, not enforced."""
        if caller.agent != ADMIN:
            raise PermissionDenied(f"agents/{caller.agent} may not put policies")
        policy = request.policy
        old = self._policies.get(policy.name)
        policy.version = old.version + 1 if old else 1
        policy.active = True
        policy.author = f"agents/{caller.agent}"
        self._policies[policy.name] = policy
        return pb.PutPolicyResponse(policy=policy)

    async def list_policies(self, request: pb.ListPoliciesRequest, caller: Caller) -> pb.ListPoliciesResponse:
        """ListPolicies, in one page."""
        del request, caller
        return pb.ListPoliciesResponse(policies=[self._policies[name] for name in sorted(self._policies)])

    async def query_audit(self, request: pb.QueryAuditRequest, caller: Caller) -> pb.QueryAuditResponse:
        """QueryAudit: only grants are noted here."""
        del caller
        found = [one for one in self._entries if request.agent in ("", one.agent)]
        return pb.QueryAuditResponse(entries=found if request.oldest_first else reversed(found))

    async def verify_audit(self, request: pb.VerifyAuditRequest, caller: Caller) -> pb.VerifyAuditResponse:
        """VerifyAudit: a list in memory is whole; one that a noted head lies beyond was cut."""
        del caller
        if request.expected_head_sequence > len(self._entries):
            return pb.VerifyAuditResponse(
                fault=pb.AUDIT_FAULT_TAIL_CUT, broken_sequence=len(self._entries), problem="the tail was cut"
            )
        return pb.VerifyAuditResponse(intact=True, verified_count=len(self._entries))

    def _approval(self, name: str) -> res.Approval:
        if name not in self.approvals:
            raise NotFound(f"no {name}", reason="APPROVAL_NOT_FOUND")
        return self.approvals[name]

    def _may_approve(self, caller: Caller, approval: str) -> bool:
        me = f"agents/{caller.agent}"
        named = f'permit(principal == Agent::"{caller.agent}", action == Action::"access.approve"'
        given = any(named in policy.text for policy in self._policies.values())
        return given and self._roots.get(approval, "") not in ("", self._root(me))

    def _grant(self, grant: res.Grant) -> set[str]:
        return self.granted.setdefault(grant.grantee.removeprefix("agents/"), set())

    def _note(self, caller: Caller, action: str, resource: str) -> None:
        kind = self.kind_of(caller)
        entry = res.AuditEntry(
            sequence=len(self._entries) + 1,
            agent=f"agents/{caller.agent}",
            kind=kind,
            action=action,
            resource=resource,
            outcome=res.AUDIT_OUTCOME_OK,
        )
        self._entries.append(entry)


def _reviewed(subject: Caller, asked: pb.AccessQuestion) -> pb.AccessReview:
    try:
        if asked.resource.startswith("agents/"):
            subject.resolve(asked.resource)
    except PermissionDenied as error:
        return pb.AccessReview(reason=res.DECISION_REASON_NOT_PERMITTED, summary=str(error))
    return pb.AccessReview(
        allowed=True, reason=res.DECISION_REASON_PERMITTED, summary=f"{subject.agent} may {asked.action}"
    )
