"""The answers of the fake TGI: which words, how many, and how the server writes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

_PROMPT_IDS = 1 << 20
"""Where the ids of prompts begin; those below are the words of answers."""
_ids: dict[str, int] = {}
_texts: list[str] = []
"""The words of all prompts as they were first met: one vocabulary for all servers of a process."""
_WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "runs", "away"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The answer to one request: `count` words, the first of them number `offset` of the whole answer."""

    inputs: str
    prompt_ids: tuple[int, ...]
    offset: int
    count: int
    finish_reason: str
    request_id: str
    told: bool
    cached: int | None
    top: int = 0
    """How many of the likeliest tokens are told at each place."""

    @property
    def words(self) -> list[str]:
        """The tokens' texts."""
        return [word(self.offset + n) for n in range(self.count)]

    @property
    def text(self) -> str:
        """The answer."""
        return "".join(self.words)

    @property
    def input_length(self) -> int:
        """Tokens of the prompt."""
        return len(self.prompt_ids)

    @property
    def details(self) -> dict[str, Any]:
        """The details of the last event."""
        return {
            "finish_reason": self.finish_reason,
            "generated_tokens": self.count,
            "seed": None,
            "input_length": self.input_length,
        }

    def tokens(self) -> list[dict[str, Any]]:
        """Return the tokens as JSON objects."""
        return [_token(self.offset + n) for n in range(self.count)]

    @property
    def own(self) -> dict[str, Any]:
        """What only who asks for the extension is told."""
        return {"prompt_ids": self.prompt_ids, "cached_tokens": self.cached}

    def events(self) -> list[bytes]:
        """All token events, the last one without its details."""
        events = list(_encoded(self.offset, self.count, self.top))
        if self.told:
            first = _token_event(1, self.offset, self.top) | {
                "aios": {"prompt_ids": self.prompt_ids, "cached_tokens": self.cached}
            }
            events[0] = event_bytes(first)
        return events

    def last_event(self) -> bytes:
        """Return the event that ends the stream."""
        event = _token_event(self.count, self.offset + self.count - 1, self.top)
        if self.told and self.count == 1:
            event |= {"aios": self.own}
        return event_bytes(event | {"generated_text": self.text, "details": self.details})


def stops_of(body: dict[str, Any]) -> list[str]:
    return (body.get("parameters") or {}).get("stop") or []


def stopped_after(first: int, count: int, stops: list[str]) -> int:
    """Return after how many of the words a stop string is complete; 0: none is."""
    text = ""
    for number in range(count if stops else 0):
        text += word(first + number)
        if any(stop in text for stop in stops):
            return number + 1
    return 0


def word(number: int) -> str:
    """Return the text of token `number` of every answer."""
    return f"{_WORDS[number % len(_WORDS)]} "


def text_tokens(text: str) -> list[dict[str, Any]]:
    """Split a text into words, each with the space after it."""
    found, at = [], 0
    for piece in text.split(" "):
        size = len(piece) + (at + len(piece) < len(text))
        if size:
            told = text[at : at + size]
            found.append({"id": _id_of(told), "text": told, "start": at, "stop": at + size})
        at += size
    return found


def _id_of(text: str) -> int:
    found = _ids.setdefault(text, _PROMPT_IDS + len(_texts))
    if found == _PROMPT_IDS + len(_texts):
        _texts.append(text)
    return found


def text_of(ids: Iterable[int]) -> str:
    """Return the text that was split into these tokens, and the words of an answer after it."""
    known = range(_PROMPT_IDS, _PROMPT_IDS + len(_texts))
    return "".join(_texts[each - _PROMPT_IDS] if each in known else word(each) for each in ids)


@lru_cache(maxsize=64)
def _encoded(offset: int, count: int, top: int) -> tuple[bytes, ...]:
    return tuple(event_bytes(_token_event(n + 1, offset + n, top)) for n in range(count))


def _token_event(index: int, number: int, top: int) -> dict[str, Any]:
    event = {"index": index, "token": _token(number), "generated_text": None, "details": None}
    return event | {"top_tokens": [_token(number + rank, rank) for rank in range(top)]} if top else event


def _token(number: int, rank: int = 0) -> dict[str, Any]:
    return {"id": number, "text": word(number), "logprob": -0.25 - rank, "special": False}


def event_bytes(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
