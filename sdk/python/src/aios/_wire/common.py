"""Times, durations, enums and names."""

import math
from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

NANOS = 1_000_000_000


def seconds(duration: Duration) -> float:
    """Return a duration in seconds."""
    return duration.seconds + duration.nanos / NANOS


def duration(value: float | None) -> Duration | None:
    """Return `value` seconds as a duration; None stays None."""
    if value is None:
        return None
    whole = math.floor(value)
    return Duration(seconds=whole, nanos=round((value - whole) * NANOS))


def moment(message: Message, field: str) -> datetime | None:
    """Return a timestamp field as UTC, or None when it is unset."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(tzinfo=UTC)


def span(message: Message, field: str) -> float | None:
    """Return a duration field in seconds, or None when it is unset."""
    return seconds(getattr(message, field)) if message.HasField(field) else None


def timestamp(value: datetime | None) -> Timestamp | None:
    """Return a time as a timestamp; naive times are refused, because nobody knows what they mean."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a time needs a time zone, such as datetime.now(UTC)")
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def word(enum: Any, prefix: str, number: int) -> str:
    """Return an enum value as the lower-case word after its prefix; a value unknown here as its number."""
    try:
        name: str = enum.Name(number)
    except ValueError:
        return str(number)
    return name.removeprefix(prefix).lower()


def number(enum: Any, prefix: str, value: str, what: str) -> int:
    """Return the number of an enum word. Raises ValueError with the allowed words."""
    name, names = prefix + value.upper(), list(enum.keys())
    if name not in names:
        allowed = [key.removeprefix(prefix).lower() for key in names if not key.endswith("_UNSPECIFIED")]
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, not {value!r}")
    found: int = enum.Value(name)
    return found


def agent_name(agent: str) -> str:
    """Return the resource name of an agent given by id or name; empty stays empty."""
    return agent if not agent or agent.startswith("agents/") else f"agents/{agent}"
