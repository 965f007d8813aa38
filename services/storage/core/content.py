"""How bytes become pieces and pieces become the bytes that were asked for."""

import codecs
import hashlib
from collections.abc import Iterator, Sequence

from services.storage.model import Content, Piece

PIECE_BYTES = 1024 * 1024
"""Largest piece. A piece is verified whole before a byte of it is sent."""

INLINE_BYTES = 16 * 1024
"""Pieces up to this size lie in the index: one durable commit instead of one more file and two more syncs."""


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def cut(data: bytes, *, piece_bytes: int = PIECE_BYTES) -> Content:
    """Cut bytes into pieces that still carry their data. No bytes make one empty piece."""
    pieces = tuple(
        Piece(sha256(part), len(part), part)
        for part in (data[at : at + piece_bytes] for at in range(0, len(data) or 1, piece_bytes))
    )
    digest = pieces[0].digest if len(pieces) == 1 else sha256(data)
    return Content(digest, len(data), pieces)


def is_inline(size: int) -> bool:
    """Tell whether a piece of this size lies in the index."""
    return size <= INLINE_BYTES


def spans(pieces: Sequence[Piece], offset: int, length: int) -> Iterator[tuple[Piece, int, int]]:
    """Yield the pieces that hold bytes [offset, offset + length), each with its own (start, stop)."""
    end = offset + length
    at = 0
    for piece in pieces:
        start, stop = max(offset - at, 0), min(end - at, piece.size)
        if start < stop:
            yield piece, start, stop
        at += piece.size
        if at >= end:
            return


class Scanner:
    """Takes the bytes of a content once, in order: names them, and finds out whether they are text."""

    def __init__(self, keep: int) -> None:
        self._hash = hashlib.sha256()
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self._keep = keep
        self._head = ""
        self.size = 0
        """Unit: bytes."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(data)
        self.size += len(data)
        self._decode(data, final=False)

    @property
    def digest(self) -> str:
        """SHA-256 of all bytes, hexadecimal."""
        return self._hash.hexdigest()

    def text(self) -> str | None:
        """Return the first `keep` characters of a text: valid UTF-8 without NUL. None when it is none."""
        self._decode(b"", final=True)
        return self._head[: self._keep] if self._decoder else None

    def _decode(self, data: bytes, *, final: bool) -> None:
        if self._decoder is None:
            return
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError:
            self._decoder = None
            return
        if "\0" in text:
            self._decoder = None
        elif len(self._head) < self._keep:
            self._head += text[: self._keep - len(self._head)]
