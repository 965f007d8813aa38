"""Reads the tool calls that a model writes into its text. Pure, and linear in the text's length.

A call that cannot be read stays in the text, where its caller sees it: one whose JSON is broken or holds NaN,
whose tool is unknown, or whose arguments are no object.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.inference.core.json_text import object_text
from gateway.inference.core.tool_schemas import CALLS_KEY

OPENING: Final = "<tool_call>"
CLOSING: Final = "</tool_call>"
MOST_CALLS: Final = 128
"""Calls in one answer; further ones stay in the text."""
MOST_UNREADABLE: Final = 256
"""Beginnings of calls that turn out to be none, after which no more are looked for."""

_BEGINNING: Final = re.compile(re.escape(OPENING) + r"\s*(?=\{)")
_BRACKETS: Final = {"}": "{", "]": "["}
_SPACE: Final = re.compile(r"\s*")
_VALUES: Final = json.JSONDecoder(strict=False)
"""Models write line ends into strings as they are."""


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call, and where in the text it stands."""

    name: str
    arguments: str
    """The text of one object in strict JSON."""
    start: int = 0
    end: int = 0


def written_calls(text: str, known: set[str]) -> list[WrittenCall]:
    """Return the calls of known tools between `<tool_call>` and `</tool_call>`.

    The end of the text or the next call may stand in place of the closing tag. What its strings hold, tags
    included, is a part of the call.
    """
    found: list[WrittenCall] = []
    at = unreadable = 0
    while len(found) < MOST_CALLS and unreadable < MOST_UNREADABLE:
        begun = _BEGINNING.search(text, at)
        if begun is None:
            break
        read = _call_at(text, begun.end(), known)
        if read is None:
            at, unreadable = begun.start() + len(OPENING), unreadable + 1
            continue
        call, at = read
        if call is None:
            unreadable += 1
        else:
            found.append(replace(call, start=begun.start(), end=at))
    return found


def without(text: str, calls: list[WrittenCall]) -> str:
    """Return the text around the calls."""
    parts, at = [], 0
    for call in calls:
        parts.append(text[at : call.start])
        at = call.end
    return "".join([*parts, text[at:]]).strip()


def forced_calls(text: str, known: set[str], key: str = CALLS_KEY) -> list[WrittenCall]:
    """Read an output of the form `{"tool_calls": [...]}`; no calls where any of them cannot be read.

    `key`: what stands in the place of `tool_calls`.
    """
    try:
        fields = dict(_members(text, _skip(text, 0), "}"))
        start, _ = fields[key]
        items = list(_members(text, start, "]"))
        calls = [_call(text, dict(_members(text, first, "}")), known) for _, (first, _) in items]
    except (KeyError, ValueError, RecursionError):
        return []
    found = [call for call in calls if call is not None]
    return found if len(found) == len(calls) else []


def chosen_calls(text: str, known: set[str], key: str) -> list[WrittenCall]:
    """Read an output that is either calls, as `forced_calls` reads them, or an answer in a form of its own.

    It is calls only if it holds nothing else, and begins with the key as it is written here: whoever reads
    along has to tell by the beginning which of the two it is.
    """
    begun = re.match(rf'\s*\{{\s*"{re.escape(key)}"\s*:', text)
    if begun is None:
        return []
    try:
        if len(list(_members(text, _skip(text, 0), "}"))) > 1:
            return []
    except (ValueError, RecursionError):
        return []
    return forced_calls(text, known, key)


def _call_at(text: str, at: int, known: set[str]) -> tuple[WrittenCall | None, int] | None:
    """Read the object at a place; returns the call and where it ends, or None where there is no object.

    An object that is no call is passed over: what its strings hold is no call either.
    """
    try:
        fields, end = dict(_members(text, at, "}")), _VALUES.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return None
    after = _skip(text, end)
    if text.startswith(CLOSING, after):
        return _call(text, fields, known), after + len(CLOSING)
    if len(text) - after < len(CLOSING) and CLOSING.startswith(text[after:]):
        return _call(text, fields, known), len(text)
    return (_call(text, fields, known) if text.startswith(OPENING, after) else None), after


def _call(text: str, fields: dict[str, tuple[int, int]], known: set[str]) -> WrittenCall | None:
    """Make a call of the fields of an object, given by where their values stand."""
    named = _value(text, fields.get("name"))
    if not isinstance(named, str) or named not in known:
        return None
    # Llama's models are trained on the other name.
    start, end = fields.get("arguments") or fields.get("parameters") or (0, 0)
    arguments = object_text(text[start:end])
    return None if arguments is None else WrittenCall(named, arguments)


def _value(text: str, place: tuple[int, int] | None) -> Any:
    return None if place is None else _VALUES.decode(text[slice(*place)])


def _members(text: str, at: int, closing: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield name and place of each value of the object or list that begins here. Raises ValueError.

    `closing`: `}` for an object, `]` for a list. More values than any call has are an error too.
    """
    if text[at : at + 1] != _BRACKETS[closing]:
        raise ValueError("another kind of value")
    at, values = _skip(text, at + 1), 0
    while text[at : at + 1] != closing:
        name, values = "", values + 1
        if values > MOST_CALLS:
            raise ValueError("too many values")
        if closing == "}":
            name, at = _VALUES.raw_decode(text, at)
            at = _skip(text, at)
            if not isinstance(name, str) or text[at : at + 1] != ":":
                raise ValueError("no name of a value")
            at = _skip(text, at + 1)
        start = at
        _, at = _VALUES.raw_decode(text, start)
        yield name, (start, at)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != closing:
            raise ValueError("no end of a value")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
