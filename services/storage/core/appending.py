"""How an append extends a content: by a piece of its own, joined with the small pieces before it."""

import codecs
from dataclasses import dataclass

from services.storage.core.content import INLINE_BYTES, PIECE_BYTES, cut, sha256
from services.storage.core.texts import INDEXED_CHARACTERS
from services.storage.model import Link, Node, Piece

LINK_PREFIX = "appended-"
"""Begins the digest of every link: it is no SHA-256 of the bytes, and can never equal one."""

HEAD_BYTES = 4 * INDEXED_CHARACTERS
"""The indexed beginning of a text lies in the first bytes of this number."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest version of the file that is appended to."""

    node: Node
    link: Link | None
    """Set when the version was itself made by appending to a file above INLINE_BYTES."""
    text: str | None
    """What search knows of it; None when it has no entry."""

    @property
    def pending(self) -> bytes | None:
        """The bytes at the end that begin a character of UTF-8; None when the file is taken for no text."""
        if self.link is not None:
            return self.link.pending
        return None if self.text is None else b""


@dataclass(frozen=True, slots=True)
class Base:
    """What new links build on."""

    digest: str
    size: int
    """Unit: bytes."""


def stays_small(old: int, added: int) -> bool:
    """Tell whether a file of these lengths, in bytes, is written whole rather than extended."""
    return old == 0 or old + added <= INLINE_BYTES


def joins(before: int, after: int) -> bool:
    """Tell whether a piece of `after` bytes takes in the one of `before` bytes that it follows.

    Each piece that stays is at least twice as long as the next one, or the two would not fit into one piece.
    So a file of n bytes has at most 2n / PIECE_BYTES + 21 pieces that appends made, and a byte is stored
    again about as often as the logarithm of PIECE_BYTES: many tiny appends cost neither.
    """
    return before < 2 * after and before + after <= PIECE_BYTES


def name_link(base: str, piece: Piece) -> str:
    """Name a content by what it builds on and its own piece: equal names mean equal bytes."""
    return LINK_PREFIX + sha256(f"{base}\n{piece.digest}\n{piece.size}".encode())


def is_sha256(digest: str) -> bool:
    """Tell whether a content's digest is the SHA-256 of its bytes."""
    return not digest.startswith(LINK_PREFIX)


def extend(base: Base, data: bytes, pending: bytes | None) -> list[Link]:
    """Return the links that add `data` to `base`, the last one names the result; pieces carry their data."""
    digest, size = base.digest, base.size
    links: list[Link] = []
    for piece in cut(data).pieces:
        digest, size = name_link(digest, piece), size + piece.size
        links.append(Link(digest, links[-1].digest if links else base.digest, size, piece, pending))
    return links


def decode_more(pending: bytes | None, added: bytes) -> tuple[str, bytes | None]:
    """Go on decoding a text; return the characters completed and what now waits for its other bytes.

    The second is None when the whole is no text: not UTF-8, or with a NUL in it.
    """
    if pending is None:
        return "", None
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(pending + added)
    except UnicodeDecodeError:
        return "", None
    return text, None if "\0" in text else decoder.getstate()[0]
