"""What all services convert between protobuf and Python: times, durations, who asks."""

from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import InvalidRequest
from services.chassis.idempotency import request_digest
from services.chassis.identity import Caller, Kind
from services.chassis.once import Actor

_LONGEST: Final = 3.0e8
"""About ten years. Unit: seconds."""


def stamp(moment: datetime | None) -> Timestamp | None:
    """Write a time; None stays unset."""
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def moment(message: Message, field: str, name: str = "") -> datetime | None:
    """Read a Timestamp field, exact to the microsecond; None when unset.

    Raises InvalidRequest, about the field `name`, for a time beyond the calendar.
    """
    if not message.HasField(field):
        return None
    try:
        timestamp: Timestamp = getattr(message, field)
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest.field(name or field, "is not a time between the years 1 and 9999") from None


def actor_of(caller: Caller, method: str, request: Any) -> Actor:
    """Return who calls, and how a repeat of a request with a `request_id` is recognised."""
    digest = request_digest(request) if request.request_id else b""
    return Actor(caller.agent, method, request.request_id, digest, admin=caller.kind is Kind.ADMIN)


def duration(seconds: float) -> Duration:
    """Write a duration; a negative one becomes 0, one beyond ten years ten years."""
    converted = Duration()
    converted.FromNanoseconds(round(max(0.0, min(seconds, _LONGEST)) * 1e9))
    return converted
