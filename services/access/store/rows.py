"""Rows of the tables to and from what the access manager knows."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from services.access.core.caps import covering
from services.access.model.agents import Agent, AgentKey, AgentState, Maker, Revocation
from services.access.model.approvals import Approval, ApprovalRule, ApprovalState, Person, PersonState, Vote
from services.access.model.audit import AuditEntry, AuditOutcome, Commitment, Event
from services.access.model.rules import Grant, Policy
from services.chassis.auth.identity import Kind
from services.chassis.dispatch.scheduling import Caps, Hints, SchedulingClass
from services.chassis.times import from_micros, micros

Values = dict[str, Any]


def agent_values(agent: Agent) -> Values:
    """Write an agent."""
    hints = agent.hints
    return {
        "tenant": agent.tenant,
        "id": agent.id,
        "parent": agent.parent,
        "path": "".join(f"/{ancestor}" for ancestor in agent.ancestors) + "/",
        "display_name": agent.display_name,
        "kind": agent.kind,
        "scheduling_class": hints.scheduling_class.value,
        "weight": hints.weight,
        "priority": hints.priority,
        "max_wait": _optional_span(hints.max_wait),
        "deadline": _optional_span(hints.deadline),
        "policy": hints.policy,
        "caps": _caps_values(agent.caps),
        "labels": dict(agent.labels),
        "suspended": agent.suspended,
        "state": agent.state.value,
        "revision": agent.revision,
        "create_time": micros(agent.create_time),
        "update_time": micros(agent.update_time),
        "untrusted_since": _optional_micros(agent.untrusted_since),
        "untrusted_source": agent.untrusted_source,
        "maker_tenant": agent.maker.tenant,
        "maker": agent.maker.id,
        "maker_family": agent.maker.family,
        "expire_time": _optional_micros(agent.expire_time),
        "texts_depth": agent.texts_depth,
    }


def _optional_span(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def _caps_values(caps: Caps) -> Values:
    return {
        "highest_class": caps.highest_class.value,
        "highest_weight": caps.highest_weight,
        "lowest_priority": caps.lowest_priority,
        "policies": None if caps.policies is None else sorted(caps.policies),
        "shortest_deadline": round(caps.shortest_deadline * 1e6),
    }


def _caps(values: Values) -> Caps:
    policies = values["policies"]
    return Caps(
        highest_class=SchedulingClass(values["highest_class"]),
        highest_weight=values["highest_weight"],
        lowest_priority=values["lowest_priority"],
        policies=None if policies is None else frozenset(policies),
        shortest_deadline=values["shortest_deadline"] / 1e6,
    )


def agent_key_values(key: AgentKey) -> Values:
    """Write an agent's key."""
    return {
        "hash": key.hash,
        "tenant": key.tenant,
        "agent": key.agent,
        "create_time": micros(key.create_time),
        "maker_tenant": key.maker.tenant,
        "maker": key.maker.id,
        "maker_family": key.maker.family,
        "issue": key.issue,
    }


def agent_key(row: Row[Any]) -> AgentKey:
    """Read an agent's key."""
    maker = Maker(row.maker_tenant, row.maker, row.maker_family)
    return AgentKey(row.hash, row.tenant, row.agent, from_micros(row.create_time), maker, row.issue)


def agent(row: Row[Any]) -> Agent:
    """Read an agent."""
    hints = Hints(
        scheduling_class=SchedulingClass(row.scheduling_class),
        weight=row.weight,
        priority=row.priority,
        max_wait=None if row.max_wait is None else row.max_wait / 1e6,
        deadline=None if row.deadline is None else row.deadline / 1e6,
        policy=row.policy,
    )
    return Agent(
        tenant=row.tenant,
        id=row.id,
        parent=row.parent,
        ancestors=tuple(row.path.split("/")[1:-1]),
        display_name=row.display_name,
        kind=row.kind,
        hints=hints,
        caps=covering(Caps(), hints) if row.caps is None else _caps(row.caps),
        labels=row.labels,
        suspended=row.suspended,
        state=AgentState(row.state),
        revision=row.revision,
        create_time=from_micros(row.create_time),
        update_time=from_micros(row.update_time),
        untrusted_since=_optional_moment(row.untrusted_since),
        untrusted_source=row.untrusted_source,
        maker=Maker(row.maker_tenant, row.maker, row.maker_family),
        expire_time=_optional_moment(row.expire_time),
        texts_depth=row.texts_depth,
    )


def grant_values(grant: Grant) -> Values:
    """Write a grant."""
    return {
        "tenant": grant.tenant,
        "id": grant.id,
        "grantee": grant.grantee,
        "resource": grant.resource,
        "prefix": grant.prefix,
        "actions": sorted(grant.actions),
        "owner": grant.owner,
        "expire_time": _optional_micros(grant.expire_time),
        "description": grant.description,
        "creator": grant.creator,
        "create_time": micros(grant.create_time),
        "revoked": grant.revoked,
        "family": grant.family,
        "by_agent": grant.by_agent,
    }


def grant(row: Row[Any]) -> Grant:
    """Read a grant."""
    return Grant(
        tenant=row.tenant,
        id=row.id,
        grantee=row.grantee,
        resource=row.resource,
        prefix=row.prefix,
        actions=frozenset(row.actions),
        owner=row.owner,
        expire_time=_optional_moment(row.expire_time),
        description=row.description,
        creator=row.creator,
        create_time=from_micros(row.create_time),
        revoked=row.revoked,
        family=row.family,
        by_agent=row.by_agent,
    )


def policy_values(policy: Policy) -> Values:
    """Write a policy version."""
    return {
        "tenant": policy.tenant,
        "id": policy.id,
        "version": policy.version,
        "text": policy.text,
        "description": policy.description,
        "active": policy.active,
        "author": policy.author,
        "author_kind": policy.author_kind.value if policy.author_kind else "",
        "create_time": micros(policy.create_time),
    }


def policy(row: Row[Any]) -> Policy:
    """Read a policy version."""
    return Policy(
        tenant=row.tenant,
        id=row.id,
        text=row.text,
        description=row.description,
        version=row.version,
        active=row.active,
        author=row.author,
        create_time=from_micros(row.create_time),
        author_kind=Kind(row.author_kind) if row.author_kind else None,
    )


def approval_values(approval: Approval) -> Values:
    """Write an approval."""
    return {
        "tenant": approval.tenant,
        "id": approval.id,
        "agent": approval.agent,
        "action": approval.action,
        "resource": approval.resource,
        "arguments_sha256": approval.arguments_sha256,
        "arguments_preview": approval.arguments_preview,
        "summary": approval.summary,
        "state": approval.state.value,
        "create_time": micros(approval.create_time),
        "expire_time": micros(approval.expire_time),
        "syscall_id": approval.syscall_id,
        "decide_time": _optional_micros(approval.decide_time),
        "decider": approval.decider,
        "comment": approval.comment,
        "sequence": approval.sequence,
        "root": approval.root,
        "arguments_bytes": approval.arguments_bytes,
        "preview_truncated": approval.preview_truncated,
        "resource_version": approval.resource_version,
        "required": approval.required,
        "votes": [_vote_values(vote) for vote in approval.votes],
    }


def _vote_values(vote: Vote) -> Values:
    return {
        "decider": vote.decider,
        "kind": vote.kind.value,
        "approved": vote.approved,
        "comment": vote.comment,
        "time": micros(vote.time),
    }


def _vote(values: Values) -> Vote:
    return Vote(
        decider=values["decider"],
        kind=Kind(values["kind"]),
        approved=values["approved"],
        comment=values["comment"],
        time=from_micros(values["time"]),
    )


def approval(row: Row[Any]) -> Approval:
    """Read an approval."""
    return Approval(
        tenant=row.tenant,
        id=row.id,
        agent=row.agent,
        action=row.action,
        resource=row.resource,
        arguments_sha256=row.arguments_sha256,
        arguments_preview=row.arguments_preview,
        summary=row.summary,
        state=ApprovalState(row.state),
        create_time=from_micros(row.create_time),
        expire_time=from_micros(row.expire_time),
        syscall_id=row.syscall_id,
        decide_time=_optional_moment(row.decide_time),
        decider=row.decider,
        comment=row.comment,
        sequence=row.sequence,
        root=row.root,
        arguments_bytes=row.arguments_bytes,
        preview_truncated=row.preview_truncated,
        resource_version=row.resource_version,
        required=row.required,
        votes=tuple(_vote(vote) for vote in row.votes),
    )


def approval_rule_values(rule: ApprovalRule) -> Values:
    """Write an approval rule."""
    return {
        "tenant": rule.tenant,
        "id": rule.id,
        "action": rule.action,
        "resource": rule.resource,
        "deciders": rule.deciders,
        "description": rule.description,
        "creator": rule.creator,
        "create_time": micros(rule.create_time),
    }


def approval_rule(row: Row[Any]) -> ApprovalRule:
    """Read an approval rule."""
    return ApprovalRule(
        tenant=row.tenant,
        id=row.id,
        action=row.action,
        resource=row.resource,
        deciders=row.deciders,
        description=row.description,
        creator=row.creator,
        create_time=from_micros(row.create_time),
    )


def person_values(person: Person) -> Values:
    """Write a person."""
    return {
        "tenant": person.tenant,
        "id": person.id,
        "display_name": person.display_name,
        "administrator": person.administrator,
        "state": person.state.value,
        "creator": person.creator,
        "create_time": micros(person.create_time),
        "update_time": micros(person.update_time),
        "key_hash": person.key_hash or None,
        "key_maker_tenant": person.key_maker.tenant,
        "key_maker": person.key_maker.id,
        "key_family": person.key_maker.family,
        "key_time": _optional_micros(person.key_time),
    }


def person(row: Row[Any]) -> Person:
    """Read a person."""
    return Person(
        tenant=row.tenant,
        id=row.id,
        display_name=row.display_name,
        administrator=row.administrator,
        state=PersonState(row.state),
        creator=row.creator,
        create_time=from_micros(row.create_time),
        update_time=from_micros(row.update_time),
        key_hash=row.key_hash or "",
        key_maker=Maker(row.key_maker_tenant, row.key_maker, row.key_family),
        key_time=_optional_moment(row.key_time),
    )


def audit_values(entry: AuditEntry) -> Values:
    """Write an audit entry."""
    event = entry.event
    return {
        "tenant": entry.tenant,
        "sequence": entry.sequence,
        "create_time": micros(entry.create_time),
        "agent": event.agent,
        "kind": event.kind.value,
        "method": event.method,
        "action": event.action,
        "resource": event.resource,
        "outcome": event.outcome.value,
        "reason": event.reason,
        "policies": list(event.policies),
        "arguments_sha256": event.arguments_sha256,
        "syscall_id": event.syscall_id,
        "trace_id": event.trace_id,
        "approval": event.approval,
        "event_time": _optional_micros(event.event_time),
        "note": event.note,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
        "key_id": entry.key_id,
        "actor_digest": entry.actor.digest,
        "actor_salt": entry.actor.salt,
        "actor_erased_by": entry.actor.erased_by,
        "subject_digest": entry.subject.digest,
        "subject_salt": entry.subject.salt,
        "subject_erased_by": entry.subject.erased_by,
    }


def audit_entry(row: Row[Any]) -> AuditEntry:
    """Read an audit entry."""
    event = Event(
        agent=row.agent,
        kind=Kind(row.kind),
        method=row.method,
        action=row.action,
        resource=row.resource,
        outcome=AuditOutcome(row.outcome),
        reason=row.reason,
        policies=tuple(row.policies),
        arguments_sha256=row.arguments_sha256,
        syscall_id=row.syscall_id,
        trace_id=row.trace_id,
        approval=row.approval,
        event_time=_optional_moment(row.event_time),
        note=row.note,
    )
    return AuditEntry(
        tenant=row.tenant,
        sequence=row.sequence,
        create_time=from_micros(row.create_time),
        event=event,
        previous_hash=row.previous_hash,
        hash=row.hash,
        key_id=row.key_id,
        actor=Commitment(row.actor_digest, row.actor_salt, row.actor_erased_by),
        subject=Commitment(row.subject_digest, row.subject_salt, row.subject_erased_by),
    )


def revocation_values(one: Revocation) -> Values:
    """Write a revocation."""
    return {
        "tenant": one.tenant,
        "agent": one.agent,
        "token_id": one.token_id,
        "revoke_time": micros(one.revoke_time),
        "expire_time": micros(one.expire_time),
        "revision": one.revision,
        "charged": one.charged,
    }


def revocation(row: Row[Any]) -> Revocation:
    """Read a revocation."""
    return Revocation(
        token_id=row.token_id,
        tenant=row.tenant,
        agent=row.agent,
        revoke_time=from_micros(row.revoke_time),
        expire_time=from_micros(row.expire_time),
        revision=row.revision,
        charged=row.charged,
    )


def _optional_micros(time: datetime | None) -> int | None:
    return None if time is None else micros(time)


def _optional_moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
