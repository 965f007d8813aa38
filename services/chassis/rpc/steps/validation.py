"""The last step before the handler: the rules written in the proto."""

import asyncio
from typing import Any, Final

import protovalidate
from google.protobuf.message import DecodeError, Message

from services.chassis.rpc.errors import FieldViolation, InvalidRequest, RequestTooLarge
from services.chassis.rpc.field_count import FieldCount, TooManyFields
from services.chassis.rpc.methods import Audience, Method
from services.chassis.rpc.steps.mapping import malformed

_VALIDATOR = protovalidate.Validator()
_SMALL_BYTES: Final = 2048
_MAX_VIOLATIONS: Final = 16
_LEAST_FIELD_BYTES: Final = 2
_FIELDS_AT_ONCE: Final = 2048
"""Somewhat less than a millisecond."""


async def admit(method: Method, raw: bytes) -> Message:
    """Parse a request, its fields counted first. Raises RequestTooLarge or MalformedRequest.

    The count gives way to other calls now and then: a dense request of megabytes takes tens of milliseconds.
    """
    count = _begun(method, raw)
    try:
        while count is not None:
            if count.go_on(_FIELDS_AT_ONCE):
                break
            await asyncio.sleep(0)
    except TooManyFields:
        raise _too_many(method) from None
    return _parsed(method, raw)


def parse(method: Method, raw: bytes) -> Message:
    """Do the same at once, where nothing can give way: to the messages of a stream that a handler reads."""
    count = _begun(method, raw)
    try:
        if count is not None:
            count.go_on(len(raw))
    except TooManyFields:
        raise _too_many(method) from None
    return _parsed(method, raw)


def _begun(method: Method, raw: bytes) -> FieldCount | None:
    """Begin to count the fields of a request, if there may be too many. Raises RequestTooLarge."""
    if len(raw) > method.max_request_bytes:
        raise RequestTooLarge(
            f"the request has {len(raw)} bytes, {method.label} accepts {method.max_request_bytes}",
            metadata={"size_bytes": str(len(raw)), "max_bytes": str(method.max_request_bytes)},
        )
    if method.audience is Audience.KERNEL or len(raw) <= _LEAST_FIELD_BYTES * method.max_fields:
        return None  # what the kernel's own processes say is as long as they made it
    return FieldCount(raw, method.inner, method.max_fields)


def _parsed(method: Method, raw: bytes) -> Message:
    try:
        return method.request.FromString(raw)
    except DecodeError:
        raise malformed(method.label) from None


def _too_many(method: Method) -> RequestTooLarge:
    return RequestTooLarge(
        f"the request holds more than {method.max_fields} fields",
        metadata={"max_fields": str(method.max_fields)},
    )


def validate(method: Method, request: Message) -> None:
    """Check a request against its rules. Raises InvalidRequest, listing the first violations.

    Each violation costs 150 us, so all of them are looked for in a small request only: one of a megabyte of
    empty messages would block the process for minutes.
    """
    if not method.has_rules:
        return
    if fields := violations(request):
        text = "; ".join(f"{field.field}: {field.description}" for field in fields[:3])
        raise InvalidRequest(text, violations=fields)


def violations(message: Message) -> list[FieldViolation]:
    """Return the first violations of the rules of a message; all of them for small ones only."""
    found = _VALIDATOR.collect_violations(message, fail_fast=True)
    if found and message.ByteSize() <= _SMALL_BYTES:
        found = _VALIDATOR.collect_violations(message)
    return [_violation(violation.proto) for violation in found[:_MAX_VIOLATIONS]]


_IN_WORDS: Final = {
    "[a-z0-9][a-z0-9._-]{0,62}": (
        "an id is 1 to 63 characters of a-z, 0-9, dot, dash and underscore, the first a letter or a digit"
    ),
    "[^\\x00-\\x1f\\x7f]": "a name holds no control characters",
}
"""What parts of the protos' patterns mean, for people who are shown the pattern that their request breaks."""


def _violation(proto: Any) -> FieldViolation:
    said = proto.message or proto.rule_id
    words = "; ".join(meaning for part, meaning in _IN_WORDS.items() if part in said)
    return FieldViolation(_path(proto.field), f"{words} ({said})" if words else said)


def _path(field: Any) -> str:
    if field is None:
        return ""
    text = ""
    for element in field.elements:
        text += f".{element.field_name}" if text else element.field_name
        if element.subscript is not None:
            text += f"[{element.subscript.value}]"
    return text
