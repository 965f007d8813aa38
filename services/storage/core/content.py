"""How bytes become pieces and pieces become the bytes that were asked for."""

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
    """Cut bytes into pieces that still carry their data. No bytes make no piece."""
    pieces = tuple(
        Piece(sha256(part), len(part), part)
        for part in (data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes))
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


def as_text(data: bytes) -> str | None:
    """Decode bytes that are text: valid UTF-8 without NUL. Anything else is None."""
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def head_as_text(data: bytes, *, complete: bool) -> str | None:
    """Decode the beginning of a content; unless `complete`, a character cut off at the end is dropped."""
    if complete:
        return as_text(data)
    for cut_off in range(4):  # a UTF-8 character has at most four bytes
        text = as_text(data[: len(data) - cut_off])
        if text is not None:
            return text
    return None


def extended(old: Content, last: bytes, more: bytes, digest: str) -> Content:
    """Return `old` with `more` at its end. `last` is the data of its last piece, which is cut anew with `more`."""
    kept = old.pieces[:-1] if old.pieces else ()
    return Content(digest, old.size + len(more), kept + cut(last + more).pieces)
