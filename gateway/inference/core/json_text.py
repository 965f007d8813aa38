"""JSON as models and servers write it: read leniently, handed on strictly. Pure."""

import json
from typing import Any, Final

import orjson

from services.chassis.json_text import read_json

MOST_ARGUMENTS: Final = 262_144
"""Bytes of the arguments of one call."""
MOST_DEPTH: Final = 128
"""How deep the arguments of a call may nest: whoever reads them next has a stack too."""
UNREADABLE: Final = "unreadable_arguments"
"""Under which name a server is told arguments that are no object."""
_SPACE: Final = " \t\n\r"


def mended(text: str) -> str:
    """Return a text that UTF-8 can carry: halves of a surrogate pair are joined, lone ones become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def lenient(text: str | bytes) -> Any:
    """Decode JSON with all that Python's decoder lets pass: lone surrogates, NaN, infinities.

    Raises ValueError, for what is nested too deep as well.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def object_text(written: str) -> str | None:
    """Return the arguments of a call as the text of one strict JSON object; None: they are none.

    Strict arguments stay exactly as they were written. Nothing and null are no arguments; a JSON string is
    read as the JSON inside of it; lone surrogates are replaced and line ends in strings escaped; of a name
    that is given twice the last counts. What is no JSON (NaN, an infinity, a number beyond all doubles), no
    object, too long or too deep is None.
    """
    text = written.strip(_SPACE)
    if text in {"", "null"}:
        return "{}"
    if len(text) > MOST_ARGUMENTS or len(text.encode(errors="surrogatepass")) > MOST_ARGUMENTS:
        return None
    try:
        value = _DECODER.decode(text)
        if isinstance(value, str):
            text = value.strip(_SPACE) or "{}"
            value = _DECODER.decode(text)
        if value is None:
            return "{}"
        if not isinstance(value, dict) or _too_deep(value):
            return None
        # What Python lets pass beyond JSON, NaN and infinities, its encoder refuses.
        return text if _is_strict(text) else mended(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (ValueError, RecursionError):
        return None


def told_arguments(written: str) -> str:
    """Return the arguments of an earlier call as servers are told them: the text of one strict object.

    Servers decode them, and refuse the whole conversation for what is none. What a model wrote in vain stands
    in an object then, as it is.
    """
    found = object_text(written)
    return json.dumps({UNREADABLE: mended(written)}, ensure_ascii=False) if found is None else found


def _is_strict(text: str) -> bool:
    """Whether every reader finds the same in a text: also no half characters, and no name twice."""
    try:
        orjson.loads(text)
        read_json(text)
    except ValueError:
        return False
    return True


_DECODER: Final = json.JSONDecoder(strict=False)
"""Lets line ends in strings pass, which models write as they are."""


def _too_deep(value: Any) -> bool:
    """Whether a value nests deeper than allowed, level by level: a recursion would need the stack itself."""
    level = [value]
    for _ in range(MOST_DEPTH):
        inner: list[Any] = []
        for each in level:
            inner.extend(each.values() if isinstance(each, dict) else each)
        level = [each for each in inner if isinstance(each, dict | list)]
        if not level:
            return False
    return True
