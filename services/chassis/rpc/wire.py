"""What all services convert between protobuf and Python: times, durations, who asks, scheduling hints."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.agent.v1 import agent_pb2
from aios.api.common.v1 import quotas_pb2
from services.chassis.auth.identity import Caller, Kind
from services.chassis.dispatch.scheduling import ANYTHING, Caps, Hints, HintsAsked, SchedulingClass
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Level, Usage
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.shares import Openings

_LEVELS: Final = {
    Level.AGENT: quotas_pb2.QUOTA_LEVEL_AGENT,
    Level.TREE: quotas_pb2.QUOTA_LEVEL_TREE,
    Level.TENANT: quotas_pb2.QUOTA_LEVEL_TENANT,
}
_CLASSES: Final = {
    agent_pb2.SCHEDULING_CLASS_REALTIME: SchedulingClass.REALTIME,
    agent_pb2.SCHEDULING_CLASS_INTERACTIVE: SchedulingClass.INTERACTIVE,
    agent_pb2.SCHEDULING_CLASS_NORMAL: SchedulingClass.NORMAL,
    agent_pb2.SCHEDULING_CLASS_BATCH: SchedulingClass.BATCH,
    agent_pb2.SCHEDULING_CLASS_IDLE: SchedulingClass.IDLE,
}
_CLASS_NUMBERS: Final = {kind: number for number, kind in _CLASSES.items()}
_DIGEST_VERSION: Final = b"1"

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


def request_digest(request: Message) -> bytes:
    """Return a digest of everything in a request but its `request_id`.

    Bytes of the same message may differ between versions of protobuf; a repeat across an upgrade of the
    service may then be refused as a mismatch, never answered wrongly.
    """
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("request_id")
    return _DIGEST_VERSION + hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()


def request_identity(caller: Caller, method: str, request: Any) -> RequestIdentity:
    """Return who calls, and how a repeat of a request with a `request_id` is recognised."""
    digest = request_digest(request) if request.request_id else b""
    admin = caller.kind is Kind.ADMIN
    return RequestIdentity(
        caller.agent,
        method,
        request.request_id,
        digest,
        admin=admin,
        tree=caller.tree,
        untrusted=caller.leaves_untrusted,
    )


def quota_usage(
    used: Sequence[Usage], caller: Caller, openings: Openings | None = None
) -> list[quotas_pb2.QuotaUsage]:
    """Write what is used, and what is open in the process that answers.

    How much a whole tenant keeps is told to administrators only.
    """
    told = caller.kind is Kind.ADMIN
    return [
        quotas_pb2.QuotaUsage(
            quota=one.quota,
            level=_LEVELS[one.level],
            used=one.used if told or one.level is not Level.TENANT else 0,
            limit=one.limit,
        )
        for one in (*used, *(openings.told(caller.scope.charged) if openings is not None else ()))
    ]


def duration(seconds: float) -> Duration:
    """Write a duration; a negative one becomes 0, one beyond ten years ten years."""
    converted = Duration()
    converted.FromNanoseconds(round(max(0.0, min(seconds, _LONGEST)) * 1e9))
    return converted


def hints_asked(message: agent_pb2.SchedulingHints) -> HintsAsked:
    """Read the fields that are set. A zero that was sent is a zero; only a weight has no meaningful one."""
    return HintsAsked(
        scheduling_class=_CLASSES.get(message.scheduling_class),
        weight=message.weight or None,
        priority=message.priority if message.HasField("priority") else None,
        max_wait=_seconds(message.max_wait) if message.HasField("max_wait") else None,
        deadline=_seconds(message.deadline) if message.HasField("deadline") else None,
        policy=message.policy if message.HasField("policy") else None,
    )


def hints(message: agent_pb2.SchedulingHints) -> Hints:
    """Read the hints of an agent; what is not set is the default."""
    return Hints().overlaid(hints_asked(message), ANYTHING)


def caps(message: agent_pb2.SchedulingCaps) -> Caps:
    """Read the most that an agent may ask for."""
    default = Caps()
    return Caps(
        highest_class=_CLASSES.get(message.highest_class, default.highest_class),
        highest_weight=message.highest_weight or default.highest_weight,
        lowest_priority=message.lowest_priority,
        policies=frozenset(message.policies.names) if message.HasField("policies") else None,
        shortest_deadline=_seconds(message.shortest_deadline),
    )


def hints_message(hints: Hints) -> agent_pb2.SchedulingHints:
    """Write hints of which every field is known."""
    return agent_pb2.SchedulingHints(
        scheduling_class=_CLASS_NUMBERS[hints.scheduling_class],
        weight=hints.weight,
        priority=hints.priority,
        max_wait=None if hints.max_wait is None else duration(hints.max_wait),
        deadline=None if hints.deadline is None else duration(hints.deadline),
        policy=hints.policy,
    )


def _seconds(message: Duration) -> float:
    return message.ToNanoseconds() / 1e9
