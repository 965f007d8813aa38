"""Reads values out of what a backend sends, which may be anything. Pure.

What is harmless is read: other events, missing and empty fields, numbers in another form. What would lose or
change a part of the answer is BackendBroken, a typed failure of the one call.
"""

import json
import math
import re
from typing import Any, Final

import orjson

from gateway.inference.core.json_text import lenient, mended
from gateway.inference.errors import BackendBroken
from gateway.inference.model import LARGEST_INT32, LONGEST_NAME

MOST: Final = LARGEST_INT32
_MOST_LENIENT: Final = 2**20
"""Bytes up to which what is no strict JSON is decoded leniently, which takes ten times as long."""
_MOST_DIGITS: Final = 10
MOST_OBJECTS: Final = 2048
"""Objects that one event may hold: each takes a hundred steps, however short it is."""
MOST_SILENT: Final = 65_536
"""Events in a row that may tell nothing of the answer."""
_OBJECTS: Final = (b"{", b"[{", b"[ {")
_DECODER: Final = json.JSONDecoder()
_NO_SPACE: Final = re.compile(r"\S")


class shape:  # noqa: N801 - used as a statement, for every event: a generator would take three times as long
    """Turn a surprise inside an answer into BackendBroken."""

    __slots__ = ("_what",)

    def __init__(self, what: str = "the answer") -> None:
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if isinstance(error, _SURPRISES):
            raise BackendBroken(f"{self._what} makes no sense", said=repr(error)) from error


_SURPRISES: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def decoded(data: bytes) -> Any:
    """Decode JSON; lone surrogates and NaN, which strict JSON has no room for, are let through.

    Raises ValueError.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if len(data) > _MOST_LENIENT:
            raise
        return lenient(data.decode("utf-8-sig", errors="replace"))


def objects(data: bytes) -> list[dict[str, Any]]:
    """Return the objects that the data of one event holds; nothing where it is something else.

    Most servers send one. Some send a list of them, or several one behind the other. What is no object is no
    part of an answer: some servers say "ping" as data. Raises BackendBroken for broken JSON, and for more
    than MOST_OBJECTS.
    """
    if not data.startswith(_OBJECTS):
        return []
    with shape("an event of the stream"):
        try:
            found = decoded(data)
        except ValueError:
            found = _in_a_row(data)
        told = few(found) if isinstance(found, list) else [found]
        return [each for each in told if isinstance(each, dict)]


def few(told: list[Any]) -> list[Any]:
    """Return a list that a server sends, if every one of its entries may be read. Raises ValueError."""
    if len(told) > MOST_OBJECTS:
        raise ValueError("too many in one event")
    return told


def _in_a_row(data: bytes) -> list[Any]:
    if len(data) > _MOST_LENIENT:
        raise ValueError("no JSON")
    text, at, found = data.decode("utf-8-sig", errors="replace").rstrip(), 0, []
    while at < len(text):
        value, end = _DECODER.raw_decode(text, at)
        found.append(value)
        if len(found) > MOST_OBJECTS:
            break  # a list that is refused
        at = len(text) if (more := _NO_SPACE.search(text, end)) is None else more.start()
    return found


def count(value: Any) -> int:
    """Read a count; 0 for what is none."""
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), MOST)


def position(value: Any) -> int | None:
    """Read a place in a list, which some servers write as a text; None where none is told."""
    if isinstance(value, str) and value.isdecimal() and len(value) < _MOST_DIGITS:
        value = int(value)
    return None if value is None or isinstance(value, str | bool) else count(value)


def number(value: Any) -> float | None:
    """Read a number; None for what is none."""
    if type(value) is int and abs(value) <= MOST:
        return float(value)
    return value if type(value) is float and math.isfinite(value) else None


def exact_count(value: Any) -> int:
    """Read a count that something is decided by. Raises TypeError or ValueError for what is none."""
    if type(value) is not int:
        raise TypeError("no count")
    if not 0 <= value <= MOST:
        raise ValueError("no count")
    return value


def exact_text(value: Any) -> str:
    """Read a text that something depends on. Raises TypeError for anything else."""
    if type(value) is not str:
        raise TypeError("no text")
    return value


def name(value: Any) -> str:
    """Read a name that the kernel hands on. Raises TypeError or ValueError for what is none."""
    found = mended(exact_text(value))
    if not 0 < len(found) <= LONGEST_NAME:
        raise ValueError("no name")
    return found


def text_of(value: Any) -> str:
    """Read a content: a text, or the texts of its parts; nothing where there is none. Raises TypeError."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(map(_part, value))
    return _part(value)


def _part(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("text")
        if value is None:
            return ""  # a part of another kind, such as a thought
    return exact_text(value)


class Silence:
    """Counts the events in a row that tell nothing: servers send some, but not without end."""

    def __init__(self) -> None:
        self._left = MOST_SILENT

    def take(self, *, silent: bool) -> None:
        """Count an event. Raises BackendBroken when too many have told nothing."""
        self._left = self._left - 1 if silent else MOST_SILENT
        if self._left < 0:
            raise BackendBroken("the backend sends events without end that tell nothing")


class PairJoiner:
    """Joins surrogate pairs that a server has split over two pieces of text; lone halves become U+FFFD."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text that is whole by now."""
        if text.isascii() and not self._held:
            return text
        text, self._held = self._held + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return mended(text)

    def close(self) -> str:
        """Return what stands for a half that was left over."""
        held, self._held = self._held, ""
        return mended(held)


class Allowance:
    """How much one answer may bring: far more than was asked for, but not without end."""

    def __init__(self, max_new_tokens: int) -> None:
        self._events = 8 * max_new_tokens + 1024
        self._characters = 256 * max_new_tokens + 2**20

    def take(self, characters: int) -> None:
        """Count an event with so many characters. Raises BackendBroken when that is too much."""
        self._events -= 1
        self._characters -= characters
        if self._events < 0 or self._characters < 0:
            raise BackendBroken("the backend sends far more than it was asked for")
