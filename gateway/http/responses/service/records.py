"""Reads records, which lie in contexts that their agent may write itself: strangers' texts. Pure."""

from typing import Literal

import msgspec

from gateway.http.responses.model import Record


class _Part(msgspec.Struct):
    text: str
    logprobs: list[dict[str, object]]


class _Output(msgspec.Struct):
    id: str
    type: Literal["message", "function_call", "custom_tool_call"]
    content: list[_Part] = []
    name: str = ""
    arguments: str | None = None
    input: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it has what its kind needs."""
        if self.type == "message":
            return len(self.content) == 1
        return (self.arguments if self.type == "function_call" else self.input) is not None


class _Response(msgspec.Struct):
    id: str
    created_at: int
    model: str
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    output: list[_Output]


class _Item(msgspec.Struct):
    id: str
    type: str


class _Shape(msgspec.Struct):
    response: _Response
    items: list[_Item]


def read(raw: bytes, ident: str) -> Record | None:
    """Return the record of a response, or None for what is none of it."""
    try:
        record = msgspec.json.decode(raw, type=Record)
        shape = msgspec.json.decode(raw, type=_Shape)
    except (msgspec.DecodeError, RecursionError):
        return None
    sound = record.id == ident and all(each.is_sound for each in shape.response.output)
    return record if sound else None
