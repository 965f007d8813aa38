"""Reads records, which lie in contexts that their agent may write itself: strangers' texts. Pure."""

from typing import Annotated, Final, Literal

import msgspec

from gateway.http.responses.model import Record

_MOST: Final = 1_000_000
"""Above any number of messages."""


class _Token(msgspec.Struct):
    token: str
    logprob: float


class _Place(_Token):
    top_logprobs: list[_Token]


class _Part(msgspec.Struct):
    text: str
    logprobs: list[_Place]


class _Output(msgspec.Struct):
    id: str
    type: Literal["message", "function_call", "custom_tool_call"]
    content: list[_Part] = []
    name: str | None = None
    arguments: str | None = None
    input: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it has what its kind needs."""
        if self.type == "message":
            return len(self.content) == 1
        given = self.arguments if self.type == "function_call" else self.input
        return self.name is not None and given is not None


class _Response(msgspec.Struct):
    id: str
    created_at: int
    model: str
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    output: list[_Output]


class _Item(msgspec.Struct):
    id: str
    type: str


class _Work(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(ge=0, le=_MOST)] = 0
    own: Annotated[int, msgspec.Meta(ge=0, le=_MOST)] = 0


class _Shape(msgspec.Struct):
    response: _Response
    items: list[_Item]
    work: _Work | None = None


def read(raw: bytes, ident: str) -> Record | None:
    """Return the record of a response, or None for what is none of it."""
    try:
        record = msgspec.json.decode(raw, type=Record)
        shape = msgspec.json.decode(raw, type=_Shape)
    except (msgspec.DecodeError, RecursionError):
        return None
    sound = record.id == ident and all(each.is_sound for each in shape.response.output)
    return record if sound else None
