"""What fitting a window works with: what is to be fitted, what was made for it, the count that decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.chat import ChatMessage, ToolDefinition
from services.context.core import estimate, window
from services.context.core.window import Choice, Group, Item, Room
from services.context.errors import WindowTooSmall
from services.context.model import Added, Context, Message, Strategy, Summary
from services.context.ports import TokenCounter

_ROUNDS: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One window to be made."""

    scope: Scope
    context: Context
    own: bool
    """Whether the caller is the agent whose context it is."""
    model: str
    messages: Sequence[Message]
    groups: Sequence[Group]
    budget: int
    """The window's size, the answer included. Unit: tokens."""
    room: Room
    """What messages may take, the tools taken off."""
    summaries: Sequence[Summary] = ()
    """Those that speak of nothing but this context's messages, least first."""
    dry: bool = False
    """Whether it is only to be looked at: no summary is written for it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a window is chosen from: some of the conversation's groups, and messages made for it."""

    groups: Sequence[Group]
    added: tuple[Added, ...] = ()
    made: tuple[Group, ...] = ()
    """The groups of `added`."""
    summarized: frozenset[int] = frozenset()
    """Positions that a summary among `added` tells of."""


@dataclass(frozen=True, slots=True)
class Count:
    """What the messages of a choice take."""

    tokens: int
    exact: bool


async def costs(counter: TokenCounter, model: str, chats: Sequence[ChatMessage]) -> list[int]:
    """Count messages each alone, or estimate them."""
    if not chats:
        return []
    counts = await counter.each(model, chats)
    return [estimate.message(chat) for chat in chats] if counts is None else counts


def made_group(message: Message, tokens: int) -> Group:
    """Return a message that was made for a window as a group that stays."""
    return Group((Item(message, tokens, stays=True),), stays=True)


@dataclass(frozen=True, slots=True)
class WindowBuilder:
    """Chooses messages and checks the choice with the tokenizer until it fits."""

    counter: TokenCounter
    model: str
    tools: tuple[ToolDefinition, ...]
    strategy: Strategy
    head_messages: int

    async def fit(self, groups: Sequence[Group], tokens: int, size: int) -> tuple[Choice, Count, Room]:
        """Return a choice that takes at most `tokens`, what it takes, and the room it was made for.

        Raises WindowTooSmall.
        """
        room = Room(tokens - estimate.tools(self.tools), size)
        for turn in range(_ROUNDS + 1):
            if turn == _ROUNDS:  # the tokenizer keeps disagreeing: only what must stay
                room = Room(0, 0)
            choice = window.choose(groups, room, self.strategy, self.head_messages)
            count = await self._count(choice)
            bulk = sum(group.size for group in choice.kept)
            if count.tokens <= tokens and bulk <= size:
                return choice, count, room
            if choice.least or not choice.kept:
                raise WindowTooSmall.of(count.tokens, tokens)
            room = Room(choice.tokens - max(1, count.tokens - tokens), size)
        raise WindowTooSmall.of(count.tokens, tokens)

    async def _count(self, choice: Choice) -> Count:
        chats = [item.message.chat for item in choice.items]
        exact = await self.counter.together(self.model, chats, self.tools) if chats else None
        if exact is not None:
            return Count(exact, exact=True)
        return Count(choice.tokens + estimate.tools(self.tools), exact=False)
