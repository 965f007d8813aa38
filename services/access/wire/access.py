"""Between protobuf messages and what the access manager knows. The only module that converts."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from aios.api.access.v1 import access_pb2, resources_pb2
from services.access.core.review_text import summary
from services.access.model import agents as agents_model
from services.access.model import audit as audit_model
from services.access.model import rules as rules_model
from services.access.service.audit_verifying import NotedHead, Verified
from services.access.service.decisions import Revision
from services.access.service.grants import NewGrant
from services.access.service.offspring import Fate
from services.access.service.reviews import Identity, Question, Reviewed
from services.access.service.tokens import Revoked, Target
from services.access.service.watchers import RuleChange
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import names
from services.chassis.rpc.wire import moment, request_digest, stamp

KINDS: Final = {
    resources_pb2.PRINCIPAL_KIND_AGENT: Kind.AGENT,
    resources_pb2.PRINCIPAL_KIND_ADMIN: Kind.ADMIN,
    resources_pb2.PRINCIPAL_KIND_SERVICE: Kind.SERVICE,
    resources_pb2.PRINCIPAL_KIND_PERSON: Kind.PERSON,
}
REASONS: Final = {
    rules_model.Reason.PERMITTED: resources_pb2.DECISION_REASON_PERMITTED,
    rules_model.Reason.NOT_PERMITTED: resources_pb2.DECISION_REASON_NOT_PERMITTED,
    rules_model.Reason.FORBIDDEN: resources_pb2.DECISION_REASON_FORBIDDEN,
    rules_model.Reason.AGENT_INACTIVE: resources_pb2.DECISION_REASON_AGENT_INACTIVE,
    rules_model.Reason.POLICY_ERROR: resources_pb2.DECISION_REASON_POLICY_ERROR,
    rules_model.Reason.APPROVAL_REQUIRED: resources_pb2.DECISION_REASON_APPROVAL_REQUIRED,
}
SEVERITIES: Final = {
    rules_model.Severity.ERROR: resources_pb2.FINDING_SEVERITY_ERROR,
    rules_model.Severity.WARNING: resources_pb2.FINDING_SEVERITY_WARNING,
}
_FATES: Final = {
    access_pb2.MADE_FATE_SUSPEND: Fate.SUSPEND,
    access_pb2.MADE_FATE_KILL: Fate.KILL,
}
OUTCOMES: Final = {
    resources_pb2.AUDIT_OUTCOME_OK: audit_model.AuditOutcome.OK,
    resources_pb2.AUDIT_OUTCOME_DENIED: audit_model.AuditOutcome.DENIED,
    resources_pb2.AUDIT_OUTCOME_FAILED: audit_model.AuditOutcome.FAILED,
}
FAULTS: Final = {
    audit_model.Fault.NONE: access_pb2.AUDIT_FAULT_UNSPECIFIED,
    audit_model.Fault.ENTRY_CHANGED: access_pb2.AUDIT_FAULT_ENTRY_CHANGED,
    audit_model.Fault.ENTRY_MISSING: access_pb2.AUDIT_FAULT_ENTRY_MISSING,
    audit_model.Fault.TAIL_CUT: access_pb2.AUDIT_FAULT_TAIL_CUT,
    audit_model.Fault.REWRITTEN: access_pb2.AUDIT_FAULT_REWRITTEN,
    audit_model.Fault.UNSEALED: access_pb2.AUDIT_FAULT_UNSEALED,
    audit_model.Fault.KEY_MISSING: access_pb2.AUDIT_FAULT_KEY_MISSING,
    audit_model.Fault.ERASURE_UNTOLD: access_pb2.AUDIT_FAULT_ERASURE_UNTOLD,
    audit_model.Fault.HEADS_MISSING: access_pb2.AUDIT_FAULT_HEADS_MISSING,
    audit_model.Fault.HEADS_REWOUND: access_pb2.AUDIT_FAULT_HEADS_REWOUND,
    audit_model.Fault.HEADS_CHANGED: access_pb2.AUDIT_FAULT_HEADS_CHANGED,
}
TO_KIND: Final = {kind: number for number, kind in KINDS.items()}
_TO_OUTCOME: Final = {outcome: number for number, outcome in OUTCOMES.items()}
_MOST_CHANGES: Final = 1000
_JWKS_MAX_AGE: Final = 300


def asked(method: str, request: Any) -> RequestIdentity:
    """Describe a request that carries a `request_id`."""
    return RequestIdentity("", method, request.request_id, request_digest(request))


def duration(message: Any, field: str) -> timedelta | None:
    """Read a duration; None when unset."""
    if not message.HasField(field):
        return None
    read: timedelta = getattr(message, field).ToTimedelta()
    return read


def principal(who: Principal) -> resources_pb2.Principal:
    """Write a principal."""
    return resources_pb2.Principal(
        agent=names.agent_name(who.agent), tenant=who.tenant, kind=TO_KIND[who.kind]
    )


def check(request: access_pb2.CheckRequest, caller: Caller) -> rules_model.Check:
    """Read a check; without a principal it is about the caller."""
    if request.HasField("principal"):
        named = request.principal
        who = Principal(
            agent=named.agent.removeprefix("agents/"), tenant=named.tenant, kind=KINDS[named.kind]
        )
    else:
        who = Principal(agent=caller.agent, tenant=caller.tenant, kind=caller.kind)
    return rules_model.Check(who, request.action, request.resource, request.untrusted, request.effect)


def decision(made: rules_model.Decision) -> resources_pb2.Decision:
    """Write a decision."""
    return resources_pb2.Decision(
        allowed=made.allowed,
        reason=REASONS[made.reason],
        policies=made.policies,
        revision=made.revision,
        expire_time=stamp(made.expire_time),
        tree=made.tree,
        owner_tree=made.owner_tree,
        untrusted=made.untrusted,
        effect_matters=made.effect_matters,
    )


def identity(who: Identity) -> access_pb2.WhoAmIResponse:
    """Write whom a credential stands for."""
    return access_pb2.WhoAmIResponse(
        principal=principal(who.principal),
        display_name=who.display_name,
        expire_time=stamp(who.expire_time),
        sign_in_time=stamp(who.sign_in_time),
        administers_tenant=who.administers_tenant,
        administers_kernel=who.administers_kernel,
        untrusted=who.untrusted,
    )


def question(asked: access_pb2.AccessQuestion) -> Question:
    """Read what somebody would do."""
    return Question(asked.action, asked.resource, asked.untrusted, asked.effect)


def reviewed(found: Reviewed) -> access_pb2.ReviewAccessResponse:
    """Write what somebody may do. Of trees and marks nothing is told: they were not asked about."""
    return access_pb2.ReviewAccessResponse(
        subject=principal(found.subject),
        reviews=[
            access_pb2.AccessReview(
                allowed=made.allowed,
                reason=REASONS[made.reason],
                policies=made.policies,
                expire_time=stamp(made.expire_time),
                effect_matters=made.effect_matters,
                summary=summary(check, made),
            )
            for check, made in found.decisions
        ],
        revision=max(made.revision for _, made in found.decisions),
    )


def revision(event: Revision) -> access_pb2.WatchRevisionResponse:
    """Write one event of the watch of revisions."""
    changes = event.changes
    complete = (
        changes is not None
        and len(changes) <= _MOST_CHANGES
        and all(len(change.agents or ()) <= _MOST_CHANGES for change in changes)
    )
    return access_pb2.WatchRevisionResponse(
        revision=event.revision,
        revoked_tokens=[_revoked(one) for one in event.revoked],
        heartbeat=event.heartbeat,
        epoch=event.epoch,
        changes=[_rule_change(change) for change in changes or ()] if complete else (),
        complete=complete,
    )


def _rule_change(change: RuleChange) -> access_pb2.RuleChange:
    return access_pb2.RuleChange(tenant=change.tenant, agents=sorted(change.agents or ()), mark=change.mark)


def _revoked(one: agents_model.Revocation) -> resources_pb2.RevokedToken:
    return resources_pb2.RevokedToken(
        token_id=one.token_id,
        tenant=one.tenant,
        agent=names.agent_name(one.agent) if one.agent else "",
        revoke_time=stamp(one.revoke_time),
        expire_time=stamp(one.expire_time),
    )


def group(found: rules_model.Group) -> resources_pb2.Group:
    """Write a group."""
    return resources_pb2.Group(
        name=f"groups/{found.id}",
        title=found.title,
        description=found.description,
        member_count=found.member_count,
        create_time=stamp(found.create_time),
        etag=found.etag,
    )


def member(found: rules_model.Member) -> resources_pb2.Member:
    """Write a member."""
    return resources_pb2.Member(member=found.name, create_time=stamp(found.create_time))


def new_grant(message: resources_pb2.Grant) -> NewGrant:
    """Read a grant that is to be made."""
    return NewGrant(
        grantee=message.grantee,
        resource=message.resource,
        prefix=message.prefix,
        actions=frozenset(message.actions),
        expire_time=moment(message, "expire_time"),
        description=message.description,
    )


def grant(found: rules_model.Grant, reader: Caller) -> resources_pb2.Grant:
    """Write a grant for who reads it."""
    return resources_pb2.Grant(
        name=found.name,
        grantee=found.grantee,
        resource=found.resource,
        prefix=found.prefix,
        actions=sorted(found.actions),
        expire_time=stamp(found.expire_time),
        description=found.description,
        creator=names.agent_name(found.creator),
        create_time=stamp(found.create_time),
        untrusted=_is_foreign(found, reader),
    )


def _is_foreign(found: rules_model.Grant, reader: Caller) -> bool:
    """Tell whether a grant tells a text of an agent that is neither the reader nor above it."""
    if reader.kind is not Kind.AGENT or not found.by_agent:
        return False
    if found.creator in {reader.agent, reader.parent, reader.tree}:
        return False
    chosen = names.parse(found.resource).id.rstrip("/")  # a path may say anything, an id little
    return bool(found.description or (chosen and not names.is_id(chosen)))


def policy(found: rules_model.Policy) -> resources_pb2.Policy:
    """Write a policy version; one without a tenant is the kernel's own."""
    return resources_pb2.Policy(
        name=f"policies/{found.id}",
        text=found.text,
        description=found.description,
        version=found.version,
        active=found.active,
        builtin=not found.tenant,
        author=names.agent_name(found.author) if found.author else "",
        create_time=stamp(found.create_time),
        etag=found.etag,
    )


def finding(found: rules_model.Finding) -> resources_pb2.PolicyFinding:
    """Write a finding."""
    return resources_pb2.PolicyFinding(
        severity=SEVERITIES[found.severity],
        policy_id=found.policy_id,
        message=found.message,
        offset=found.offset,
    )


def event(entry: resources_pb2.AuditEntry) -> audit_model.Event:
    """Read an audit entry that is to be appended."""
    return audit_model.Event(
        agent=entry.agent.removeprefix("agents/"),
        kind=KINDS[entry.kind],
        method=entry.method,
        action=entry.action,
        resource=entry.resource,
        outcome=OUTCOMES[entry.outcome],
        reason=entry.reason,
        policies=tuple(entry.policies),
        arguments_sha256=entry.arguments_sha256,
        syscall_id=entry.syscall_id,
        trace_id=entry.trace_id,
        approval=entry.approval.removeprefix("approvals/"),
        event_time=moment(entry, "event_time"),
        note=entry.note,
    )


def audit_entry(found: audit_model.AuditEntry) -> resources_pb2.AuditEntry:
    """Write an audit entry."""
    did = found.event
    return resources_pb2.AuditEntry(
        sequence=found.sequence,
        create_time=stamp(found.create_time),
        agent=names.agent_name(did.agent),
        kind=TO_KIND[did.kind],
        method=did.method,
        action=did.action,
        resource=did.resource,
        outcome=_TO_OUTCOME[did.outcome],
        reason=did.reason,
        policies=did.policies,
        arguments_sha256=did.arguments_sha256,
        syscall_id=did.syscall_id,
        trace_id=did.trace_id,
        approval=f"approvals/{did.approval}" if did.approval else "",
        previous_hash=found.previous_hash,
        hash=found.hash,
        event_time=stamp(did.event_time or found.create_time),
        key_id=found.key_id,
        note=did.note,
        erased=bool(found.actor.erased_by or found.subject.erased_by),
    )


def audit_query(request: access_pb2.QueryAuditRequest, caller: Caller) -> audit_model.AuditQuery:
    """Read which audit entries to list."""
    return audit_model.AuditQuery(
        tenant=caller.tenant,
        agent=request.agent.removeprefix("agents/"),
        action=request.action,
        resource_prefix=request.resource_prefix,
        outcome=OUTCOMES.get(request.outcome),
        start_time=moment(request, "start_time"),
        end_time=moment(request, "end_time"),
        syscall_id=request.syscall_id,
        oldest_first=request.oldest_first,
    )


def noted_head(request: access_pb2.VerifyAuditRequest) -> NotedHead:
    """Read the head that must still be in the log."""
    return NotedHead(request.expected_head_hash, request.expected_head_sequence)


def verified(found: Verified) -> access_pb2.VerifyAuditResponse:
    """Write the result of a verification."""
    result = found.result
    return access_pb2.VerifyAuditResponse(
        intact=result.intact,
        verified_count=result.verified_count,
        broken_sequence=result.broken_sequence,
        problem=result.problem,
        head_sequence=result.head.sequence,
        head_hash=result.head.hash,
        head_signature=found.signature,
        signature_kid=found.kid,
        fault=FAULTS[result.fault],
        exported_sequence=found.exported,
    )


def token(issued: agents_model.Token) -> access_pb2.IssueTokenResponse:
    """Write a token that was issued."""
    return access_pb2.IssueTokenResponse(
        token=issued.text,
        expire_time=stamp(issued.expire_time),
        principal=principal(issued.principal),
        token_id=issued.principal.token_id,
    )


def exchanged(issued: agents_model.Token) -> access_pb2.ExchangeTokenResponse:
    """Write a token that another was exchanged for."""
    return access_pb2.ExchangeTokenResponse(token=issued.text, expire_time=stamp(issued.expire_time))


def revoke_target(request: access_pb2.RevokeTokenRequest) -> Target:
    """Read what is to be revoked."""
    return Target(
        token=request.token,
        token_id=request.token_id,
        everything=request.all,
        key_too=request.revoke_key,
        made=_FATES.get(request.made, Fate.STAY),
        made_since=moment(request, "made_since"),
    )


def token_revoked(done: Revoked) -> access_pb2.RevokeTokenResponse:
    """Write what a revocation of tokens did."""
    return access_pb2.RevokeTokenResponse(
        revision=done.revision,
        ended_agents=done.ended.agents,
        ended_agent_keys=done.ended.agent_keys,
        disabled_persons=done.ended.persons,
        revoked_grants=done.ended.grants,
    )


def jwks(keys: Sequence[agents_model.PublicKey]) -> access_pb2.GetJwksResponse:
    """Write the keys that verify tokens."""
    return access_pb2.GetJwksResponse(
        keys=[
            resources_pb2.Jwk(kid=key.kid, kty="OKP", crv="Ed25519", x=key.x, alg="EdDSA", use="sig")
            for key in keys
        ],
        max_age=Duration(seconds=_JWKS_MAX_AGE),
    )
