"""Text that others wrote, made harmless for a terminal.

Names, notes, answers and error messages may hold what a terminal obeys instead of showing: escape sequences
that move the cursor, set the title or clear the screen, and marks that turn the direction of writing.
"""

from typing import Final

_DIRECTION: Final = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_BREAKS: Final = (0x2028, 0x2029)
_LAST_BYTE: Final = 0xFF
_OBEYED: Final = (*range(0x20), *range(0x7F, 0xA0), *_DIRECTION, *_BREAKS)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code <= _LAST_BYTE else f"\\u{code:04x}"


_IN_LINES: Final = {code: _escape(code) for code in _OBEYED if chr(code) not in "\n\t"}
_IN_A_LINE: Final = {code: _escape(code) for code in _OBEYED} | {ord("\n"): "\\n", ord("\t"): " "}
_IN_JSON: Final = {code: f"\\u{code:04x}" for code in _OBEYED if chr(code) not in "\n\t\r"}


def lines(text: str) -> str:
    """Return a text of several lines with what a terminal would obey written out as its code."""
    return text.translate(_IN_LINES)


def line(text: str) -> str:
    """Return a text as one line, so that it cannot pass for rows of its own."""
    return text.translate(_IN_A_LINE)


def json(text: str) -> str:
    """Return JSON that says the same without a character that a terminal would obey."""
    return text.translate(_IN_JSON)
