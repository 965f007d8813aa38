"""Server-sent events as inference servers send them. Pure."""

from typing import Final

import orjson

from gateway.inference.errors import BackendBroken

MAX_LINE: Final = 8 * 1024 * 1024
"""Bytes of one event at most."""
_MARK: Final = b"\xef\xbb\xbf"


class EventLines:
    """Cuts a stream of bytes into the data of its events, wherever the chunks happen to end.

    Comments, other fields and empty data are left out. An event is complete at the end of its line, because
    some servers forget the blank line after it; only an object whose end is still to come is waited for, up
    to the blank line. A line that is an object by itself is data too. An event named `error`, and a line of
    that name as llama.cpp sends it, are given as `{"error": ...}`. Lines end in LF, CR or both, a byte order
    mark is no part of the first, and a field's name that a proxy wrote twice counts once.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._held: list[bytes] = []
        """Lines of an object that is not complete yet: joined once, since there may be a million."""
        self._held_bytes = 0
        self._event = b""
        self._begun = False
        self._after_cr = False

    @property
    def held(self) -> int:
        """Bytes of an event whose end is still to come."""
        return len(self._rest) + self._held_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that `chunk` completes. Raises BackendBroken for an endless one."""
        lines, newline, rest = self._with_newlines(chunk).rpartition(b"\n")
        found: list[bytes] = []
        if newline:
            whole, self._rest = bytes(self._rest) + lines, bytearray()
            for line in whole.split(b"\n"):
                found += self._line(self._cleaned(line))
        self._rest += rest
        if self.held > MAX_LINE:
            raise BackendBroken("an event of the stream has no end")
        return found

    def close(self) -> list[bytes]:
        """Return the data of an event that only the end of the stream completes."""
        last, self._rest = bytes(self._rest), bytearray()
        found = self._line(self._cleaned(last))
        return [data for data in [*found, *self._line(b"")] if not data.startswith(b"{") or _ends(data)]

    def _with_newlines(self, chunk: bytes) -> bytes:
        """Return a chunk whose lines all end in LF; a CR may end it whose LF begins the next one."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in chunk else chunk

    def _cleaned(self, line: bytes) -> bytes:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_MARK)
        return line.strip()

    def _line(self, line: bytes) -> list[bytes]:
        if not line:
            held = self._taken()
            named, self._event = self._event, b""
            return [_named(named, held)] if held else []
        field, colon, value = line.partition(b":")
        if line.startswith(b"{"):
            return self._data(line)
        if field == b"event" and colon:
            self._event = value.strip()
        elif field == b"error" and value.strip():
            return [_named(b"error", value.strip())]
        elif field == b"data" and (data := _unrepeated(value)):
            return self._data(data)
        return []

    def _data(self, data: bytes) -> list[bytes]:
        first = not self._held
        self._held.append(data)
        self._held_bytes += len(data) + 1
        if not first or (data.startswith(b"{") and not _ends(data)):
            return []
        return [_named(self._event, self._taken())]

    def _taken(self) -> bytes:
        held, self._held, self._held_bytes = b"\n".join(self._held), [], 0
        return held


def _unrepeated(value: bytes) -> bytes:
    """Return the value of a field, also where a proxy put `data:` before what already began with it."""
    value = value.strip()
    return value.removeprefix(b"data:").strip()


def _ends(data: bytes) -> bool:
    return data.endswith(b"}")


def _named(event: bytes, data: bytes) -> bytes:
    if event != b"error":
        return data
    told = data if data.startswith((b"{", b'"')) else orjson.dumps(data.decode(errors="replace"))
    return b'{"error":' + told + b"}"
