"""Use case: fitting a conversation to a model's window."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.chat import Role, ToolDefinition
from services.chassis.rpc.errors import KernelError
from services.context.core import conversations, estimate, window
from services.context.core import summaries as summary_rules
from services.context.core.window import Choice, Item, Room
from services.context.errors import WindowTooSmall
from services.context.model import Context, Message, Strategy, Summary, Window
from services.context.ports import TokenCounter, Transaction
from services.context.service.dependencies import Dependencies
from services.context.service.recall import Recall
from services.context.service.summaries import Summaries
from services.context.service.window_builder import Count, Draft, Task, WindowBuilder, costs

NOT_MADE: Final = "SUMMARY_NOT_MADE"
"""Why a dry window is without the summary that it needs."""


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
class WindowRequest:
    """What a window is to be like; empty or None, and of the budget zero: as the context says."""

    model: str = ""
    token_budget: int = 0
    reserve_tokens: int | None = None
    strategy: Strategy | None = None
    tools: tuple[ToolDefinition, ...] = ()
    dry: bool = False
    """Only to be looked at: nothing is written by the model, and nothing kept."""


@dataclass(frozen=True, slots=True)
class _Fitted:
    draft: Draft
    choice: Choice
    count: Count
    left: Room
    strategy: Strategy
    fallback: str = ""


class Windows:
    """Assembles windows."""

    def __init__(
        self,
        deps: Dependencies,
        limits: WindowLimits,
        counter: TokenCounter,
        summaries: Summaries,
        recall: Recall,
    ) -> None:
        self._deps = deps
        self._limits = limits
        self._counter = counter
        self._summaries = summaries
        self._recall = recall

    async def assemble(
        self, scope: Scope, context_id: str, request: WindowRequest, *, own: bool = True
    ) -> Window:
        """Return the messages to send to the model, never more tokens than the window less the reserve.

        A strategy that cannot be used is replaced by DROP_OLDEST, which the window tells. `own` tells whether
        the caller is the agent whose context it is: a summary made for anybody else is not kept. Raises
        ContextNotFound, ModelNotFound and WindowTooSmall.
        """

        def work(tx: Transaction) -> tuple[Context, list[Message], list[Summary]]:
            context = conversations.find(tx, context_id)
            stored = summary_rules.shown(context.segments, tx.summaries(context.segments))
            return context, tx.messages(context.segments, limit=self._limits.messages), stored

        context, messages, stored = await self._deps.store.read(scope, work)
        model = request.model or context.settings.model
        budget = request.token_budget or context.settings.token_budget or await self._counter.window(model)
        budget = budget or self._limits.tokens
        reserve = request.reserve_tokens
        if reserve is None:
            reserve = window.reserve(budget, context.settings.reserve_tokens)
        tokens = budget - reserve
        newest = messages[-1].position if messages else 0
        always = {newest, *context.pinned}
        stays = [each.chat.role is Role.SYSTEM or each.position in always for each in messages]
        self._check_size(messages, stays, tokens)
        items = await self._items(model, messages, stays, tokens)
        task = Task(
            scope=scope,
            context=context,
            own=own,
            model=model,
            messages=messages,
            groups=window.groups(items),
            budget=budget,
            room=Room(tokens - estimate.tools(request.tools), self._limits.bytes),
            summaries=stored,
            dry=request.dry,
        )
        return self._told(task, await self._fitted(task, request, tokens))

    async def _fitted(self, task: Task, request: WindowRequest, tokens: int) -> _Fitted:
        """Fit by the strategy that is asked for, else by dropping the oldest. Raises WindowTooSmall."""
        strategy = request.strategy or task.context.settings.strategy
        if strategy in {Strategy.DROP_OLDEST, Strategy.HEAD_AND_TAIL}:
            return await self._fit(Draft(task.groups), task, request, tokens, strategy)
        try:
            return await self._fit_with_more(task, request, tokens, strategy)
        except KernelError as error:  # whatever cannot be had now: the caller gets a window all the same
            if strategy is Strategy.SUMMARIZE:
                self._deps.meter.summarized("failed")
            else:
                self._deps.meter.recalled("failed")
            fitted = await self._fit(Draft(task.groups), task, request, tokens, Strategy.DROP_OLDEST)
            return replace(fitted, fallback=error.reason)

    async def _fit_with_more(
        self, task: Task, request: WindowRequest, tokens: int, strategy: Strategy
    ) -> _Fitted:
        """Fit with a summary, or with notes. Raises WindowTooSmall, and what inference and memory raise."""
        if strategy is Strategy.RECALL:
            return await self._fit(await self._recall.draft(task), task, request, tokens, strategy)
        fitted = await self._fit_summarized(task, request, tokens)
        if fitted.choice.dropped and not fitted.fallback:
            # The whole counts more than its parts: there is less room than thought.
            fitted = await self._fit_summarized(replace(task, room=fitted.left), request, tokens)
        return fitted

    async def _fit_summarized(self, task: Task, request: WindowRequest, tokens: int) -> _Fitted:
        """Fit with a summary; without one where it would have to be written for a dry window."""
        draft = await self._summaries.draft(task)
        if draft is not None:
            return await self._fit(draft, task, request, tokens, Strategy.SUMMARIZE)
        fitted = await self._fit(Draft(task.groups), task, request, tokens, Strategy.DROP_OLDEST)
        return replace(fitted, fallback=NOT_MADE)

    async def _fit(
        self, draft: Draft, task: Task, request: WindowRequest, tokens: int, strategy: Strategy
    ) -> _Fitted:
        head = task.context.settings.head_messages
        fitting = WindowBuilder(self._counter, task.model, request.tools, strategy, head)
        groups = [*draft.made, *draft.groups]
        choice, count, left = await fitting.fit(groups, tokens, self._limits.bytes)
        return _Fitted(draft, choice, count, left, strategy)

    def _told(self, task: Task, fitted: _Fitted) -> Window:
        context, choice, count, draft = task.context, fitted.choice, fitted.count, fitted.draft
        dropped = window.explain(choice, fitted.left, task.groups, draft.summarized)
        self._deps.meter.assembled(fitted.strategy, dropped, exact=count.exact)
        return Window(
            messages=tuple(item.message for item in choice.items),
            pinned=frozenset(context.pinned),
            token_count=count.tokens,
            token_budget=task.budget,
            available_tokens=task.budget - count.tokens,
            dropped=dropped,
            exact=count.exact,
            strategy=fitted.strategy,
            fallback_reason=fitted.fallback,
            added=draft.added,
            etag=context.etag,
            untrusted=context.untrusted,
        )

    def _check_size(self, messages: Sequence[Message], stays: Sequence[bool], tokens: int) -> None:
        """Raise WindowTooSmall for what can never fit, before anything of it is counted."""
        kept = [message for message, stay in zip(messages, stays, strict=True) if stay]
        size = sum(message.chat.size for message in kept)
        least = sum(message.token_count or message.chat.size // estimate.LONGEST_TOKEN for message in kept)
        if least > tokens or size > self._limits.bytes:
            raise WindowTooSmall.of(max(least, tokens + 1), tokens)

    async def _items(
        self, model: str, messages: Sequence[Message], stays: Sequence[bool], tokens: int
    ) -> list[Item]:
        """Give each message its cost: as its writer said, else as counted, else estimated.

        Counted are those that stay, then the newest, as far as they fill the window: what is older has no
        room, however much it takes.
        """
        marked = sorted(zip(stays, messages, strict=True), key=lambda each: (not each[0], -each[1].position))
        unknown = [message for _, message in marked if not message.token_count]
        known: dict[int, int] = {}
        for some in window.portions(unknown):
            if sum(known.values()) > tokens:
                break
            counts = await costs(self._counter, model, [message.chat for message in some])
            known |= {message.position: count for message, count in zip(some, counts, strict=True)}
        return [
            Item(
                message,
                message.token_count or known.get(message.position) or estimate.message(message.chat),
                stays=stay,
            )
            for stay, message in zip(stays, messages, strict=True)
        ]
