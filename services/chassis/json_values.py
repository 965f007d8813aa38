"""How many values a JSON text holds, before anything parses it. Pure.

Parsing a text of brackets alone takes hundreds of milliseconds of the event loop for each megabyte, and no
thread would help: Python parses one text at a time. What is done here is done in native code, a slice at a
time, and others have their turn in between.
"""

from collections.abc import Iterator
from typing import Final

from services.chassis.rpc.errors import RequestTooLarge

MOST: Final = 50_000
"""Values of one request."""
_HARMLESS: Final = 64 * 1024
"""Bytes of a text that may hold whatever it wants."""
_SLICE: Final = 128 * 1024
"""Bytes that are looked at in a fraction of a millisecond."""
_MARKS: Final = (b"[", b"{", b",")
_BACKSLASH: Final = b"\\"


def counted(text: bytes, *, most: int = MOST) -> Iterator[None]:
    """Count the values of a JSON text, a slice for each step. Raises RequestTooLarge when there are too many.

    Up to the first place where it is no JSON the count is exact, or too high; no parser gets further.
    """
    if len(text) <= _HARMLESS:
        return
    found = 0
    for slice_ in _slices(text):
        found += _marks(slice_)
        yield
    if found <= most:  # even with what strings hold
        return
    count = ValueCount()
    for slice_ in _slices(text):
        count.add(slice_)
        if count.found > most:
            raise RequestTooLarge(
                f"the request holds more than {most} values", metadata={"max_values": str(most)}
            )
        yield


class ValueCount:
    """The values of one JSON text that comes in pieces, however it is cut."""

    def __init__(self) -> None:
        self.found = 0
        """Values so far: exact, or too high."""
        self._inside = False
        self._escaped = b""

    def add(self, piece: bytes) -> None:
        """Count the next piece."""
        piece = self._escaped + piece
        self._escaped = b""
        if (len(piece) - len(piece.rstrip(_BACKSLASH))) % 2:  # what it escapes comes with the next piece
            piece, self._escaped = piece[:-1], _BACKSLASH
        # Without escaped quotes each quote begins or ends a string: what lies outside is every other part.
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        self.found += _marks(b"".join(parts[self._inside :: 2]))
        self._inside ^= len(parts) % 2 == 0


def _slices(text: bytes) -> Iterator[bytes]:
    """Cut a text into pieces that are looked at in a moment."""
    for begin in range(0, len(text), _SLICE):
        yield text[begin : begin + _SLICE]


def _marks(text: bytes) -> int:
    return sum(map(text.count, _MARKS))
