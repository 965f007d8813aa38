"""How a call moves through the ledger. Pure.

Reserve, execute, finalise: a call that may have an effect is entered before it runs, and its end is kept
before anybody hears of it, so that a call that may have happened is never silently made again.
"""

import hashlib
import json
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from services.chassis import codec
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import Cancelled, IdempotencyMismatch, KernelError, ServiceUnavailable
from services.tool.errors import SandboxUnavailable, ToolFailed, UnknownOutcome
from services.tool.model import CallError, CallState, ContentPart, Tool, ToolCall
from services.tool.ports import Transaction

MAX_MESSAGE = 4096
_PASSING = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED})


ROOM: Final = 4_096
"""What the ledger keeps free for the answer of a call that has not ended. Unit: bytes."""


def canonical(arguments: Any) -> str:
    """Write arguments as JSON text that is the same for the same arguments.

    Raises ValueError for a number that JSON does not have.
    """
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(arguments_json: str) -> str:
    """Return the SHA-256 of canonical arguments in hexadecimal."""
    return hashlib.sha256(arguments_json.encode()).hexdigest()


def definition(tool: Tool) -> str:
    """Return the SHA-256 of all that a tool is registered with, version and times included."""
    return hashlib.sha256(codec.encode(tool)).hexdigest()


def taken(call: ToolCall, size: int) -> int:
    """Return the bytes that a call of `size` counts for: before its end it has room for an answer."""
    return size if call.state.ended else max(size, ROOM)


def keep(tx: Transaction, call: ToolCall) -> None:
    """Enter a call, or its new state."""
    made, growth = tx.put_call(call)
    tx.count(calls=int(made), call_bytes=growth)


def same_request(known: ToolCall, asked: ToolCall) -> None:
    """Refuse to answer one request with the call of another. Raises IdempotencyMismatch."""
    if (known.tool, known.arguments_sha256) != (asked.tool, asked.arguments_sha256):
        raise IdempotencyMismatch(
            f"request_id {asked.id} was used for a different call", metadata={"request_id": asked.id}
        )


def started(call: ToolCall, now: datetime, *, provider: str = "") -> ToolCall:
    """Record that an attempt begins."""
    return replace(
        call,
        state=CallState.RUNNING,
        started_at=now,
        attempts=call.attempts + 1,
        provider=provider,
        error=None,
        ended_at=None,
        repeatable=False,
    )


def succeeded(call: ToolCall, result_json: str, pieces: tuple[ContentPart, ...], now: datetime) -> ToolCall:
    """Record the result."""
    return replace(
        call,
        state=CallState.SUCCEEDED,
        result_json=result_json,
        pieces=pieces,
        ended_at=now,
    )


def failed(call: ToolCall, error: KernelError, now: datetime) -> ToolCall:
    """Record a failure.

    The same request may begin the call again when it never began, or when it is harmless and what stood in
    its way passes by itself.
    """
    harmless = call.effect.repeatable and error.code in _PASSING
    # What the sandbox refuses it has not begun.
    never_began = call.attempts == 0 or isinstance(error, SandboxUnavailable)
    return replace(
        call,
        state=CallState.FAILED,
        error=CallError(error.reason, error.message[:MAX_MESSAGE], error.code),
        ended_at=now,
        repeatable=never_began or harmless,
    )


def refused_by_tool(call: ToolCall, error: CallError, now: datetime) -> ToolCall:
    """Record the failure that a tool itself reported."""
    message = error.message[:MAX_MESSAGE] or "the tool failed"
    told = CallError(ToolFailed.reason, message, ToolFailed.code, error.details_json)
    return replace(call, state=CallState.FAILED, error=told, ended_at=now)


def stopped_elsewhere(call: ToolCall, stopped: ToolCall) -> ToolCall:
    """Return how a call ended that was stopped out of the kernel's sight: with an effect, nobody knows."""
    if call.effect.repeatable or not call.state.begun:
        return stopped
    return replace(stopped, state=CallState.UNKNOWN, repeatable=False)


def unknown(call: ToolCall, error: KernelError, now: datetime) -> ToolCall:
    """Record that nobody knows what became of a call, and why."""
    return replace(failed(call, error, now), state=CallState.UNKNOWN, repeatable=False)


def cancelled(call: ToolCall, now: datetime, *, left: bool) -> ToolCall:
    """Record that the call was given up: by CancelCall, or because its caller `left`.

    A caller that lost its connection may begin the call again, unless it may have had an effect: then who
    sends it again is told so, since nobody asked for it to be stopped.
    """
    harmless = call.attempts == 0 or call.effect.repeatable
    if left and not harmless:
        error = UnknownOutcome("the tool may have run before its caller was lost; look before you call again")
        return replace(failed(call, error, now), state=CallState.UNKNOWN)
    message = "the caller left" if left else "the call was cancelled"
    return replace(
        call,
        state=CallState.CANCELLED,
        error=CallError(Cancelled.reason, message, Cancelled.code),
        ended_at=now,
        repeatable=left and harmless,
    )


def interrupted(call: ToolCall, now: datetime) -> ToolCall:
    """Settle a call whose process or provider was lost: unknown, unless it can simply be made again."""
    if not call.state.begun or call.effect.repeatable:
        error: KernelError = ServiceUnavailable("the call was interrupted; call again")
        return replace(failed(call, error, now), repeatable=True)
    error = UnknownOutcome("the tool may have run when it was interrupted; look before you call again")
    return replace(failed(call, error, now), state=CallState.UNKNOWN)
