"""The one place where typed errors become google.rpc.Status, and back again on the side that called."""

import math
from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import (
    DeadlineExceeded,
    FieldViolation,
    Internal,
    KernelError,
    QuotaViolation,
    ServiceUnavailable,
)

DOMAIN: Final = "aios"
DETAILS_KEY: Final = "grpc-status-details-bin"

GRPC_CODES: Final = {
    code: status for code in Code for status in grpc.StatusCode if status.value[0] == code.value
}
"""Our code -> grpc's."""

LONGEST_MESSAGE: Final = 600
"""Unit: bytes."""
_LONGEST_VALUE: Final = 256
_VIOLATIONS_BYTES: Final = 2048

_OURS: Final = {status: code for code, status in GRPC_CODES.items()}


class PeerError(KernelError):
    """An error that another process of the kernel answered with: its reason and code are passed on."""

    def __init__(self, reason: str, code: Code, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code


def to_status(error: KernelError) -> status_pb2.Status:
    """Convert a typed error: always one ErrorInfo, and the details the error has."""
    status = status_pb2.Status(code=error.code.value, message=brief(error.message))
    metadata = {key: brief(value, _LONGEST_VALUE) for key, value in error.metadata.items()}
    _pack(status, error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    if error.violations:
        _pack(status, _bad_request(error.violations))
    if error.retry_after is not None:
        _pack(status, error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_after)))
    if error.quota is not None:
        failure = error_details_pb2.QuotaFailure()
        failure.violations.add(subject=error.quota.subject, description=error.quota.description)
        _pack(status, failure)
    if error.precondition is not None:
        condition = error.precondition
        precondition = error_details_pb2.PreconditionFailure()
        precondition.violations.add(
            type=condition.kind, subject=condition.subject, description=condition.description
        )
        _pack(status, precondition)
    return status


def brief(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """Cut a text so that it fits into the trailing metadata that a gRPC client accepts (8 KiB in all)."""
    raw = text.encode(errors="replace")
    return text if len(raw) <= longest else raw[: longest - 3].decode(errors="ignore") + "..."


def _bad_request(violations: Sequence[FieldViolation]) -> error_details_pb2.BadRequest:
    """Write the violations, or as many as fit."""
    bad, room = error_details_pb2.BadRequest(), _VIOLATIONS_BYTES
    for violation in violations:
        added = error_details_pb2.BadRequest.FieldViolation(
            field=brief(violation.field, _LONGEST_VALUE),
            description=brief(violation.description, _LONGEST_VALUE),
        )
        room -= added.ByteSize()
        if room < 0 and bad.field_violations:
            break
        bad.field_violations.append(added)
    return bad


def from_status(status: status_pb2.Status) -> KernelError | None:
    """Convert a status back; None when it carries no ErrorInfo of the kernel."""
    error: PeerError | None = None
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info) and info.domain == DOMAIN:
            error = PeerError(info.reason, Code(status.code), status.message)
            error.metadata = dict(info.metadata)
    if error is None:
        return None
    for detail in status.details:
        _unpack_into(error, detail)
    return error


def peer_error(failure: grpc.aio.AioRpcError) -> KernelError:
    """Convert the failure of a call to another process of the kernel.

    A typed error is passed on as it is; a transport failure becomes SERVICE_UNAVAILABLE or DEADLINE_EXCEEDED.
    """
    return failure_of(failure.code(), failure.trailing_metadata())


def failure_of(code: grpc.StatusCode, trailing: Any) -> KernelError:
    """Convert a status and the trailing metadata that came with it; otherwise as peer_error."""
    try:
        status = _status_in(trailing)
        typed = from_status(status) if status else None
    except DecodeError:  # one of the details was spoilt on the way: what is left is the code
        typed = None
    if typed is not None:
        return typed
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("a part of the kernel did not answer in time")
    # A server that sheds a burst answers CANCELLED, without details, to a call nobody cancelled.
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return ServiceUnavailable("a part of the kernel cannot be reached", retry_after=0.5)
    return Internal(f"a part of the kernel answered {code.name} without a reason")


def status_of(failure: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    """Return the google.rpc.Status that came with a failure, or None."""
    return _status_in(failure.trailing_metadata())


def _status_in(trailing: Any) -> status_pb2.Status | None:
    for key, value in trailing or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:  # spoilt on the way: what is left is the code
                return None
    return None


def reason_in(trailing: Any) -> str:
    """Return the reason of the typed error that trailing metadata holds; empty where it holds none."""
    status, info = _status_in(trailing), error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Is(info.DESCRIPTOR):
            try:
                detail.Unpack(info)
            except DecodeError:
                return ""
            return str(info.reason)
    return ""


def our_code(status: grpc.StatusCode) -> Code:
    """Return the kernel's name of a grpc status code."""
    return _OURS[status]


def _pack(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _unpack_into(error: KernelError, detail: any_pb2.Any) -> None:
    bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    quota = error_details_pb2.QuotaFailure()
    if detail.Unpack(bad):
        error.violations = [FieldViolation(v.field, v.description) for v in bad.field_violations]
    elif detail.Unpack(retry):
        error.retry_after = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    elif detail.Unpack(quota) and quota.violations:
        error.quota = QuotaViolation(quota.violations[0].subject, quota.violations[0].description)


def _duration(seconds: float) -> duration_pb2.Duration:
    whole = math.floor(seconds)
    return duration_pb2.Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))
