"""Searches texts by RE2 and takes JSON apart by JMESPath: runs in worker processes.

Nothing here holds a secret or a state that counts.
"""

import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import jmespath
import re2
from jmespath.exceptions import JMESPathError

from services.tool.drivers.builtin.html_text import readable
from services.tool.drivers.builtin.limits import MAX_ANSWER_BYTES, MAX_PAGE_BYTES, MAX_SHOWN_BYTES, MIB
from services.tool.drivers.builtin.messages import Refused, refusing, unpacked

Handler = Callable[[bytes], bytes]

_AUTOMATON_BYTES: Final = 8 * MIB
_SHOWN_LINE: Final = 500
"""Characters that are shown of a line that matches."""


def reading() -> Handler:
    """Return the handler of all kinds of questions."""
    kinds: dict[str, Callable[[Any, list[bytes]], Any]] = {"grep": _search, "json": _query}

    def answer(message: bytes) -> bytes:
        asked, parts = unpacked(message)
        if asked["kind"] == "html":
            return _readable(parts[0])
        return _bounded(kinds[asked["kind"]](asked, parts))

    return refusing(answer)


def _search(asked: Any, texts: list[bytes]) -> list[list[Any]]:
    """Return which lines match: number of the text, number of the line, the line."""
    pattern = _compiled(asked["pattern"], ignore_case=asked["ignore_case"])
    found: list[list[Any]] = []
    left, room = asked["limit"], MAX_SHOWN_BYTES
    for at, data in enumerate(texts):
        for number, line in _lines(pattern, data):
            if not left or room <= 0:
                return [*found, [at, 0, ""]]  # there are more
            text = line[: 4 * _SHOWN_LINE].decode(errors="replace").rstrip("\r")[:_SHOWN_LINE]
            found.append([at, number, text])
            left, room = left - 1, room - len(text)
    return found


def _readable(page: bytes) -> bytes:
    """Return title and text of a web page; of the text no more than an answer holds."""
    title, text = readable(page.decode(errors="replace"))
    shown = text.encode()[:MAX_PAGE_BYTES].decode(errors="ignore")
    return json.dumps([title, shown], ensure_ascii=False).encode()


def _compiled(pattern: str, *, ignore_case: bool) -> Any:
    """Return an expression that finds lines: `^` and `$` are theirs, and no match goes beyond one."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _AUTOMATON_BYTES
    options.case_sensitive = not ignore_case
    options.never_nl = True
    try:
        re2.compile(pattern, options=options)  # by itself first: it must not close the group below
        return re2.compile(f"(?m)(?:{pattern})", options=options)
    except (re2.error, UnicodeEncodeError) as error:
        raise Refused(f"the pattern is no RE2 expression: {_why(error)}") from error


def _lines(pattern: Any, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that match and their numbers. One pass: lines without a match are never looked at."""
    at, number, counted = 0, 1, 0
    while at <= len(data):
        match = pattern.search(data, at)
        if match is None:
            return
        start = data.rfind(b"\n", at, match.start()) + 1 or at
        end = data.find(b"\n", match.start())
        end = len(data) if end < 0 else end
        if start == len(data) and data:  # behind the last end of a line there is no line
            return
        number, counted = number + data.count(b"\n", counted, start), start
        yield number, data[start:end]
        at = end + 1


def _query(asked: Any, texts: list[bytes]) -> Any:
    try:
        document = json.loads(texts[0], parse_constant=_no_number)
    except (ValueError, UnicodeDecodeError) as error:
        raise Refused(f"the file is no JSON: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)  # of old ways to write a literal
            return jmespath.search(asked["query"], document)
    except (JMESPathError, ValueError, TypeError, ArithmeticError) as error:
        raise Refused(f"the query cannot be answered: {error}") from error


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _bounded(value: Any) -> bytes:
    """Return a value as JSON text, made piece by piece: a small query can name a thing a billion times."""
    pieces: list[str] = []
    size = 0
    try:
        for piece in json.JSONEncoder(allow_nan=False, ensure_ascii=False).iterencode(value):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise Refused(f"the answer is larger than {MAX_ANSWER_BYTES} bytes: ask for less")
    except (ValueError, TypeError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused("the answer is no JSON") from error
    # Half characters, which JSON can spell and UTF-8 cannot, become question marks.
    return "".join(pieces).encode(errors="replace")


def _why(error: Exception) -> str:
    told = error.args[0] if error.args else ""
    return told.decode(errors="replace") if isinstance(told, bytes) else str(told)
