"""What the context manager keeps. Everything belongs to one scope: an agent of a tenant."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from services.chassis.chat import ChatMessage


@dataclass(frozen=True, slots=True)
class Nothing:
    """The answer of a request that returns nothing."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a context. Never changes, so contexts may share it."""

    position: int
    """1 for the first."""
    chat: ChatMessage
    created_at: datetime
    token_count: int = 0
    """As the caller gave it; 0 when it did not."""
    tokens_through: int = 0
    """Sum of `token_count` up to and with this message."""
    bytes_through: int = 0
    """Sum of the sizes up to and with this message."""
    open_calls: tuple[str, ...] = ()
    """Tool calls without a result after this message."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is to be appended."""

    chat: ChatMessage
    pinned: bool = False
    token_count: int = 0


class Strategy(Enum):
    """How a conversation is fitted to the window. Values are metric labels."""

    DROP_OLDEST = "drop_oldest"
    HEAD_AND_TAIL = "head_and_tail"
    SUMMARIZE = "summarize"
    RECALL = "recall"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the caller chooses about a context."""

    model: str = ""
    strategy: Strategy = Strategy.DROP_OLDEST
    token_budget: int = 0
    """0: the model's window."""
    reserve_tokens: int = 0
    """0: a quarter of the window, at most 1024."""
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    head_messages: int = 0
    """0: 2."""
    recall_tokens: int = 0
    """0: an eighth of the window."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of messages that a context shows. Contexts that were forked share the runs before the fork."""

    agent: str
    """Whose branch it is: a context may be forked from another agent's."""
    branch: str
    last: int
    """Position of the last message shown; 0 in a context's own branch, which is still growing."""


@dataclass(frozen=True, slots=True)
class Context:
    """A conversation: a path in a tree of messages."""

    id: str
    settings: Settings
    created_at: datetime
    updated_at: datetime
    nonce: str
    """Random, so that a context made anew never has an etag it had before."""
    segments: tuple[Segment, ...]
    """Where its messages lie, oldest first; the last segment is its own branch."""
    revision: int = 1
    message_count: int = 0
    token_count: int = 0
    size: int = 0
    """Of all messages, shared ones included. Unit: bytes."""
    pinned: tuple[int, ...] = ()
    """Positions of the pinned messages, ascending."""
    open_calls: tuple[str, ...] = ()
    """Tool calls without a result."""
    parent: str = ""
    """Name of the context it was forked from."""
    forked_at: int = 0
    untrusted: bool = False
    """Whether nobody vouches for something in it. Never goes back: messages never change."""

    @property
    def etag(self) -> str:
        """Changes with every change, messages included."""
        return f"{self.nonce}-{self.revision}"


@dataclass(frozen=True, slots=True)
class Place:
    """What else one token of the output might have been."""

    sequence: int
    """1 is the first token."""
    data: bytes
    """The likeliest tokens with their log-probabilities; not read."""


@dataclass(frozen=True, slots=True)
class Emitted:
    """A run of a generation's output."""

    token_ids: tuple[int, ...] = ()
    text: str = ""
    piece_lengths: tuple[int, ...] = ()
    """Characters of `text` that each token stands for."""
    places: tuple[Place, ...] = ()
    """The logits form of its newest tokens, oldest first."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a snapshot without its parts."""

    generation: str
    model: str
    epoch: int
    """Which owner may save: it grows with every claim."""
    owner: str
    sequence: int
    """Where the generation stands: tokens emitted. Never goes back."""
    finished: bool
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    base_bytes: int = 0
    state_bytes: int = 0
    emitted_bytes: int = 0
    chunks: int = 0
    """Parts that the output lies in."""
    deleted: bool = False
    """Deleted but remembered until it expires: an owner from before must not bring it back."""

    @property
    def size(self) -> int:
        """Unit: bytes."""
        return self.base_bytes + self.state_bytes + self.emitted_bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An unfinished, or just finished, generation."""

    head: Head
    base: bytes = field(default=b"", repr=False)
    """What never changes: prompt, sampling, seed, constraint. The manager keeps it without reading it."""
    state: bytes = field(default=b"", repr=False)
    """What every save replaces: usage, backend state. Not read either."""
    emitted: Emitted = field(default_factory=Emitted, repr=False)


@dataclass(frozen=True, slots=True)
class Save:
    """A request to save a generation."""

    generation: str
    sequence: int
    after: int = 0
    """The token that `emitted` begins after; 0: the save is whole."""
    epoch: int = 0
    owner: str = ""
    model: str = ""
    finished: bool = False
    expires_at: datetime | None = None
    base: bytes = field(default=b"", repr=False)
    state: bytes = field(default=b"", repr=False)
    emitted: Emitted = field(default_factory=Emitted, repr=False)

    @property
    def whole(self) -> bool:
        """Whether it replaces what is stored instead of adding to it."""
        return self.after == 0


@dataclass(frozen=True, slots=True)
class Run:
    """Messages next to one another."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A text that stands for messages of a context. Never changes, like the messages."""

    covers: tuple[Run, ...]
    """What it tells of, oldest first, with a gap at each message that stays in every window."""
    text: str
    model: str
    """Who wrote it; empty: the default model."""
    created_at: datetime

    @property
    def through(self) -> int:
        """Position of the newest message that it tells of."""
        return self.covers[-1].last


@dataclass(frozen=True, slots=True)
class Note:
    """A note of the agent's memory that was found."""

    name: str
    text: str
    score: float
    """How well it fits: 1 is best."""

    @property
    def key(self) -> str:
        """The name's last part."""
        return self.name.partition("/notes/")[2]


@dataclass(frozen=True, slots=True)
class Added:
    """A message that was made for a window: a summary, or recalled notes."""

    message: Message
    summary: Summary | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class DroppedRun:
    """Messages next to one another that are not in the window."""

    first: int
    last: int
    reason: "DropReason"
    token_count: int


class DropReason(Enum):
    """Why a message is not in the window. Values are metric labels."""

    NO_ROOM = "no_room"
    SUMMARIZED = "summarized"
    TOOL_GROUP = "tool_group"


@dataclass(frozen=True, slots=True)
class Window:
    """The messages to send to a model."""

    messages: tuple[Message, ...]
    pinned: frozenset[int]
    token_count: int
    token_budget: int
    available_tokens: int
    dropped: tuple[DroppedRun, ...]
    exact: bool
    strategy: Strategy
    fallback_reason: str = ""
    """An error reason when another strategy was asked for and could not be used."""
    added: tuple[Added, ...] = ()
    """Those of its messages that the conversation does not have."""
    etag: str = ""
    untrusted: bool = False
    """Whether nobody vouches for something in the conversation."""
