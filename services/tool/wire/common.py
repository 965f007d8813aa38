"""Names and JSON values."""

from typing import Any, Final

from google.protobuf import struct_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from services.chassis.auth.identity import Caller, Scope
from services.chassis.constraints.schemas import depth
from services.chassis.rpc import names

TOOLS: Final = "tools"
CALLS: Final = "calls"
_DEEPEST: Final = 24
"""Deepest JSON that fits into protobuf's own limit of nested messages, three for each level."""
_EXACT: Final = 1 << 53


def own_scope(caller: Caller) -> Scope:
    """Return the caller's own scope."""
    return Scope(caller.tenant, caller.agent, caller.tree)


def tool_id(name: str, field: str = "name") -> str:
    """Return the id in the name of a tool. Raises InvalidRequest."""
    return names.parse_in(name, TOOLS, field=field).id


def call_id(name: str, caller: Caller, field: str = "name") -> tuple[str, str]:
    """Return the agent and the id in the name of a call. Raises InvalidRequest."""
    parsed = names.parse_in(name, CALLS, me=caller.agent, field=field)
    return parsed.owner, parsed.id


def call_name(agent: str, identifier: str) -> str:
    """Return the name of a call."""
    return names.in_agent(agent, CALLS, identifier)


def seconds(message: Message, field: str) -> float | None:
    """Read a Duration field; None when unset."""
    if not message.HasField(field):
        return None
    duration: Duration = getattr(message, field)
    return duration.seconds + duration.nanos / 1e9


def plain(value: struct_pb2.Value) -> Any:
    """Return a JSON value from protobuf; whole numbers become integers as far as doubles are exact."""
    match value.WhichOneof("kind"):
        case "struct_value":
            return plain_object(value.struct_value)
        case "list_value":
            return [plain(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) < _EXACT else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def plain_object(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return a JSON object from protobuf."""
    return {key: plain(value) for key, value in struct.fields.items()}


def shown(value: Any) -> struct_pb2.Value | None:
    """Return a JSON value as protobuf; None when it is too deep for that, or a number too large."""
    if depth(value) > _DEEPEST:
        return None
    try:
        return _shown(value)
    except OverflowError:
        return None


def _shown(value: Any) -> struct_pb2.Value:
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=float(value))
        case str():
            return struct_pb2.Value(string_value=value)
        case dict():
            fields = {key: _shown(item) for key, item in value.items()}
            return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
        case _:
            items = [_shown(item) for item in value]
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
