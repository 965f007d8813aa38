"""The first step: what the call's metadata says."""

import random
import re
from dataclasses import dataclass
from typing import Any, Final

import grpc

from services.chassis.rpc.errors import RequestTooLarge

MAX_METADATA_BYTES: Final = 16 * 1024
"""Room for the largest token and as much again. The transport's own limit is above it and has no reason."""

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_BEARER: Final = "bearer "

SYSCALL_ID: Final = "aios-syscall-id"


@dataclass(slots=True)
class Headers:
    """The metadata the kernel reads."""

    token: str = ""
    syscall_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    """The span of this call, once begun."""
    parent_span: str = ""
    """The caller's span; empty when the trace begins here."""


def read(context: grpc.aio.ServicerContext[Any, Any], *, trust_ids: bool) -> Headers:
    """Read the metadata of a call; missing ids are made up.

    `trust_ids` says whether the caller's syscall id counts: behind the gateway it does. Raises
    RequestTooLarge.
    """
    headers, size = Headers(), 0
    for key, value in context.invocation_metadata() or ():
        size += len(key) + len(value)
        if not isinstance(value, str):
            continue
        if key == "authorization":
            headers.token = _bearer(value)
        elif key == SYSCALL_ID and trust_ids and _ID.fullmatch(value):
            headers.syscall_id = value
        elif key == "traceparent" and (match := _TRACEPARENT.fullmatch(value)):
            headers.trace_id, headers.parent_span = match[1], match[2]
    if size > MAX_METADATA_BYTES:
        raise RequestTooLarge(
            f"the call's metadata has {size} bytes, {MAX_METADATA_BYTES} are accepted",
            metadata={"size_bytes": str(size), "max_bytes": str(MAX_METADATA_BYTES)},
        )
    headers.syscall_id = headers.syscall_id or f"{random.getrandbits(96):024x}"
    headers.trace_id = headers.trace_id or f"{random.getrandbits(128):032x}"
    return headers


def address(context: Any) -> str:
    """Return where a call comes from, its port left out."""
    return str(context.peer()).rpartition(":")[0]


def _bearer(value: str) -> str:
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else ""
