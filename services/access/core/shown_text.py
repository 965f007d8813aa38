"""What a decider is shown of texts that agents control: whole, or visibly cut. Pure.

Nothing may hide: what does not show, turns the direction of writing or passes for another letter is written
as its code, and what is left out is told between MARK_OPEN and MARK_CLOSE. A text's own marks are written as
codes too, so that none of them is forged.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

MARK_OPEN: Final = "\u27ea"
MARK_CLOSE: Final = "\u27eb"
MAX_PREVIEW: Final = 16_384
"""Bytes of a preview of arguments."""
MAX_SUMMARY: Final = 512
"""Characters of a summary."""
MAX_COMMENT: Final = 8192
"""Characters of a comment, all of them codes."""
MAX_NAME: Final = 512
"""Characters of a person's name."""

_RUN: Final = 33
"""Blanks or codes in a row that are told as a number instead."""
_MARK_ROOM: Final = 256
"""Bytes kept free for the mark of a cut."""
_COMBINING_IN_A_ROW: Final = 3
_DELETE: Final = 0x7F
_NAMED: Final = 4
_SLICE: Final = 65_536
_NO_VISIBLE_ASCII: Final = re.compile(f"[^!-~]{{{_RUN},}}")
# Letters and marks that show as nothing: fillers, joiners, vowel separators, variation selectors, a blank.
_HIDDEN_OTHERS: Final = (
    0x034F,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    *range(0x180B, 0x1810),
    0x2800,
    0x3164,
    *range(0xFE00, 0xFE10),
    0xFFA0,
    *range(0xE0100, 0xE01F0),
)
# Letters that look like Latin ones: IPA, Greek, Cyrillic, Armenian, Cherokee, small capitals, Coptic, Lisu.
# Beside Latin letters, with nothing but signs between, they are written as codes.
_LOOKALIKES: Final = (
    "\u0131\u0237\u0250-\u02af\u0370-\u03ff\u0400-\u052f\u0530-\u058f\u13a0-\u13ff\u1d00-\u1d7f"
    "\u1f00-\u1fff\u2c80-\u2cff\ua4d0-\ua4ff\ua640-\ua69f\uab70-\uabbf"
)
# Those of them that are taken for the Latin letter even where no other stands beside them.
_TWINS: Final = (
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u0475\u04bb\u04cf\u0501\u050d\u051b\u051d"
    "\u0410\u0412\u0415\u0417\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408\u04ae\u04c0"
    "\u050c\u051a\u051c\u03b1\u03bd\u03bf\u03c1\u03c5\u03c7\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c"
    "\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u0561\u0563\u0566\u0570\u0578\u057d\u0581\u0585\u054d\u054f\u0555"
    "\u0131\u0237\u0250-\u02af\u13a0-\u13ff\u1d00-\u1d7f\u2c80-\u2cff\ua4d0-\ua4ff\uab70-\uabbf"
)
# Letters that look like digits.
_DIGIT_TWINS: Final = (
    "\u0417\u0437\u0431\u041e\u043e\u0406\u0456\u04c0\u04cf\u04e0\u039f\u03bf\u03c3\u0555\u0585"
)
# Signs that look like those names, numbers and JSON are made of: quotes, minus, colons, slashes, commas.
_SIGNS: Final = (
    "\u02ba\u02ee\u2033\u201f\u3003\u02d7\u2010\u2012\u2043\u2212\u02d0\u02f8\u0589\u05c3\u2236\ua789\u2044\u2215"
    "\u2571\u27cb\u29f8\u2216\u27cd\u29f5\u201a"
)
_OVERLAYS: Final = (*range(0x0334, 0x0339), *range(0x20D2, 0x20F1))
"""Marks that are drawn over or around a letter: a line through it makes it another one."""
_TOKEN: Final = re.compile(r'\\u[0-9a-fA-F]{4}|\\.|[^\s"\\]+')
_LATIN: Final = re.compile("[A-Za-z]")
_DIGIT: Final = re.compile("[0-9]")
_LOOKALIKE: Final = re.compile(f"[{_LOOKALIKES}]")
_DIGIT_TWIN: Final = re.compile(f"[{_DIGIT_TWINS}]")
_NO_TWIN: Final = re.compile(f"[^{_TWINS}\\W\\d_]")
_OTHERS: Final = re.compile("[^ -~]+")
_FEWEST_TWINS: Final = 3
_FIRST_OTHER: Final = 0x80
_LAST_MARK: Final = 0x1FFFF
"""No combining mark that shows lies above."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown of a text."""

    text: str
    truncated: bool
    """Whether anything is left out; `text` then says so."""


@cache
def _hidden() -> str:
    """Return the body of a character class: what does not show, and the marks. A plain blank is not in it."""
    found = {code for code in range(sys.maxunicode + 1) if not chr(code).isprintable()}
    return _class({*found, *_HIDDEN_OTHERS, ord(MARK_OPEN), ord(MARK_CLOSE)})


@cache
def _hidden_one() -> re.Pattern[str]:
    return re.compile(f"[{_hidden()}]")


@cache
def _blank_run() -> re.Pattern[str]:
    return re.compile(f"[ {_hidden()}]{{{_RUN},}}")


@cache
def _ambiguous() -> re.Pattern[str]:
    """Match what shows and is read as something else: forms of ASCII characters, digits of other scripts."""
    others = (code for code in range(_FIRST_OTHER, sys.maxunicode + 1) if chr(code).isprintable())
    found = {code for code in others if _passes_for_ascii(chr(code))}
    return re.compile(f"[{_class({*found, *_OVERLAYS})}{_SIGNS}]")


def _passes_for_ascii(char: str) -> bool:
    return unicodedata.category(char) == "Nd" or unicodedata.normalize("NFKC", char).isascii()


@cache
def _stacked() -> re.Pattern[str]:
    """Match the marks on a letter behind the third: more of them are written over other lines."""
    marks = _class({code for code in range(_LAST_MARK) if unicodedata.category(chr(code)) in ("Mn", "Me")})
    return re.compile(f"(?<=[{marks}]{{{_COMBINING_IN_A_ROW}}})[{marks}]+")


def _class(codes: AbstractSet[int]) -> str:
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in _ranges(sorted(codes)))


def _ranges(codes: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return found


def arguments(text: str, digest: str) -> Preview:
    """Show the arguments of a call: canonical JSON of any size, whose SHA-256 is `digest`.

    What is short and shows is the JSON itself, with its letters instead of their codes; codes are JSON's own,
    so that text which merely looks like one differs by its second backslash.
    """
    whole = f"{len(_bytes(text))} bytes in all, sha256 {digest}"
    return _preview(readable(text), MAX_PREVIEW, whole)


def unknown_arguments(preview: str, digest: str) -> Preview:
    """Show arguments of which only the beginning is known."""
    mark = f"{MARK_OPEN}the whole arguments were not told; sha256 {digest}{MARK_CLOSE}"
    known = _preview(preview, MAX_PREVIEW - _MARK_ROOM, f"{len(_bytes(preview))} bytes were told")
    return Preview(f"{known.text} {mark}", truncated=True)


def readable(text: str) -> str:
    """Return JSON text with its letters instead of their codes; a text that is no JSON as it is."""
    try:
        value: Any = json.loads(text)
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return text


def part(text: str) -> Preview:
    """Show a text of any size, uncut but for runs of what does not show, which are told as a number."""
    pieces = _pieces(text)
    shown = "".join(piece if marked else _written(piece) for piece, marked in pieces)
    return Preview(shown, any(marked for _, marked in pieces))


def line(text: str, most: int) -> str:
    """Show a text in one line of at most `most` characters; a longer one is cut in its middle with a mark."""
    return _preview(text, most, f"{len(text)} characters in all", len).text


def _preview(text: str, most: int, whole: str, size: Callable[[str], int] | None = None) -> Preview:
    """Show a text in at most `most` bytes, or of what `size` counts."""
    size = size or _size
    pieces = _pieces(text)
    left_out = any(marked for _, marked in pieces)
    if sum(len(piece) for piece, _ in pieces) <= most:
        shown = "".join(piece if marked else _written(piece) for piece, marked in pieces)
        if size(shown) <= most:
            return Preview(shown, left_out)
    mark = f"{MARK_OPEN}cut: the middle is not shown; {whole}{MARK_CLOSE}"
    room = most - size(mark)
    # A character takes one unit at least: what lies between the first and the last `most` is never kept.
    head = _head(_units(pieces, most), room * 2 // 3, size)
    tail = _head(_units(pieces, most, last=True), room // 3, size)
    return Preview("".join(head) + mark + "".join(reversed(tail)), truncated=True)


def _pieces(text: str) -> list[tuple[str, bool]]:
    """Split a text into what is written and what is told between marks."""
    pieces, position = [], 0
    for first, last in _runs(text):
        pieces += [(text[position:first], False), (_told(text[first:last]), True)]
        position = last
    return [*pieces, (text[position:], False)]


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Find the long runs of what does not show; a very long one comes in several parts.

    In slices, since a search holds all threads of the process up; the wide class is tried only where the
    quick one found something.
    """
    for begin in range(0, len(text), _SLICE):
        for near in _NO_VISIBLE_ASCII.finditer(text, begin, min(begin + _SLICE, len(text))):
            for run in _blank_run().finditer(text, *near.span()):
                yield run.span()


def _units(pieces: Sequence[tuple[str, bool]], most: int, *, last: bool = False) -> list[str]:
    """Return what may stand alone, in order, or from the last one on: marks, codes and characters.

    A text cut within a code or a mark would show the rest of it as text.
    """
    found: list[str] = []
    for piece, marked in reversed(pieces) if last else pieces:
        if marked:
            found.append(piece)
        else:
            near = piece[-most:] if last else piece[:most]
            units = _UNIT.findall(_written(near))
            found += reversed(units) if last else units
        if len(found) > most:
            break
    return found


def _head(units: Sequence[str], room: int, size: Callable[[str], int]) -> list[str]:
    kept, used = 0, 0
    for unit in units:
        used += size(unit)
        if used > room:
            break
        kept += 1
    return list(units[:kept])


def _written(text: str) -> str:
    return _OTHERS.sub(lambda run: _without_hidden(run[0]), _TOKEN.sub(_unmixed, text))


def _without_hidden(text: str) -> str:
    text = _stacked().sub(lambda run: "".join(map(_code, run[0])), text)
    text = _ambiguous().sub(lambda one: _code(one[0]), text)
    return _hidden_one().sub(lambda one: _code(one[0]), text)


def _unmixed(token: re.Match[str]) -> str:
    """Write the letters of a token that pass for others as codes: beside those, or when all of them do."""
    text = token[0]
    if text.isascii():
        return text
    letters = _LOOKALIKE.findall(text)
    if _LATIN.search(text) or (len(letters) >= _FEWEST_TWINS and not _NO_TWIN.search(text)):
        return _LOOKALIKE.sub(lambda one: _code(one[0]), text)
    return _DIGIT_TWIN.sub(lambda one: _code(one[0]), text) if _DIGIT.search(text) else text


def _code(char: str) -> str:
    """Write a character as JSON does: as one or two groups of four hexadecimal digits."""
    code = ord(char)
    if code >= _FIRST_OTHER:
        groups = char.encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{groups[at : at + 4]}" for at in range(0, len(groups), 4))
    return json.dumps(char)[1:-1] if code != _DELETE else "\\u007f"  # JSON lets it stand


def _told(run: str) -> str:
    kinds = sorted(set(run))
    names = ", ".join(f"{run.count(one)} of U+{ord(one):04X}" for one in kinds[:_NAMED])
    more = f" and {len(kinds) - _NAMED} other kinds" if len(kinds) > _NAMED else ""
    return f"{MARK_OPEN}{len(run)} characters that do not show: {names}{more}{MARK_CLOSE}"


def _size(text: str) -> int:
    return len(_bytes(text))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


_UNIT: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL
)
