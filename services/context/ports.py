"""What the context manager needs from the outside: a store, a tokenizer, access, somebody to count."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple, Protocol, TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.chat import ChatMessage, ToolDefinition
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Caps, Usage
from services.context.model import (
    Context,
    DroppedRun,
    Head,
    Message,
    Note,
    Segment,
    Strategy,
    Summary,
)

T = TypeVar("T")


class Part(Enum):
    """What a stored part of a snapshot holds."""

    BASE = 0
    STATE = 1
    EMITTED = 2


class StoredPart(NamedTuple):
    """One part of a snapshot."""

    part: Part
    first: int
    """The token that a run of output begins after; 0 otherwise."""
    data: bytes


class Contexts(Protocol):
    """Contexts of one scope, and the branches of messages that they are made of."""

    def context(self, context_id: str) -> Context | None:
        """Return a context."""
        ...

    def contexts(self, *, after: str, limit: int) -> list[Context]:
        """List contexts by id in byte order, those after the id `after`."""
        ...

    def put_context(self, context: Context) -> None:
        """Insert or replace a context, and note which branches it shows."""
        ...

    def drop_context(self, context_id: str) -> None:
        """Forget a context. Messages that no other context shows go with it."""
        ...

    def append(self, branch: str, messages: Sequence[Message]) -> None:
        """Add messages to a branch of this scope."""
        ...

    def put_summary(self, branch: str, summary: Summary, *, keep: int) -> None:
        """Keep a summary with a branch of this scope, in place of one that ends where it ends.

        Only the `keep` that end last are kept. They go with the branch's messages.
        """
        ...

    def summaries(self, segments: Sequence[Segment]) -> list[tuple[Segment, Summary]]:
        """Return the summaries of the segments' branches, whole branches, with the segment of each."""
        ...

    def messages(
        self,
        segments: Sequence[Segment],
        *,
        after: int = 0,
        before: int = 0,
        limit: int,
        newest_first: bool = False,
    ) -> list[Message]:
        """List the messages of some segments between two positions, both excluded; `before` 0 is the end."""
        ...


class Snapshots(Protocol):
    """Snapshots of one scope."""

    def head(self, generation: str) -> Head | None:
        """Return a snapshot's head, expired and deleted ones included."""
        ...

    def put_head(self, head: Head) -> None:
        """Insert or replace a head."""
        ...

    def drop_snapshot(self, generation: str) -> None:
        """Forget a snapshot, head and parts."""
        ...

    def heads(
        self, *, before: tuple[datetime, str] | None, unfinished: bool, now: datetime, limit: int
    ) -> list[Head]:
        """List living heads by (updated_at, generation), last first, those before a position."""
        ...

    def put_part(self, generation: str, part: Part, first: int, data: bytes) -> None:
        """Insert or replace a part; `first` is where a run of output begins, 0 otherwise."""
        ...

    def parts(self, generation: str) -> list[StoredPart]:
        """Return all parts; runs of output in order."""
        ...

    def states(self, generations: Sequence[str]) -> dict[str, bytes]:
        """Return the STATE parts of some snapshots."""
        ...

    def drop_parts(self, generation: str, part: Part | None = None) -> None:
        """Forget the parts of a snapshot, all or those of one kind."""
        ...


class Transaction(Contexts, Snapshots, Protocol):
    """One transaction on one scope. Sees and changes nothing of another scope, but for `beside`."""

    @property
    def scope(self) -> Scope:
        """Whose it is."""
        ...

    def beside(self, agent: str) -> "Transaction":
        """Return the same transaction on another agent of the same tenant."""
        ...

    def count(self, **changes: int) -> None:
        """Note what the scope has more, or less, of each quota."""
        ...

    def settle(self, caps: Caps) -> None:
        """Charge what was noted, answers that are kept included, once and last in a transaction.

        Raises QuotaExceeded when a sum that grows would pass its cap; the transaction must then be undone.
        """
        ...

    def used(self, caps: Caps) -> list[Usage]:
        """Return what the scope, its tree and its tenant use of each quota."""
        ...

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer that this very request got before, or None.

        Raises IdempotencyMismatch when the id was used for a request with another digest.
        """
        ...

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request for its repeats; nothing happens without a request id."""
        ...


class Store(Protocol):
    """The durable store."""

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a consistent view of a scope. It may run in another thread and must not write."""
        ...

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction; when this returns, its changes survive a crash and a power cut.

        Transactions of a scope run one after the other. `work` may run more than once, in another thread;
        when it raises, nothing is changed. Raises DiskFull and ServiceUnavailable.
        """
        ...

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent, batch by batch; return what and how many.

        What contexts of others show of its messages becomes theirs.
        """
        ...

    async def collect(self, *, limit: int) -> int:
        """Forget up to `limit` expired snapshots of all scopes, and answers that are no longer kept.

        Returns how many snapshots.
        """
        ...


class TokenCounter(Protocol):
    """Counts with a model's own tokenizer, on behalf of the running call's caller.

    Raises ModelNotFound and other errors that the caller can act on; a tokenizer that cannot be asked is
    None.
    """

    async def window(self, model: str) -> int | None:
        """Return the size of a model's window; None when it is not known. Unit: tokens."""
        ...

    async def each(self, model: str, chats: Sequence[ChatMessage]) -> list[int] | None:
        """Count messages, each alone with the template's marks."""
        ...

    async def together(
        self, model: str, chats: Sequence[ChatMessage], tools: Sequence[ToolDefinition]
    ) -> int | None:
        """Count a conversation with its tools."""
        ...


class Summarizer(Protocol):
    """Writes summaries by an inference call on behalf of the running call's caller."""

    async def write(
        self, model: str, chats: Sequence[ChatMessage], *, most_tokens: int, seconds: float
    ) -> str:
        """Answer a conversation in the background class, within some seconds.

        Raises CapabilityMissing, and whatever error inference ends with.
        """
        ...


class Memory(Protocol):
    """The memory of agents, as far as the running call's caller may read it."""

    async def search(self, agent: str, query: str, limit: int) -> list[Note]:
        """Return the notes of an agent that fit a text, best first.

        Raises CapabilityMissing, and whatever error the memory manager ends with.
        """
        ...


class Access(Protocol):
    """Rights of the running call's caller."""

    async def require(self, action: str, resource: str) -> None:
        """Check that the caller may act on a resource.

        Raises PermissionDenied and AccessUnavailable.
        """
        ...


class Meter(Protocol):
    """Counts what happens."""

    def saved(self, *, whole: bool, size: int) -> None:
        """Count a saved snapshot; `size` bytes arrived."""
        ...

    def fenced(self) -> None:
        """Count a save that was refused: another owner, or not where the snapshot stands."""
        ...

    def claimed(self) -> None:
        """Count a snapshot that got another owner."""
        ...

    def corrupt(self) -> None:
        """Count stored bytes that did not match their checksum."""
        ...

    def collected(self, count: int) -> None:
        """Count expired snapshots that were forgotten."""
        ...

    def appended(self, count: int) -> None:
        """Count appended messages."""
        ...

    def summarized(self, outcome: str) -> None:
        """Count a window for which a summary was `made`, `reused`, or could not be had: `failed`."""
        ...

    def recalled(self, outcome: str) -> None:
        """Count a window whose notes were `found`, were `none`, or could not be had: `failed`."""
        ...

    def assembled(self, strategy: Strategy, dropped: Sequence[DroppedRun], *, exact: bool) -> None:
        """Count a window and what it left out."""
        ...
