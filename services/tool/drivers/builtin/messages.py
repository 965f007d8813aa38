"""Messages to worker processes of built-in tools: a request in JSON, then the bytes it is about. Pure."""

import json
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

_SIZE: Final = struct.Struct("<I")
_REFUSED: Final = b"!"
_DONE: Final = b"."


class Refused(ValueError):
    """The request cannot be answered; the message says why, to whoever asked."""


def packed(asked: Any, parts: Sequence[bytes]) -> bytes:
    """Return a message."""
    head = json.dumps(asked).encode()
    sizes = b"".join(_SIZE.pack(len(part)) for part in parts)
    return b"".join((_SIZE.pack(len(head)), head, _SIZE.pack(len(parts)), sizes, *parts))


def unpacked(message: bytes) -> tuple[Any, list[bytes]]:
    """Return what a message holds."""
    (length,) = _SIZE.unpack_from(message)
    at = _SIZE.size + length
    asked = json.loads(message[_SIZE.size : at])
    (count,) = _SIZE.unpack_from(message, at)
    sizes = struct.unpack_from(f"<{count}I", message, at + _SIZE.size)
    at += _SIZE.size * (count + 1)
    parts = []
    for size in sizes:
        parts.append(message[at : at + size])
        at += size
    return asked, parts


def refusing(answer: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return a handler of messages that tells a refusal from an answer."""

    def handle(message: bytes) -> bytes:
        try:
            return _DONE + answer(message)
        except Refused as error:
            return _REFUSED + str(error)[:1_000].encode(errors="replace")
        except RecursionError:
            return _REFUSED + b"it is nested too deep"

    return handle


def answered(told: bytes) -> bytes:
    """Return the answer that a handler gave. Raises Refused."""
    if told[:1] == _REFUSED:
        raise Refused(told[1:].decode(errors="replace"))
    return told[1:]
