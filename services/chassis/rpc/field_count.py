"""How many fields a protobuf message holds, before anything parses it. Pure.

Two bytes are an empty message within a message. Parsed, each of them takes fifty bytes, and two hundred more
once it is touched: a request within its bytes would grow a hundredfold. What is counted here is never made.
"""

from typing import Final, TypeAlias

from google.protobuf.descriptor import Descriptor

Inner: TypeAlias = "dict[int, Inner]"
"""The fields of a message that hold messages, by number, and what those hold."""

_VARINT: Final = 0
_EIGHT_BYTES: Final = 1
_WITH_LENGTH: Final = 2
_FOUR_BYTES: Final = 5
_LAST_WIRE_TYPE: Final = 5
_MORE: Final = 0x80
_WORD: Final = 0xFFFF_FFFF
_LONGEST_VARINT: Final = 70


class TooManyFields(ValueError):
    """A message holds more fields than it may."""


def inner(message: Descriptor) -> Inner:
    """Return where a message holds messages; one that holds itself comes back to itself."""
    return _inner(message, {})


def _inner(message: Descriptor, known: dict[str, Inner]) -> Inner:
    found = known.get(message.full_name)
    if found is None:
        found = known[message.full_name] = {}
        found |= {
            field.number: _inner(field.message_type, known)
            for field in message.fields
            if field.message_type is not None
        }
    return found


class FieldCount:
    """Counts the fields of one message and of all within it, some at a time.

    Bytes that no parser takes end the count: a parser gets no further either.
    """

    def __init__(self, data: bytes, shape: Inner, most: int) -> None:
        self._data = data
        self._left = most
        self._at = 0
        self._stack: list[tuple[int, Inner]] = [(len(data), shape)]
        """Where the messages end that lie around this place, and what they hold."""

    def go_on(self, steps: int) -> bool:
        """Look at up to so many further fields; tell whether all were seen. Raises TooManyFields."""
        for _ in range(steps):
            while self._stack and self._at >= self._stack[-1][0]:
                self._stack.pop()
            if not self._stack:
                return True
            if not self._left:
                raise TooManyFields
            self._left -= 1
            if not self._field():
                return True
        return False

    def _field(self) -> bool:
        """Pass one field, or step into it; False where the bytes are none."""
        end, shape = self._stack[-1]
        try:
            tag = self._varint() & _WORD
            kind = tag & 7
            if kind == _WITH_LENGTH:
                size = self._varint()
                if size > end - self._at:
                    return False
                held = shape.get(tag >> 3)
                if held is None:
                    self._at += size
                else:
                    self._stack.append((self._at + size, held))
            elif kind == _VARINT:
                self._varint()
            elif kind in {_EIGHT_BYTES, _FOUR_BYTES}:
                self._at += 8 if kind == _EIGHT_BYTES else 4
        except IndexError:  # cut off
            return False
        return kind <= _LAST_WIRE_TYPE

    def _varint(self) -> int:
        data, at = self._data, self._at
        value = data[at]
        at += 1
        if value >= _MORE:
            value &= _MORE - 1
            shift = 7
            while True:
                byte = data[at]
                at += 1
                value |= (byte & (_MORE - 1)) << shift
                shift += 7
                if byte < _MORE or shift > _LONGEST_VARINT:
                    break
        self._at = at
        return value
