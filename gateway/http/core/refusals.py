"""What an HTTP client is told about an error: one table from ErrorReason to each dialect's words. Pure.

The stock SDKs retry 408, 409, 429 and every 5xx; where that could do work twice, or cannot help, the
`x-should-retry` header stops them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.chassis.rpc.errors import KernelError

LONGEST_RETRY_SECONDS: Final = 60.0
"""A client of one vendor sleeps as long as it is told, another gives up above two minutes."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one reason is told."""

    status: int
    openai: str
    """The OpenAI error type."""
    anthropic: str
    """The Anthropic error type."""
    code: str = ""
    """The OpenAI code. Default: the reason in lower case."""
    anthropic_status: int = 0
    """Default: `status`."""
    retry: bool | None = None
    """What `x-should-retry` says; None leaves it to the status."""
    wait: float = 0.0
    """Seconds to wait where the error names none; 0: no header."""


_INVALID: Final = Row(400, "invalid_request_error", "invalid_request_error")
TOO_LONG: Final = Row(400, "invalid_request_error", "invalid_request_error", "context_length_exceeded")
_KEY: Final = Row(401, "invalid_request_error", "authentication_error", "invalid_api_key")
_DENIED: Final = Row(403, "permission_error", "permission_error")
_NOT_FOUND: Final = Row(404, "invalid_request_error", "not_found_error")
_CONFLICT: Final = Row(409, "invalid_request_error", "conflict_error", retry=False)
_BUSY: Final = Row(429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded", wait=1.0)
_AWAY: Final = Row(503, "server_error", "overloaded_error", anthropic_status=529, wait=1.0)
_LATE: Final = Row(504, "server_error", "timeout_error", retry=False)
_FAULT: Final = Row(500, "server_error", "api_error")
_UNSUPPORTED: Final = Row(400, "invalid_request_error", "invalid_request_error", "unsupported_parameter")

TABLE: Final[Mapping[str, Row]] = {
    "INVALID_REQUEST": _INVALID,
    "MALFORMED_REQUEST": _INVALID,
    "REQUEST_TOO_LARGE": Row(413, "invalid_request_error", "invalid_request_error"),
    "UNKNOWN_METHOD": _UNSUPPORTED,
    "INTERNAL": _FAULT,
    "SERVICE_UNAVAILABLE": _AWAY,
    "DRAINING": _AWAY,
    "DEADLINE_EXCEEDED": _LATE,
    "CANCELLED": Row(499, "invalid_request_error", "api_error", retry=False),
    "IDEMPOTENCY_MISMATCH": _CONFLICT,
    "INVALID_PAGE_TOKEN": _INVALID,
    "REQUEST_POISONED": _INVALID,
    "CREDENTIAL_MISSING": _KEY,
    "CREDENTIAL_INVALID": _KEY,
    "CREDENTIAL_EXPIRED": _KEY,
    "CREDENTIAL_REVOKED": _KEY,
    "PERMISSION_DENIED": _DENIED,
    "ACCESS_UNAVAILABLE": _AWAY,
    "AGENT_INACTIVE": _DENIED,
    "AGENT_NOT_FOUND": _NOT_FOUND,
    "AGENT_EXISTS": _CONFLICT,
    "AGENT_TREE_LIMIT": _CONFLICT,
    "QUEUE_FULL": _BUSY,
    "WAIT_EXPIRED": _BUSY,
    "TOO_MANY_CALLS": _BUSY,
    "SLOW_READER": _BUSY,
    "NO_BACKEND": _AWAY,
    "SCHEDULER_UNAVAILABLE": _AWAY,
    "NEVER_FITS": TOO_LONG,
    "SYSCALL_NOT_FOUND": _NOT_FOUND,
    "UNKNOWN_SCHEDULING_POLICY": _INVALID,
    "MODEL_NOT_FOUND": _NOT_FOUND,
    "PROMPT_TOO_LONG": TOO_LONG,
    "CONSTRAINT_INVALID": _INVALID,
    "BACKEND_REFUSED": _INVALID,
    "BACKEND_FAILED": _AWAY,
    "GENERATION_NOT_FOUND": _NOT_FOUND,
    "EVENTS_EXPIRED": _NOT_FOUND,
    "CONSTRAINT_UNMET": _FAULT,
    "CAPABILITY_MISSING": _UNSUPPORTED,
    "NOTE_NOT_FOUND": _NOT_FOUND,
    "QUOTA_EXCEEDED": Row(
        429, "insufficient_quota", "billing_error", "insufficient_quota", anthropic_status=402, retry=False
    ),
    "ETAG_MISMATCH": _CONFLICT,
    "ALREADY_EXISTS": _CONFLICT,
    "DATA_CORRUPT": _FAULT,
    "DISK_FULL": _AWAY,
    "CONTEXT_NOT_FOUND": Row(400, "invalid_request_error", "not_found_error", "previous_response_not_found"),
    "WINDOW_TOO_SMALL": TOO_LONG,
    "SNAPSHOT_NOT_FOUND": _NOT_FOUND,
    "ORPHAN_TOOL_RESULT": _INVALID,
    "SNAPSHOT_CONFLICT": _CONFLICT,
    "SNAPSHOT_KEY_MISSING": _FAULT,
}
"""Reasons that calls behind a dialect can end with. Any other is told by its class of status code."""

_BY_CODE: Final[Mapping[str, Row]] = {
    "INVALID_ARGUMENT": _INVALID,
    "FAILED_PRECONDITION": _INVALID,
    "OUT_OF_RANGE": _INVALID,
    "UNAUTHENTICATED": _KEY,
    "PERMISSION_DENIED": _DENIED,
    "NOT_FOUND": _NOT_FOUND,
    "ALREADY_EXISTS": _CONFLICT,
    "ABORTED": _CONFLICT,
    "RESOURCE_EXHAUSTED": _BUSY,
    "UNAVAILABLE": _AWAY,
    "DEADLINE_EXCEEDED": _LATE,
    "UNIMPLEMENTED": _UNSUPPORTED,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as a dialect tells it."""

    status: int
    body: dict[str, object]
    headers: Mapping[str, str]


class DoorError(KernelError):
    """An error that the doors themselves raise; it brings its own row."""

    row: Row = _INVALID


def row_of(error: KernelError) -> Row:
    """Return how an error is told."""
    if isinstance(error, DoorError):
        return error.row
    return TABLE.get(error.reason) or _BY_CODE.get(error.code.name, _FAULT)


def openai(error: KernelError) -> Refusal:
    """Tell an error as OpenAI's endpoints do: message, type, param and code are always there."""
    row = row_of(error)
    return Refusal(row.status, {"error": openai_error(error)}, _headers(row, error))


def openai_error(error: KernelError) -> dict[str, object]:
    """Return what stands under `error`, in a body and in the last event of a stream."""
    row = row_of(error)
    param = error.violations[0].field if error.violations else None
    return {
        "message": error.message,
        "type": row.openai,
        "param": param or None,
        "code": row.code or error.reason.lower(),
    }


def anthropic(error: KernelError, request_id: str) -> Refusal:
    """Tell an error as Anthropic's endpoints do."""
    row = row_of(error)
    return Refusal(
        row.anthropic_status or row.status, anthropic_error(error, request_id), _headers(row, error)
    )


def anthropic_error(error: KernelError, request_id: str) -> dict[str, object]:
    """Return the whole body, which is also the data of a stream's `error` event."""
    message, facts = error.message, error.metadata
    if "prompt_tokens" in facts and "max_total_tokens" in facts:  # clients look for these words
        message = f"prompt is too long: {facts['prompt_tokens']} tokens > {facts['max_total_tokens']} maximum"
    elif row_of(error) is TOO_LONG:
        message = f"prompt is too long: {message}"
    return {
        "type": "error",
        "error": {"type": row_of(error).anthropic, "message": message},
        "request_id": request_id,
    }


def _headers(row: Row, error: KernelError) -> dict[str, str]:
    headers: dict[str, str] = {}
    wait = row.wait if error.retry_after is None else error.retry_after
    if wait and row.retry is not False:
        wait = min(wait, LONGEST_RETRY_SECONDS)
        headers["retry-after-ms"] = str(max(1, round(wait * 1000)))
        headers["retry-after"] = str(max(1, round(wait)))
    if row.retry is not None:
        headers["x-should-retry"] = "true" if row.retry else "false"
    if row.status == _KEY.status:
        headers["www-authenticate"] = "Bearer"
    return headers
