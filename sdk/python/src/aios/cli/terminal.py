"""All that the commands print, and the only place that prints.

Names, notes, answers, logs and error messages may hold what a terminal obeys instead of showing, or what
nobody sees: escape sequences that move the cursor, set the title or clear the screen, marks that turn the
direction of writing, characters without width. Whatever passes here has them written out as their codes.
"""

import os
import shutil
import sys
import traceback
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

_OBEYED: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"))
"""Kinds of characters that are no text: controls, marks of direction and joining, breaks, unassigned."""
_UNSEEN: Final = frozenset(
    {
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE0E),
        *range(0xE0100, 0xE01F0),
    }
)
"""Letters and marks that have no width. The two that choose between text and emoji are left alone."""
_LAST_BYTE: Final = 0xFF
_LAST_OF_FOUR: Final = 0xFFFF


class _Codes(dict[int, int | str]):
    """What stands for each character, found when it is first met."""

    def __init__(self, kept: dict[str, str], *, in_json: bool = False) -> None:
        super().__init__({ord(char): written for char, written in kept.items()})
        self._in_json = in_json

    def __missing__(self, code: int) -> int | str:
        if unicodedata.category(chr(code)) not in _OBEYED and code not in _UNSEEN:
            return code
        if not self._in_json and code <= _LAST_BYTE:
            written = f"\\x{code:02x}"
        elif code <= _LAST_OF_FOUR:
            written = f"\\u{code:04x}"
        elif self._in_json:
            high, low = divmod(code - 0x10000, 0x400)
            written = f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
        else:
            written = f"\\U{code:08x}"
        self[code] = written
        return written


_IN_LINES: Final = _Codes({"\n": "\n", "\t": "\t"})
_IN_A_LINE: Final = _Codes({"\n": "\\n", "\t": " "})
_IN_JSON: Final = _Codes({"\n": "\n", "\t": "\t", "\r": "\r"}, in_json=True)


def is_terminal() -> bool:
    """Whether a person reads the output."""
    return sys.stdout.isatty()


def is_coloured() -> bool:
    """Whether colours may be used: on a terminal that has them, unless NO_COLOR says no."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def lines(text: str) -> str:
    """Return a text of several lines with what a terminal would obey written out as its code."""
    return text if _is_plain(text) else text.translate(_IN_LINES)


def line(text: str) -> str:
    """Return a text as one line, so that it cannot pass for rows of its own."""
    return text if _is_plain(text) else text.translate(_IN_A_LINE)


def json(text: str) -> str:
    """Return JSON that says the same without a character that a terminal would obey."""
    return text if _is_plain(text) else text.translate(_IN_JSON)


def out(text: str, *, nl: bool = True) -> None:
    """Print a text of one or more lines, with a line end unless `nl` is false."""
    _write(sys.stdout, lines(text), nl=nl)


def err(text: str) -> None:
    """Print a text to the standard error."""
    _write(sys.stderr, lines(text), nl=True)


def out_json(text: str, *, to_err: bool = False) -> None:
    """Print JSON."""
    _write(sys.stderr if to_err else sys.stdout, json(text), nl=True)


def out_bytes(data: bytes) -> None:
    """Print a file: its bytes for a program, a harmless text for a person's terminal."""
    if sys.stdout.isatty():
        out(data.decode(errors="backslashreplace"), nl=False)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def labelled(label: str, text: str, colour: str = "") -> None:
    """Print one line with a label before it, which may have one of the terminal's colours."""
    shown = line(label)
    if colour:
        shown = f"\x1b[{int(colour)}m{shown}\x1b[0m"
    _write(sys.stdout, f"{shown} {line(text)}", nl=True)


def console(**options: Any) -> "Console":
    """Return a console for tables that shows no markup of others and lets no control of theirs through."""
    from rich.console import Console  # noqa: PLC0415  # keeps `aios --help` quick
    from rich.segment import Segment  # noqa: PLC0415  # same

    class HarmlessConsole(Console):
        """Controls that rich makes itself, to redraw a table, come as segments of their own kind."""

        def render(
            self, renderable: "RenderableType", options: "ConsoleOptions | None" = None
        ) -> "Iterable[Segment]":
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(lines(segment.text), segment.style)

    return HarmlessConsole(**{"highlight": False, "markup": False, "emoji": False, **options})


class Screen:
    """The whole of a terminal, drawn anew each time; what was on it comes back at the end."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        found = shutil.get_terminal_size()
        return found.columns, found.lines

    def draw(self, page: Sequence[str]) -> None:
        """Show lines, of which each is harmless, as one write: no half of a page is seen."""
        drawn = "\r\n".join(f"{line(each)}\x1b[K" for each in page)
        _write(sys.stdout, f"\x1b[H{drawn}\x1b[J", nl=False)


@contextmanager
def screen() -> Iterator[Screen]:
    """Take the whole terminal, as `top` and `less` do, and give it back however the block ends."""
    _write(sys.stdout, "\x1b[?1049h\x1b[?25l", nl=False)
    try:
        yield Screen()
    finally:
        _write(sys.stdout, "\x1b[?25h\x1b[?1049l", nl=False)


def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a defect of the program; what it says may quote others."""
    err("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"))


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _write(stream: IO[str], text: str, *, nl: bool) -> None:
    stream.write(f"{text}\n" if nl else text)
    stream.flush()
