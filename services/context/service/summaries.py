"""Use case: putting a summary in the place of what has no room."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.context.core import estimate, window
from services.context.core import summaries as rules
from services.context.core.window import Item
from services.context.errors import WindowTooSmall
from services.context.model import Added, Message, Strategy, Summary
from services.context.ports import Summarizer, TokenCounter
from services.context.service.dependencies import Dependencies
from services.context.service.window_builder import Draft, Task, costs, made_group
from services.context.service.window_limiter import WindowLimiter

_LEAST_PIECE: Final = 64
_MARKS: Final = 64
"""Tokens of a request beside its texts: roles and headings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryLimits:
    """What making a summary may take."""

    tokens: int = 512
    """Of one summary, at most."""
    seconds: float = 30.0
    """For all inference calls of one window, at most."""
    window: int = 8_192
    """Size of the model's window where nobody tells it. Unit: tokens."""


class Summaries:
    """Finds the summary that a window needs, or has it written."""

    def __init__(
        self,
        deps: Dependencies,
        limits: SummaryLimits,
        counter: TokenCounter,
        summarizer: Summarizer,
        places: WindowLimiter,
    ) -> None:
        self._deps = deps
        self._places = places
        self._limits = limits
        self._counter = counter
        self._summarizer = summarizer

    async def draft(self, task: Task) -> Draft | None:
        """Return what a window is chosen from, with a summary in the place of what has no room.

        None for a dry window for which a summary would have to be written.

        A stored summary is used where everything that it does not tell of fits beside it. Otherwise the one
        that tells of most is extended. Raises WindowTooSmall, TooManyCalls, and what inference ends with.
        """
        if not window.choose(task.groups, task.room, Strategy.DROP_OLDEST).dropped:
            return Draft(task.groups)
        for draft in await self._drafts(task, task.summaries):
            if not window.choose([*draft.made, *draft.groups], task.room, Strategy.DROP_OLDEST).dropped:
                self._deps.meter.summarized("reused")
                return draft
        if task.dry:
            return None
        with self._places.taken(task.scope):
            summary = await self._extend(task)
        (made,) = await self._drafts(task, [summary])
        self._deps.meter.summarized("made")
        return made

    async def _drafts(self, task: Task, summaries: Sequence[Summary]) -> list[Draft]:
        """Return the window's draft with each summary."""
        messages = [Message(0, rules.message(each), each.created_at) for each in summaries]
        tokens = await costs(self._counter, task.model, [message.chat for message in messages])
        drafts = []
        for summary, message, cost in zip(summaries, messages, tokens, strict=True):
            covered = rules.positions_of(summary.covers)
            drafts.append(
                Draft(
                    rules.rest(task.groups, covered),
                    (Added(message, summary),),
                    (made_group(message, cost),),
                    covered,
                )
            )
        return drafts

    async def _extend(self, task: Task) -> Summary:
        """Have a summary written of what is to go; each part of it is kept as soon as it is there."""
        most = rules.most_tokens(task.room, self._limits.tokens)
        dropped = rules.to_cover(task.groups, task.room, most).dropped
        if not dropped:
            raise WindowTooSmall.of(sum(group.tokens for group in task.groups), task.room.tokens)
        items = sorted((item for group in dropped for item in group.items), key=lambda item: item.position)
        doomed = frozenset(item.position for item in items)
        usable = [each for each in task.summaries if rules.positions_of(each.covers) <= doomed]
        base = usable[-1] if usable else None
        known = rules.positions_of(base.covers) if base else frozenset[int]()
        fresh = [item for item in items if item.position not in known]
        return await self._write(task, base, fresh, most)

    async def _write(self, task: Task, base: Summary | None, items: Sequence[Item], most: int) -> Summary:
        room = await self._counter.window(task.model) or self._limits.window
        so_far, covered = (base.text, rules.positions_of(base.covers)) if base else ("", frozenset[int]())
        overhead = most + _MARKS + estimate.text(rules.INSTRUCTIONS)
        piece = max(_LEAST_PIECE, room - overhead - max(most, estimate.text(so_far)))
        ends = self._deps.clock.monotonic() + self._limits.seconds
        summary = base
        for text, done in rules.pieces(items, piece):
            so_far = await self._ask(task.model, so_far, text, most, ends - self._deps.clock.monotonic())
            covered |= done
            if done:
                covers = rules.runs_of(covered)
                summary = Summary(covers, so_far, task.model, self._deps.clock.now())
                await self._keep(task, summary)
        if summary is None:
            raise AssertionError("a summary is extended by something, or there is one already")
        return summary

    async def _ask(self, model: str, so_far: str, text: str, most: int, seconds: float) -> str:
        chats = rules.request(so_far, text, most)
        return rules.bounded(
            await self._summarizer.write(model, chats, most_tokens=most, seconds=max(0.0, seconds))
        )

    async def _keep(self, task: Task, summary: Summary) -> None:
        """Keep a summary for the next window; one that a reader had written is not the owner's."""
        if task.own:
            branch = task.context.segments[-1].branch
            await self._deps.store.write(
                task.scope, lambda tx: tx.put_summary(branch, summary, keep=rules.MOST_KEPT)
            )
