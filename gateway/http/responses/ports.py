"""What the keeping of responses needs of the world."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.http.responses.model import Keeper, Name, Place, Shelved, Window
from services.chassis.chat import ChatMessage, ToolDefinition


class Shelf(Protocol):
    """The contexts of an agent: conversations that grow and never change, some with a record behind them.

    Every method may raise the KernelErrors of the context manager, such as QuotaExceeded, PermissionDenied or
    an UNAVAILABLE one.
    """

    async def put(
        self,
        keeper: Keeper,
        name: Name,
        messages: Sequence[ChatMessage],
        record: bytes,
        after: Place | None = None,
    ) -> bool:
        """Keep messages, and a record behind them; all or nothing. False: something is kept under the name.

        With `after` they go on with a conversation, which stays as it is. Raises ContextNotFound when that is
        gone, and nothing is kept.
        """
        ...

    async def record(self, keeper: Keeper, name: Name) -> bytes | None:
        """Return the record kept under a name, or None."""
        ...

    async def messages(self, keeper: Keeper, name: Name, most: int) -> Sequence[ChatMessage] | None:
        """Return a conversation in order, without its record, or None. Longer than `most`: its beginning."""
        ...

    async def page(
        self, keeper: Keeper, name: Name, *, after: int, most: int, newest_first: bool
    ) -> Sequence[tuple[int, ChatMessage]]:
        """Return messages behind a position, in this direction, with their positions, from 1. Empty: none.

        `after` 0 begins at the end that comes first.
        """
        ...

    async def open(self, keeper: Keeper, name: Name, labels: Mapping[str, str]) -> Shelved:
        """Begin an empty conversation with labels."""
        ...

    async def append(self, keeper: Keeper, name: Name, messages: Sequence[ChatMessage], once: str) -> int:
        """Add messages to a conversation and return the position of the first.

        The same again under the same name `once` changes nothing. Raises ContextNotFound.
        """
        ...

    async def look(self, keeper: Keeper, name: Name) -> Shelved | None:
        """Return what is known of a context without its messages, or None."""
        ...

    async def label(self, keeper: Keeper, name: Name, labels: Mapping[str, str], etag: str = "") -> bool:
        """Replace the labels of a context. False: it is gone, or no longer as the etag says."""
        ...

    async def remove(self, keeper: Keeper, name: Name) -> bool:
        """Forget a context. False: there was none."""
        ...

    async def everything(self, keeper: Keeper) -> Sequence[Shelved]:
        """List the agent's contexts."""
        ...


class Windows(Protocol):
    """Where conversations are fitted to a model's window."""

    async def fit(
        self,
        keeper: Keeper,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolDefinition],
        *,
        model: str,
        budget: int = 0,
        summarize: bool = False,
    ) -> Window:
        """Return what of a conversation fits a budget of tokens, by default the model's window.

        The oldest messages go, or with `summarize` are told in short. Raises ModelNotFound, WindowTooSmall
        and what keeping a context raises.
        """
        ...
