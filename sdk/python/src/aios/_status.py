"""Turns a failed RPC into an `AiosError`. The only reader of google.rpc error details."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from aios._grpc import grpc
from aios.errors import BY_CODE, BY_REASON, AiosError, RequestTooLarge, Violation

T = TypeVar("T", bound=Message)

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "aios"
# The library reports some dead connections under other codes; these texts tell them from a server's own
# answer.
_LOST_CONNECTION = ("RST_STREAM", "Stream removed", "GOAWAY", "Connection reset")


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    """Return the rich status of a failed call, or None when it carries none that can be read."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _detail(status: status_pb2.Status, kind: type[T]) -> T | None:
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


def error_of(error: grpc.aio.AioRpcError, method: str) -> AiosError:
    """Return the typed error of a failed call of `method`."""
    code = error.code().name
    text = error.details() or ""
    status = status_of(error)
    info = _detail(status, error_details_pb2.ErrorInfo) if status else None
    if status is None or info is None or info.domain != DOMAIN:
        return _bare_error(code, text, method)
    retry = _detail(status, error_details_pb2.RetryInfo)
    broken = _detail(status, error_details_pb2.BadRequest)
    kind = BY_REASON.get(info.reason) or BY_CODE.get(code, AiosError)
    return kind(
        status.message or text,
        reason=info.reason,
        metadata=dict(info.metadata),
        retry_after=retry.retry_delay.ToMilliseconds() / 1000 if retry else None,
        violations=tuple(Violation(v.field, v.description) for v in broken.field_violations)
        if broken
        else (),
        method=method,
    )


def _bare_error(code: str, text: str, method: str) -> AiosError:
    if code == "CANCELLED" and not text:
        # A server whose accept queue overflows drops calls this way (gRPC core, max_pending_requests).
        code, text = "UNAVAILABLE", "the server dropped the call"
    if code in {"INTERNAL", "UNKNOWN"} and any(mark in text for mark in _LOST_CONNECTION):
        code = "UNAVAILABLE"
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in text:
        return RequestTooLarge(text, method=method)
    kind = BY_CODE.get(code, AiosError)
    return kind(text, reason=kind.default_reason if kind is not AiosError else code, method=method)
