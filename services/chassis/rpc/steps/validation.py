"""The last step before the handler: the rules written in the proto."""

from typing import Any, Final

import protovalidate
from google.protobuf.message import DecodeError, Message

from services.chassis.rpc.errors import FieldViolation, InvalidRequest, RequestTooLarge
from services.chassis.rpc.methods import Method
from services.chassis.rpc.steps.mapping import malformed

_VALIDATOR = protovalidate.Validator()
_SMALL_BYTES: Final = 2048
_MAX_VIOLATIONS: Final = 16


def parse(method: Method, raw: bytes) -> Message:
    """Parse a request. Raises RequestTooLarge or MalformedRequest."""
    if len(raw) > method.max_request_bytes:
        raise RequestTooLarge(
            f"the request has {len(raw)} bytes, {method.label} accepts {method.max_request_bytes}",
            metadata={"size_bytes": str(len(raw)), "max_bytes": str(method.max_request_bytes)},
        )
    try:
        return method.request.FromString(raw)
    except DecodeError:
        raise malformed(method.label) from None


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


def _violation(proto: Any) -> FieldViolation:
    return FieldViolation(_path(proto.field), proto.message or proto.rule_id)


def _path(field: Any) -> str:
    if field is None:
        return ""
    text = ""
    for element in field.elements:
        text += f".{element.field_name}" if text else element.field_name
        if element.subscript is not None:
            text += f"[{element.subscript.value}]"
    return text
