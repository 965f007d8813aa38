"""A rendered chat in parts: what the template wrote, and what somebody said. Pure.

A chat template is a program over the messages, so where their contents end up in its text is not known
beforehand. Three signs that occur in no text (Unicode's noncharacters) travel through it: one where a content
begins, one where it ends, and one inside everything in it that looks like a marker of the vocabulary. The
text is cut at all three. So no marker can come out of a content, whatever the template does with it: only
what the template itself wrote is searched for special tokens, and each part is split into tokens alone.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.tgi_local.errors import TemplateFailed

BEGIN: Final = "\ufdd0"
END: Final = "\ufdd1"
BREAK: Final = "\ufdd2"
_SIGNS: Final = re.compile(f"[{BEGIN}{END}{BREAK}]")
_CUTS: Final = re.compile(f"([{BEGIN}{END}{BREAK}])")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/-]{0,128}")
"""What roles, kinds and ids consist of: templates compare them, so nothing may stand around them."""
_PLAIN_FIELDS: Final = frozenset({"role", "type", "id", "tool_call_id"})
_JSON_FIELDS: Final = frozenset({"arguments"})
_NESTING: Final = 64
_THOUGHTS: Final = re.compile(r"((?:(?<!\n)\n++)?</?think>\n*)")
"""What templates cut an assistant's earlier answers at, to leave its thoughts out. A run of line ends is
looked at from its beginning alone: from each of its places it would take the square of its length."""

Breaker = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a prompt that is split into tokens alone."""

    text: str
    special: bool
    """Whether special tokens written in it are meant."""
    start: int = 0
    """Characters before it in the text that is told."""


def breaker(markers: Iterable[str]) -> Breaker:
    """Return what puts a BREAK behind the first character of every marker in a text.

    Linear in the text: the markers are searched for all at once.
    """
    longer = sorted({marker for marker in markers if len(marker) > 1})
    if not longer:
        return lambda text: text
    found = re.compile(f"(?=({_any_of(longer)}))(.)", re.DOTALL)
    return lambda text: found.sub(lambda at: at[2] + BREAK, text)


def _any_of(texts: Sequence[str]) -> str:
    """Write the shortest of sorted texts as one expression without a choice that is tried twice.

    What goes on from a shorter one need not be found: it is broken with that.
    """
    if not texts[0]:
        return ""
    heads: dict[str, list[str]] = {}
    for text in texts:
        heads.setdefault(text[0], []).append(text[1:])
    ways = [re.escape(head) + _any_of(rest) for head, rest in heads.items()]
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


def marked(message: Mapping[str, Any], broken: Breaker) -> dict[str, Any]:
    """Return a message whose every text carries the signs. Raises TemplateFailed for an odd role or id."""
    found = {_within(name, broken): _marked(name, value, broken, 0) for name, value in message.items()}
    content = message.get("content")
    if message.get("role") == "assistant" and isinstance(content, str):
        pieces = _THOUGHTS.split(content)
        found["content"] = "".join(
            piece if at % 2 else _marked("content", piece, broken, 0) for at, piece in enumerate(pieces)
        )
    return found


def _marked(name: str, value: Any, broken: Breaker, depth: int) -> Any:
    if depth > _NESTING:
        raise TemplateFailed("a message is nested too deep")
    if isinstance(value, str):
        if name in _PLAIN_FIELDS:
            if _PLAIN.fullmatch(value) is None:
                raise TemplateFailed(f"a message's {name} holds characters that none has")
            return value
        inner = _within(value, broken)
        # Templates read arguments as JSON, which has no room for a sign around it.
        return inner if name in _JSON_FIELDS or not value else f"{BEGIN}{inner}{END}"
    if isinstance(value, Mapping):
        return {_within(key, broken): _marked(key, each, broken, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_marked(name, each, broken, depth + 1) for each in value]
    return value


def _within(text: str, broken: Breaker) -> str:
    return broken(_SIGNS.sub("\ufffd", text))


def parts_of(rendered: str) -> tuple[Part, ...]:
    """Cut what a template made of marked messages."""
    return tuple(_parts(rendered))


def _parts(rendered: str) -> Iterator[Part]:
    said, start = False, 0
    for piece in _CUTS.split(rendered):
        if piece == BEGIN:
            said = True
        elif piece == END:
            said = False
        elif piece == BREAK:
            start += 1
        elif piece:
            yield Part(piece, special=not said, start=start)
            start += len(piece)


def told(rendered: str) -> str:
    """Return the text as it is told to others: split as a whole it has no markers but the template's.

    A blank stands in every marker that was broken.
    """
    return rendered.replace(BEGIN, "").replace(END, "").replace(BREAK, " ")
