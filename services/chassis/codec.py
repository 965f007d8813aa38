"""Values as JSON bytes, for rows and for replies kept for repeats.

Unknown fields are ignored and missing ones take their default, so that rows written by another version stay
readable.
"""

import dataclasses
import types
import typing
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import orjson

T = TypeVar("T")


def encode(value: object) -> bytes:
    """Encode a dataclass of strings, numbers, times, enums, tuples, string maps and further dataclasses."""
    return orjson.dumps(value)


def decode(kind: type[T], data: bytes) -> T:
    """Decode what `encode` made of an instance of `kind`.

    Raises ValueError when the bytes are not JSON, TypeError when a field without default is missing.
    """
    return typing.cast("T", _value(kind, orjson.loads(data)))


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, raw: Any) -> Any:
    if isinstance(hint, types.UnionType):
        if raw is None:
            return None
        hint = next(argument for argument in typing.get_args(hint) if argument is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(raw) if inner in (int, str) else tuple(_value(inner, item) for item in raw)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(raw)
    if hint is datetime:
        return datetime.fromisoformat(raw)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = _hints(hint)
        return hint(**{name: _value(hints[name], item) for name, item in raw.items() if name in hints})
    return raw
