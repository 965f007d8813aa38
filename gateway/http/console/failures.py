"""An error as the console's pages are told it: one shape for all."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from aios.hints import hint_of
from gateway.http.answers import json_response
from gateway.http.console.core.headers import EVERY, NEVER
from gateway.http.core.refusals import LONGEST_RETRY_SECONDS, DoorError
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError

_STATUSES: Final[Mapping[Code, int]] = {
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 412,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
_FAULT: Final = 500
_TOO_LARGE: Final = "REQUEST_TOO_LARGE"
_TOO_LARGE_STATUS: Final = 413


def status_of(error: KernelError) -> int:
    """Return the HTTP status that an error is told with."""
    if isinstance(error, DoorError):
        return error.row.status
    if error.reason == _TOO_LARGE:
        return _TOO_LARGE_STATUS
    return _STATUSES.get(error.code, _FAULT)


def body_of(error: KernelError) -> dict[str, object]:
    """Return what is said of an error. `retry_seconds` is there only where waiting helps."""
    told: dict[str, object] = {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "metadata": dict(error.metadata),
        "hint": hint_of(error.reason, error.metadata),
        "violations": [{"field": each.field, "description": each.description} for each in error.violations],
    }
    if error.retry_after is not None:
        told["retry_seconds"] = min(error.retry_after, LONGEST_RETRY_SECONDS)
    return told


def refusal(error: KernelError) -> web.Response:
    """Answer with an error."""
    answer = json_response(body_of(error), status=status_of(error))
    if error.retry_after is not None:
        answer.headers["retry-after"] = str(max(1, round(min(error.retry_after, LONGEST_RETRY_SECONDS))))
    return answer


def dress(answer: web.StreamResponse) -> None:
    """Put the headers of every answer on one."""
    for name, value in EVERY.items():
        answer.headers[name] = value
    answer.headers.setdefault("cache-control", NEVER)
