"""Conversations that the kernel keeps and fits to a model's window."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from aios.types.llm import Message

WindowStrategy = Literal["unspecified", "drop_oldest", "keep_head_and_tail", "summarize", "recall"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextInfo:
    """A conversation, without its messages."""

    name: str
    """Resource name `agents/{agent}/contexts/{id}`."""

    model: str = ""
    """The model whose tokens are counted; empty: the default."""

    strategy: WindowStrategy = "unspecified"
    """How it is fitted to the window."""

    token_budget: int = 0
    """The window's size, the answer included; 0: the model's. Unit: tokens."""

    reserve_tokens: int = 0
    """How much of it is kept free for the answer."""

    title: str = ""
    """A name for people."""

    message_count: int = 0
    """Messages it has."""

    token_count: int = 0
    """What they count together."""

    parent: str = ""
    """The context it was forked from."""

    forked_at: int = 0
    """How many of the parent's messages were taken over."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Anything kept with it."""

    create_time: datetime | None = None
    """When it was created."""

    update_time: datetime | None = None
    """When it last changed."""

    etag: str = ""
    """Changes with every change, messages included."""

    head_messages: int = 0
    """With `keep_head_and_tail`: messages to keep at the beginning."""

    recall_tokens: int = 0
    """With `recall`: most tokens spent on recalled notes."""

    @property
    def id(self) -> str:
        """The name's last part."""
        return self.name.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextMessage:
    """One message of a conversation."""

    message: Message
    """What was said."""

    position: int = 0
    """Its place: 1 for the first; 0: made for a window, such as a summary."""

    pinned: bool = False
    """Whether it stays in every window."""

    token_count: int = 0
    """What it counts alone."""

    create_time: datetime | None = None
    """When it was appended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """A run of messages that are not in a window."""

    first_position: int
    """The place of the first."""

    last_position: int
    """The place of the last."""

    reason: Literal["unspecified", "no_room", "summarized", "tool_group"] = "unspecified"
    """Why."""

    token_count: int = 0
    """What they count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionRange:
    """Messages next to one another."""

    first_position: int
    """The place of the first."""

    last_position: int
    """The place of the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryOrigin:
    """Where a summary comes from."""

    covers: tuple[PositionRange, ...] = ()
    """The messages that it tells of, oldest first."""

    model: str = ""
    """The model that wrote it; empty: the default."""

    create_time: datetime | None = None
    """When it was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecalledNote:
    """A note that was recalled."""

    name: str
    """Resource name."""

    score: float = 0.0
    """How well it fits what is being said: 1 is best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """A message of a window that the conversation does not have."""

    index: int = 0
    """Its place in the window's messages, from 0."""

    summary: SummaryOrigin | None = None
    """With a summary: what it tells of."""

    notes: tuple[RecalledNote, ...] = ()
    """With recalled notes: which, best first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The messages to send to the model."""

    messages: tuple[ContextMessage, ...] = ()
    """In order."""

    token_count: int = 0
    """What they count together with the tools."""

    token_budget: int = 0
    """The window's size that was fitted to."""

    available_tokens: int = 0
    """Room left for the answer."""

    dropped: tuple[Dropped, ...] = ()
    """What is not in it and why, oldest first."""

    exact_count: bool = False
    """Whether the backend's tokenizer counted; else an estimate on the safe side."""

    strategy: WindowStrategy = "unspecified"
    """The strategy that was used."""

    fallback: bool = False
    """Whether another strategy was asked for and could not be used."""

    fallback_reason: str = ""
    """Why."""

    recalled_notes: tuple[str, ...] = ()
    """The notes that were recalled."""

    etag: str = ""
    """The context's etag that it was made at."""

    added: tuple[Added, ...] = ()
    """The messages that were made for it: a summary, or recalled notes."""

    @property
    def chat(self) -> list[Message]:
        """The messages as `kernel.llm.chat` takes them."""
        return [one.message for one in self.messages]
