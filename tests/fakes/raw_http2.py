"""A client that speaks HTTP/2 frame by frame, to break off where gRPC's own client never would."""

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _WINDOW = 0x0, 0x1, 0x3, 0x4, 0x6, 0x8
_END_HEADERS: Final = 0x4
_END_STREAM: Final = 0x1
_ACK: Final = 0x1
FRAME_BYTES: Final = 16_384
_FIRST_WINDOW: Final = 65_535

Pairs = Sequence[tuple[str, str]]


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _text(text: str) -> bytes:
    """Write a string as HPACK does, without Huffman's code."""
    data = text.encode()
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest, more = len(data) - 127, b""
    while rest >= 128:
        more, rest = more + bytes((rest & 127 | 128,)), rest >> 7
    return b"\x7f" + more + bytes((rest,)) + data


def _head(path: str, metadata: Pairs) -> bytes:
    pairs = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *metadata,
    ]
    return b"".join(b"\x10" + _text(name) + _text(value) for name, value in pairs)


@dataclass
class RawConnection:
    """One connection. It sends as much as the server makes room for, and no request's end."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    window: int = _FIRST_WINDOW
    """Bytes that may be sent on the connection."""
    stream_window: int = _FIRST_WINDOW
    """What a new stream may send at first."""
    windows: dict[int, int] = field(default_factory=dict)
    """Bytes that may be sent on each stream."""
    taken: int = 0
    """Bytes of bodies that were sent."""
    ended: set[int] = field(default_factory=set)
    """Streams that the server ended."""
    closed: bool = False
    """Whether the server closed the connection."""
    most_streams: int | None = None
    """Requests that the server lets a client have under way at once; None: any number, or not told yet."""
    _next: int = 1

    @classmethod
    async def open(cls, port: int, *, takes: int | None = None) -> "RawConnection":
        """Connect to loopback and begin. `takes`: bytes of each answer that there is room for."""
        made = cls(*await asyncio.open_connection("127.0.0.1", port))
        settings = b"" if takes is None else struct.pack(">HI", 4, takes)
        made.writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, settings))
        return made

    def begin(self, path: str, metadata: Pairs = ()) -> int:
        """Begin a request and return its stream."""
        stream, self._next = self._next, self._next + 2
        self.windows[stream] = self.stream_window
        self.writer.write(_frame(_HEADERS, _END_HEADERS, stream, _head(path, metadata)))
        return stream

    def body(self, stream: int, data: bytes, *, ends: bool = False) -> int:
        """Send what there is room for of a part of a body; return how much that was."""
        sent = 0
        while sent < len(data) and stream not in self.ended:
            size = min(FRAME_BYTES, len(data) - sent, self.window, self.windows[stream])
            if size <= 0:
                break
            last = ends and sent + size == len(data)
            self.writer.write(_frame(_DATA, _END_STREAM if last else 0, stream, data[sent : sent + size]))
            sent += size
            self.window -= size
            self.windows[stream] -= size
        self.taken += sent
        return sent

    def reset(self, stream: int) -> None:
        """Give a request up."""
        self.writer.write(_frame(_RESET, 0, stream, struct.pack(">I", 8)))

    async def follow(self) -> None:
        """Take in what the server sends until it closes the connection."""
        try:
            while True:
                head = await self.reader.readexactly(9)
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                self._take(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed = True

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _WINDOW:
            more = int.from_bytes(payload, "big")
            if stream:
                self.windows[stream] = self.windows.get(stream, 0) + more
            else:
                self.window += more
        elif kind == _SETTINGS and not flags & _ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at : at + 6])
                if name == 4:
                    for each in self.windows:
                        self.windows[each] += value - self.stream_window
                    self.stream_window = value
                elif name == 3:
                    self.most_streams = value
            self.writer.write(_frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and not flags & _ACK:
            self.writer.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _RESET or (kind in (_HEADERS, _DATA) and flags & _END_STREAM):
            self.ended.add(stream)

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
