"""Lines of a text, and exact replacements in it. Pure, and linear in the text."""

from dataclasses import dataclass, field
from typing import Final

from services.tool.core.files import MAX_FILE_BYTES
from services.tool.drivers.builtin.limits import MAX_LINE_BYTES, MAX_SHOWN_BYTES
from services.tool.errors import ToolFailed

_PIECE: Final = 4_096


@dataclass(slots=True)
class LineCollector:
    """Takes the bytes of a text in parts, and keeps the lines that were asked for."""

    first: int
    """Counted from 1."""
    most: int
    line: int = 1
    """The line that is being read."""
    begun: int = 0
    """How much of it was read. Unit: bytes."""
    shown: int = 0
    """Lines kept, whole or by their beginnings."""
    cut: bool = False
    """Whether a line was longer than is shown."""
    full: bool = False
    """Whether no more is taken."""
    _kept: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        """Take the next bytes, as far as lines are still wanted."""
        at = self._skip(data)
        while at < len(data) and not self.full:
            found = data.find(b"\n", at)
            end = len(data) if found < 0 else found + 1
            self._take(data[at:end])
            if found >= 0:
                self._next()
            at = end

    def _skip(self, data: bytes) -> int:
        """Pass over lines before the first one wanted; return where in `data` what follows begins.

        By counting in pieces, not line by line: millions of them take milliseconds.
        """
        at = 0
        while self.line < self.first and at < len(data):
            piece = data[at : at + _PIECE]
            ends = piece.count(b"\n")
            if self.line + ends < self.first:
                self.line, at = self.line + ends, at + len(piece)
                continue
            while self.line < self.first:
                at = data.index(b"\n", at) + 1
                self.line += 1
            self.begun = 0
        return at

    def finish(self) -> None:
        """Count what follows the last end of a line as a line of its own."""
        if self.begun and not self.full:
            self._next()

    @property
    def text(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)

    def _take(self, piece: bytes) -> None:
        room = max(0, MAX_LINE_BYTES - self.begun)
        self.begun += len(piece)
        kept = piece[:room]
        if len(kept) < len(piece):
            self.cut = True
            kept += b"\n" if piece.endswith(b"\n") else b""
        if len(self._kept) + len(kept) > MAX_SHOWN_BYTES:
            self.full = True
            return
        self._kept += kept

    def _next(self) -> None:
        self.shown += 1
        self.line, self.begun = self.line + 1, 0
        self.full = self.full or self.shown >= self.most


def replaced(text: str, old: str, new: str, *, everywhere: bool) -> tuple[str, int]:
    """Return a text with `old` replaced by `new`, and how often it was.

    Raises ToolFailed when it is not there, is there more than once unless `everywhere`, or the result would
    be longer than a file may be.
    """
    found = text.count(old)
    if found == 0:
        raise ToolFailed("old_text is not in the file: read it again, white space counts")
    if found > 1 and not everywhere:
        raise ToolFailed(f"old_text is in the file {found} times: take in more around it, or set replace_all")
    # Before anything is made: a short text replaced by a long one everywhere is a bomb.
    if len(text) + found * (len(new) - len(old)) > MAX_FILE_BYTES:
        raise ToolFailed(f"the file would be longer than {MAX_FILE_BYTES} bytes")
    return text.replace(old, new), found


def decoded(data: bytes) -> str:
    """Return bytes as a text. Raises ToolFailed for what is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ToolFailed("the file is no text in UTF-8") from error
    if "\0" in text:
        raise ToolFailed("the file is no text")
    return text


def shown(data: bytes) -> str:
    """Return bytes as a text to read, cut characters and what is no text shown by a sign."""
    return data.decode(errors="replace")
