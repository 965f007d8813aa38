"""Values as JSON bytes: replies kept for repeats, snapshots in events. Unknown fields are ignored, so that rows
written by a newer version stay readable.
"""

import dataclasses
import hashlib
import types
import typing
from collections.abc import Mapping
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

    Raises ValueError when the bytes are not that.
    """
    value = _value(kind, orjson.loads(data))
    return typing.cast("T", value)


def fingerprint(method: str, arguments: Mapping[str, object]) -> bytes:
    """Digest a request: equal for equal arguments. The leading number is the version of this rule."""
    body = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(b"1\0" + method.encode() + b"\0" + body).digest()


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
        return tuple(_value(inner, item) for item in raw)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(raw)
    if hint is datetime:
        return datetime.fromisoformat(raw)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = _hints(hint)
        return hint(**{name: _value(hints[name], item) for name, item in raw.items() if name in hints})
    return raw
