"""Grants, approvals, policies and audit on the wire."""

from aios._wire.records import record
from aios.api.access.v1 import access_pb2 as pb
from aios.api.access.v1 import resources_pb2 as res
from aios.types import access


def grantee_name(name: str) -> str:
    """Return the resource name of an agent given by id, or of a group as it is."""
    return name if "/" in name else f"agents/{name}"


def grant(message: res.Grant) -> access.Grant:
    """Return a grant from protobuf."""
    return record(access.Grant, message)


def approval(message: res.Approval) -> access.Approval:
    """Return an approval from protobuf."""
    return record(access.Approval, message)


def policy(message: res.Policy) -> access.AccessPolicy:
    """Return a policy from protobuf."""
    return record(access.AccessPolicy, message)


def entry(message: res.AuditEntry) -> access.AuditEntry:
    """Return an audit entry from protobuf."""
    return record(access.AuditEntry, message)


def check(message: pb.VerifyAuditResponse) -> access.AuditCheck:
    """Return the result of a verification from protobuf."""
    return record(access.AuditCheck, message)
