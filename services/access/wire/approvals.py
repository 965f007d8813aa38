"""Approvals, those who decide them, and the rules of how many must, between protobuf and the model."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aios.api.access.v1 import access_pb2, resources_pb2
from services.access.model import approvals as approvals_model
from services.access.service.approvals import ArgumentsPart
from services.access.service.persons import NewPerson
from services.access.wire.access import TO_KIND
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc import names
from services.chassis.rpc.wire import stamp

APPROVAL_STATES: Final = {
    resources_pb2.APPROVAL_STATE_PENDING: approvals_model.ApprovalState.PENDING,
    resources_pb2.APPROVAL_STATE_APPROVED: approvals_model.ApprovalState.APPROVED,
    resources_pb2.APPROVAL_STATE_REJECTED: approvals_model.ApprovalState.REJECTED,
    resources_pb2.APPROVAL_STATE_EXPIRED: approvals_model.ApprovalState.EXPIRED,
    resources_pb2.APPROVAL_STATE_USED: approvals_model.ApprovalState.USED,
    resources_pb2.APPROVAL_STATE_CANCELLED: approvals_model.ApprovalState.CANCELLED,
}
_TO_STATE: Final = {state: number for number, state in APPROVAL_STATES.items()}
PERSON_STATES: Final = {
    approvals_model.PersonState.ACTIVE: resources_pb2.PERSON_STATE_ACTIVE,
    approvals_model.PersonState.DISABLED: resources_pb2.PERSON_STATE_DISABLED,
}


def wanted_approval(request: access_pb2.RequestApprovalRequest) -> approvals_model.Approval:
    """Read an approval that is asked for; the state and times are set by the service."""
    message = request.approval
    return approvals_model.Approval(
        tenant=request.tenant,
        id="",
        agent=message.agent.removeprefix("agents/"),
        action=message.action,
        resource=message.resource,
        arguments_sha256=message.arguments_sha256,
        arguments_preview=message.arguments_preview,
        summary=message.summary,
        state=approvals_model.ApprovalState.PENDING,
        create_time=datetime.fromtimestamp(0, UTC),
        expire_time=datetime.fromtimestamp(0, UTC),
        syscall_id=message.syscall_id,
        resource_version=message.resource_version,
    )


def approval(found: approvals_model.Approval, reader: Caller) -> resources_pb2.Approval:
    """Write an approval for who reads it."""
    return resources_pb2.Approval(
        name=f"approvals/{found.id}",
        agent=names.agent_name(found.agent),
        action=found.action,
        resource=found.resource,
        arguments_sha256=found.arguments_sha256,
        arguments_preview=found.arguments_preview,
        summary=found.summary,
        state=_TO_STATE[found.state],
        create_time=stamp(found.create_time),
        expire_time=stamp(found.expire_time),
        decide_time=stamp(found.decide_time),
        decider=names.agent_name(found.decider) if found.decider else "",
        comment=found.comment,
        syscall_id=found.syscall_id,
        arguments_bytes=found.arguments_bytes,
        preview_truncated=found.preview_truncated,
        resource_version=found.resource_version,
        required_deciders=found.required,
        votes=[_vote(vote) for vote in found.votes],
        untrusted=_is_foreign(found, reader),
    )


def _is_foreign(found: approvals_model.Approval, reader: Caller) -> bool:
    """Tell whether an approval tells a text of another agent: what it wants, or what it said of it."""
    said = any(
        vote.comment and vote.kind is Kind.AGENT and vote.decider != reader.agent for vote in found.votes
    )
    return reader.kind is Kind.AGENT and (found.agent != reader.agent or said)


def _vote(said: approvals_model.Vote) -> resources_pb2.ApprovalVote:
    return resources_pb2.ApprovalVote(
        decider=names.agent_name(said.decider),
        kind=TO_KIND[said.kind],
        approved=said.approved,
        comment=said.comment,
        decide_time=stamp(said.time),
    )


def arguments_part(found: ArgumentsPart, reader: Caller) -> access_pb2.GetApprovalArgumentsResponse:
    """Write a part of the whole arguments."""
    return access_pb2.GetApprovalArgumentsResponse(
        content=found.content,
        shown=found.shown,
        next_offset=found.following,
        total_bytes=found.approval.arguments_bytes,
        arguments_sha256=found.approval.arguments_sha256,
        untrusted=_is_foreign(found.approval, reader),
    )


def person(found: approvals_model.Person) -> resources_pb2.Person:
    """Write a person."""
    return resources_pb2.Person(
        name=found.name,
        tenant=found.tenant,
        display_name=found.display_name,
        administrator=found.administrator,
        state=PERSON_STATES[found.state],
        has_key=bool(found.key_hash),
        creator=names.agent_name(found.creator),
        create_time=stamp(found.create_time),
        update_time=stamp(found.update_time),
    )


def new_person(request: access_pb2.CreatePersonRequest) -> NewPerson:
    """Read a person that is to be made."""
    return NewPerson(
        id=request.person_id,
        tenant=request.tenant,
        display_name=request.display_name,
        administrator=request.administrator,
    )


def new_rule(message: resources_pb2.ApprovalRule) -> approvals_model.ApprovalRule:
    """Read an approval rule that is to be put; tenant, author and time are set by the service."""
    return approvals_model.ApprovalRule(
        tenant="",
        id=message.name.removeprefix("approvalRules/"),
        action=message.action,
        resource=message.resource,
        deciders=message.deciders or 1,
        description=message.description,
        creator="",
        create_time=datetime.fromtimestamp(0, UTC),
    )


def rule(found: approvals_model.ApprovalRule) -> resources_pb2.ApprovalRule:
    """Write an approval rule."""
    return resources_pb2.ApprovalRule(
        name=f"approvalRules/{found.id}",
        action=found.action,
        resource=found.resource,
        deciders=found.deciders,
        description=found.description,
        creator=names.agent_name(found.creator),
        create_time=stamp(found.create_time),
    )


def states(numbers: Sequence[Any]) -> frozenset[approvals_model.ApprovalState]:
    """Read the states of approvals to list."""
    return frozenset(APPROVAL_STATES[number] for number in numbers)
