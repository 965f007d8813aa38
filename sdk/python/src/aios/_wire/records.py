"""Protobuf messages as dataclasses, field by field, by name.

A dataclass of the SDK names the fields of the message it stands for. Times become aware datetimes,
durations seconds, enums the lower-case word after their prefix, structs plain Python, repeated fields
tuples. A test compares every pair of dataclass and message.
"""

import dataclasses
import re
from collections.abc import Mapping
from datetime import UTC
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from google.protobuf import json_format
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from aios._wire import common

T = TypeVar("T")


def record(kind: type[T], message: Message, **given: Any) -> T:
    """Return `message` as a `kind`; `given` sets or overrides fields that the message does not have."""
    fields: Mapping[str, Any] = message.DESCRIPTOR.fields_by_name
    values = dict(given)
    for name, hint in _hints(kind).items():
        if name not in given and name in fields:
            values[name] = _value(fields[name], message, hint)
    return kind(**values)


def _hints(kind: Any) -> Mapping[str, Any]:
    return _cached_hints(kind)


@cache
def _cached_hints(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _value(field: FieldDescriptor, message: Message, hint: Any) -> Any:
    raw = getattr(message, field.name)
    if _is_repeated(field):
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return dict(raw)
        return tuple(_single(field, one, hint) for one in raw)
    if field.has_presence and not message.HasField(field.name):
        # Where the dataclass has no None, the message's own empty value stands.
        return None if type(None) in get_args(hint) else _single(field, raw, hint)
    return _single(field, raw, hint)


def _single(field: FieldDescriptor, raw: Any, hint: Any) -> Any:
    if field.enum_type is not None:
        return enum_word(field.enum_type, raw)
    if field.message_type is not None:
        return _message(raw, hint)
    if field.type == FieldDescriptor.TYPE_FLOAT:
        # A 32-bit float shows its noise as a Python float: 0.8 would read 0.800000011920929.
        return float(f"{raw:.7g}")
    return raw


def _message(raw: Message, hint: Any) -> Any:
    full_name = raw.DESCRIPTOR.full_name
    if full_name == "google.protobuf.Timestamp":
        return raw.ToDatetime(tzinfo=UTC)  # type: ignore[attr-defined]
    if full_name == "google.protobuf.Duration":
        return common.seconds(raw)  # type: ignore[arg-type]
    if full_name in ("google.protobuf.Struct", "google.protobuf.Value"):
        return plain(json_format.MessageToDict(raw))
    return record(_dataclass_of(hint), raw)


def _dataclass_of(hint: Any) -> Any:
    """Return the dataclass in a hint such as `X | None` or `tuple[X, ...]`."""
    if dataclasses.is_dataclass(hint):
        return hint
    return next(_dataclass_of(part) for part in get_args(hint) if part not in (type(None), Ellipsis))


def plain(value: Any) -> Any:
    """Return a JSON value whose whole numbers are integers: in protobuf's Struct every number is a double."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@cache
def _prefix(enum: EnumDescriptor) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"


def enum_word(enum: EnumDescriptor, number: int) -> str:
    """Return an enum value as a word: `AGENT_STATE_ACTIVE` is `active`; an unknown one is its number."""
    value = enum.values_by_number.get(number)
    return value.name.removeprefix(_prefix(enum)).lower() if value else str(number)


def _is_repeated(field: FieldDescriptor) -> bool:
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    # Before protobuf 6.31.
    label: object = getattr(field, "label", None)
    return label == FieldDescriptor.LABEL_REPEATED
