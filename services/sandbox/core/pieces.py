"""What a program left, in pieces that fit into messages. Pure."""

from collections.abc import Iterator

from services.chassis.sandbox.terms import SandboxEnd
from services.sandbox.model import PIECE_BYTES, Part, Piece


def pieces(end: SandboxEnd) -> Iterator[Piece]:
    """Yield all that is kept; of an empty file one empty piece."""
    for part, data in ((Part.STDOUT, end.stdout), (Part.STDERR, end.stderr), (Part.ANSWER, end.answer)):
        for begin in range(0, len(data), PIECE_BYTES):
            yield Piece(part, data[begin : begin + PIECE_BYTES])
    for path, data in end.files.items():
        for begin in range(0, max(1, len(data)), PIECE_BYTES):
            yield Piece(Part.FILE, data[begin : begin + PIECE_BYTES], path)
