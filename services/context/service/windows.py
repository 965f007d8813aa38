"""Use case: fitting a conversation to a model's window."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.chassis.identity import Scope
from services.context.core import conversations, estimate, window
from services.context.core.window import Choice, Group, Item, Room
from services.context.errors import WindowTooSmall
from services.context.model import Context, Message, Role, Strategy, ToolDefinition, Window
from services.context.ports import TokenCounter, Transaction
from services.context.service.kit import Kit

_ROUNDS: Final = 8
_AVAILABLE: Final = frozenset({Strategy.DROP_OLDEST, Strategy.HEAD_AND_TAIL})
_MISSING: Final = "CAPABILITY_MISSING"


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowLimits:
    """What a window is when nobody says."""

    tokens: int = 8_192
    """Size when neither request, context nor model tells."""
    bytes: int = 3 * 1024 * 1024
    """Most that the messages of one answer take."""
    messages: int = 10_000
    """Most messages of one answer."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a window is to be like; zero, empty or None: as the context says."""

    model: str = ""
    token_budget: int = 0
    reserve_tokens: int = 0
    strategy: Strategy | None = None
    tools: tuple[ToolDefinition, ...] = ()


@dataclass(frozen=True, slots=True)
class _Count:
    tokens: int
    exact: bool


class Windows:
    """Assembles windows."""

    def __init__(self, kit: Kit, limits: WindowLimits, counter: TokenCounter) -> None:
        self._kit = kit
        self._limits = limits
        self._counter = counter

    async def assemble(self, scope: Scope, context_id: str, wish: Wish) -> Window:
        """Return the messages to send to the model, never more tokens than the window less the reserve.

        A strategy that cannot be used is replaced by DROP_OLDEST, which the window tells. Raises
        ContextNotFound, ModelNotFound and WindowTooSmall.
        """

        def work(tx: Transaction) -> tuple[Context, list[Message]]:
            context = conversations.find(tx, context_id)
            return context, tx.messages(context.segments, limit=self._limits.messages)

        context, messages = await self._kit.store.read(scope, work)
        settings = context.settings
        model = wish.model or settings.model
        budget = wish.token_budget or settings.token_budget or await self._counter.window(model)
        budget = budget or self._limits.tokens
        room = budget - window.reserve(budget, wish.reserve_tokens or settings.reserve_tokens)
        asked = wish.strategy or settings.strategy
        strategy = asked if asked in _AVAILABLE else Strategy.DROP_OLDEST
        items = await self._items(model, messages, frozenset(context.pinned))
        fitting = _Fitting(self._counter, model, wish.tools, strategy, settings.head_messages)
        choice, count, left = await fitting.fit(window.groups(items), room, self._limits.bytes)
        dropped = window.explain(choice, left)
        self._kit.meter.assembled(strategy, dropped, exact=count.exact)
        return Window(
            messages=tuple(item.message for item in choice.items),
            pinned=frozenset(context.pinned),
            token_count=count.tokens,
            token_budget=budget,
            available_tokens=budget - count.tokens,
            dropped=dropped,
            exact=count.exact,
            strategy=strategy,
            fallback_reason="" if strategy is asked else _MISSING,
            etag=context.etag,
        )

    async def _items(self, model: str, messages: Sequence[Message], pinned: frozenset[int]) -> list[Item]:
        """Give each message its cost: as its writer said, else as counted, else estimated."""
        unknown = [message for message in messages if not message.token_count]
        counts = await self._counter.each(model, [message.chat for message in unknown]) if unknown else []
        if counts is None:
            counts = [estimate.message(message.chat) for message in unknown]
        known = {message.position: count for message, count in zip(unknown, counts, strict=True)}
        return [
            Item(
                message,
                message.token_count or known[message.position],
                stays=message.chat.role is Role.SYSTEM or message.position in pinned,
            )
            for message in messages
        ]


@dataclass(frozen=True, slots=True)
class _Fitting:
    """Chooses messages and checks the choice with the tokenizer until it fits."""

    counter: TokenCounter
    model: str
    tools: tuple[ToolDefinition, ...]
    strategy: Strategy
    head_messages: int

    async def fit(self, groups: Sequence[Group], tokens: int, size: int) -> tuple[Choice, _Count, Room]:
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

    async def _count(self, choice: Choice) -> _Count:
        chats = [item.message.chat for item in choice.items]
        exact = await self.counter.together(self.model, chats, self.tools) if chats else None
        if exact is not None:
            return _Count(exact, exact=True)
        return _Count(choice.tokens + estimate.tools(self.tools), exact=False)
