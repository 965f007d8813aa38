"""What is kept of responses and conversations. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NewType

import msgspec

from services.chassis.chat import ChatMessage

Name = NewType("Name", str)
"""Of a context among those of its agent."""

Metadata = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Keeper:
    """The agent whose contexts hold what is kept, and what its calls carry."""

    tenant: str
    agent: str
    metadata: Metadata = field(repr=False, compare=False, default=())


class Work(msgspec.Struct, frozen=True):
    """What a response in the background needs to be generated, by whatever process."""

    request: bytes
    """The kernel's request, serialised."""
    kinds: dict[str, tuple[str, str, bool]] = {}
    """What the kernel's tools are to the client: name, namespace, custom."""
    count: int = 0
    """Messages before the record: the conversation and the request's own."""
    own: int = 0
    """How many of them the request brought."""
    tier: bool = False
    """Whether its scheduling class is the wish of a service tier, which is never refused."""


class Record(msgspec.Struct, frozen=True):
    """A stored response."""

    response: dict[str, Any]
    """As it is told."""
    items: list[dict[str, Any]]
    """Its own input."""
    digest: str
    """Of the request: a repeat has the same."""
    expires_at: float
    """Unix seconds."""
    conversation: str = ""
    """Digits of the conversation that it goes on with; empty: none."""
    work: Work | None = None
    """With a response that has not ended."""

    @property
    def id(self) -> str:
        """Return the response's id."""
        return str(self.response["id"])


@dataclass(frozen=True, slots=True)
class Shelved:
    """A context of the keeper's, seen from outside."""

    name: Name
    created_at: float
    """Unix seconds."""
    count: int
    """Messages."""
    labels: dict[str, str]
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation is gone on with."""

    name: Name
    count: int
    """Messages before it."""


@dataclass(frozen=True, slots=True)
class History:
    """A conversation, and where the next message goes."""

    messages: tuple[ChatMessage, ...] = ()
    place: Place | None = None
    conversation: str = ""
    """Its digits, when it has an id of its own."""


@dataclass(frozen=True, slots=True)
class Window:
    """What of a conversation fits a model."""

    messages: tuple[ChatMessage, ...]
    tokens: int
