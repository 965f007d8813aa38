"""Keeps what somebody said from looking like a marker of a chat template. Pure.

A server that takes a text, or renders messages itself, finds its special tokens wherever they stand: a
content that holds one would open a turn of another role. Such servers are sent a blank behind the first
character of everything in a content that may be a marker: the model reads `< |im_end|>`, which is no token
of its vocabulary, and a person reads it as before. Nothing is left out.

What may be a marker is judged by its form, for the vocabularies in use, and by the markers that a server's
template was seen to write. Letters of full width and other forms that some tokenizers take for the plain
ones count as those.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from services.chassis.chat import ChatMessage, ToolCall, ToolDefinition

_TAGS: Final = (
    r"s|bos|eos|pad|unk|sop|eop|mask|cls|sep|tool_response|image|img|turn|start_of_\w{1,32}|end_of_\w{1,32}"
    r"|\w{1,32}_token|[sb]os_\w{1,32}|extra_id_\d{1,4}|unused_?\d{1,5}|reserved\w{0,32}|fim_\w{1,32}"
)
_NAMES: Final = (
    r"inst|sys|system_prompt|available_tools|tool_calls|tool_results|tool_content|args|call_id|think"
    r"|model_settings|s?g?mask|cls|sep|pad|unk|bos|eos|unused_token_\d{1,5}|prefix|middle|suffix|img\w{0,16}"
)
_FORMS: Final = (
    r"<(?=\|)",
    rf"<(?=/?(?:{_TAGS})>)",
    r"<(?=</?sys>>)",
    rf"\[(?=/?(?:{_NAMES})\])",
    r"\](?=[~<]!?[a-z]?[\[\]])",
    r"\[(?=e~\[)",
)
_SHORTEST: Final = 3
_MOST: Final = 512
_SIGN: Final = re.compile(r"[^\w\s]")


class _Folding(dict[int, str]):
    """Maps each character to the one that tokenizers may take it for; never to several."""

    def __missing__(self, code: int) -> str:
        plain = unicodedata.normalize("NFKC", chr(code))
        self[code] = found = plain if len(plain) == 1 else chr(code)
        if len(self) > _MOST_FOLDED:
            self.clear()
        return found


_MOST_FOLDED: Final = 65_536
_FOLDING: Final = _Folding()


class Neutralizer:
    """Breaks markers in contents; `seen` are markers that the server's own template writes."""

    def __init__(self, seen: Collection[str] = ()) -> None:
        further = [f"{re.escape(each[0])}(?={re.escape(each[1:])})" for each in sorted(seen)]
        self._marker = re.compile("|".join((*_FORMS, *further)), re.IGNORECASE)

    def text(self, text: str) -> str:
        """Return a text without markers."""
        plain = text if text.isascii() else text.translate(_FOLDING)
        places = [found.end() for found in self._marker.finditer(plain)]
        if not places:
            return text
        return " ".join(text[start:end] for start, end in zip((0, *places), (*places, None), strict=True))

    def messages(self, messages: Iterable[ChatMessage]) -> list[ChatMessage]:
        """Return messages without markers in any of their texts."""
        return [
            replace(
                message,
                content=self.text(message.content),
                name=self.text(message.name),
                tool_calls=tuple(self._call(call) for call in message.tool_calls),
            )
            for message in messages
        ]

    def tools(self, tools: Iterable[ToolDefinition]) -> list[ToolDefinition]:
        """Return tools without markers in what is said of them."""
        return [
            replace(
                tool,
                name=self.text(tool.name),
                description=self.text(tool.description),
                parameters_schema=self._json(tool.parameters_schema),
            )
            for tool in tools
        ]

    def _call(self, call: ToolCall) -> ToolCall:
        return replace(call, name=self.text(call.name), arguments=self._json(call.arguments))

    def _json(self, text: str) -> str:
        """Return a JSON text without markers in its strings; one that is no JSON counts as a text."""
        if "\\" not in text and self.text(text) == text:
            return text
        try:
            value = json.loads(text)
            broken = self._value(value)
        except (ValueError, RecursionError):
            return self.text(text)
        return text if broken == value else json.dumps(broken, ensure_ascii=False)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self._value(each) for name, each in value.items()}
        return [self._value(each) for each in value] if isinstance(value, list) else value


def markers_among(tokens: Iterable[str], contents: Sequence[str]) -> frozenset[str]:
    """Return which tokens of a rendered chat look like markers of its template.

    Those are single tokens that begin and end with a sign and hold a letter, and are part of no content.
    """
    found = {token.strip() for token in tokens}
    kept = [
        each
        for each in found
        if len(each) >= _SHORTEST
        and _SIGN.match(each[0])
        and _SIGN.match(each[-1])
        and any(sign.isalpha() for sign in each)
        and not any(each in content for content in contents)
    ]
    return frozenset(sorted(kept)[:_MOST])
