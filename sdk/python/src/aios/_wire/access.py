"""Grants, approvals, policies and audit on the wire."""

import hashlib

from aios._transport import Transport
from aios._wire.records import record
from aios.api.access.v1 import access_pb2 as pb
from aios.api.access.v1 import resources_pb2 as res
from aios.errors import DataLoss
from aios.types import access


def grantee_name(name: str) -> str:
    """Return the resource name of an agent given by id, or of a group as it is."""
    return name if "/" in name else f"agents/{name}"


def grant(message: res.Grant) -> access.Grant:
    """Return a grant from protobuf."""
    return record(access.Grant, message)


def identity(message: pb.WhoAmIResponse) -> access.Identity:
    """Return whom a credential stands for from protobuf."""
    return record(access.Identity, message)


def review(message: pb.AccessReview) -> access.AccessReview:
    """Return what somebody may do from protobuf."""
    return record(access.AccessReview, message)


def subject_name(subject: str) -> str:
    """Return the resource name of an agent given by id, or of a person as it is; empty stays empty."""
    return subject if not subject or "/" in subject else f"agents/{subject}"


def approval(message: res.Approval) -> access.Approval:
    """Return an approval from protobuf."""
    return record(access.Approval, message)


async def argument_parts(
    transport: Transport, approval: str, timeout: float | None
) -> list[pb.GetApprovalArgumentsResponse]:
    """Return all parts of an approval's arguments. Raises DataLoss when they do not have its hash."""
    parts: list[pb.GetApprovalArgumentsResponse] = []
    while not parts or parts[-1].next_offset:
        offset = parts[-1].next_offset if parts else 0
        request = pb.GetApprovalArgumentsRequest(name=approval, offset=offset, max_bytes=262_144)
        parts.append(await transport.call(request, pb.GetApprovalArgumentsResponse, timeout=timeout))
    digest = hashlib.sha256(b"".join(part.content for part in parts)).hexdigest()
    if digest != parts[-1].arguments_sha256:
        raise DataLoss(f"the arguments of {approval} do not have its hash")
    return parts


def person(message: res.Person) -> access.Person:
    """Return a person from protobuf."""
    return record(access.Person, message)


def person_handle(message: pb.CreatePersonResponse | pb.IssuePersonKeyResponse) -> access.PersonHandle:
    """Return a person with a key from protobuf."""
    return access.PersonHandle(person=person(message.person), person_key=message.person_key)


def person_name(name: str) -> str:
    """Return the resource name of a person given by id or name."""
    return name if name.startswith("persons/") else f"persons/{name}"


def rule(message: res.ApprovalRule) -> access.ApprovalRule:
    """Return an approval rule from protobuf."""
    return record(access.ApprovalRule, message)


def rule_name(name: str) -> str:
    """Return the resource name of an approval rule given by id or name."""
    return name if name.startswith("approvalRules/") else f"approvalRules/{name}"


def policy(message: res.Policy) -> access.AccessPolicy:
    """Return a policy from protobuf."""
    return record(access.AccessPolicy, message)


def entry(message: res.AuditEntry) -> access.AuditEntry:
    """Return an audit entry from protobuf."""
    return record(access.AuditEntry, message)


def check(message: pb.VerifyAuditResponse) -> access.AuditCheck:
    """Return the result of a verification from protobuf."""
    return record(access.AuditCheck, message)
