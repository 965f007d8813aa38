"""Scopes, actors, names and times."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis import names
from services.chassis.errors import InvalidRequest
from services.chassis.idempotency import request_digest
from services.chassis.identity import Caller
from services.context.model import Actor, Scope


def scope(caller: Caller) -> Scope:
    """Return whose resources the call may touch."""
    return Scope(caller.tenant, caller.owner)


def actor(caller: Caller, method: str, request: Any) -> Actor:
    """Return who calls, and how a repeat of a request with a `request_id` is recognised."""
    digest = request_digest(request) if request.request_id else b""
    return Actor(caller.agent, method, request.request_id, digest)


def id_in(name: str, collection: str, caller: Caller, field: str = "name") -> str:
    """Return the id at the end of a resource name. Raises InvalidRequest."""
    return names.parse_in(name, collection, me=caller.agent, field=field).id


def stamp(moment: datetime) -> Timestamp:
    """Convert a time."""
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def moment(message: Message, field: str) -> datetime | None:
    """Read a Timestamp field; None when unset. Raises InvalidRequest for a time beyond the calendar."""
    if not message.HasField(field):
        return None
    try:
        timestamp: Timestamp = getattr(message, field)
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest.field(field, "is not a time between the years 1 and 9999") from None
