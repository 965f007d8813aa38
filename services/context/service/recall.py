"""Use case: bringing notes from the agent's memory into a window."""

from collections.abc import Sequence
from itertools import accumulate

from services.context.core import recall as rules
from services.context.core import window
from services.context.model import Added, Message, Note, Strategy
from services.context.ports import Memory, TokenCounter
from services.context.service.dependencies import Dependencies
from services.context.service.window_builder import Draft, Task, costs, made_group
from services.context.service.window_limiter import WindowLimiter


class Recall:
    """Finds notes that fit what is being said."""

    def __init__(
        self, deps: Dependencies, counter: TokenCounter, memory: Memory, places: WindowLimiter
    ) -> None:
        self._deps = deps
        self._places = places
        self._counter = counter
        self._memory = memory

    async def draft(self, task: Task) -> Draft:
        """Return what a window is chosen from, with a message of notes in it.

        Raises TooManyCalls and what the memory manager ends with.
        """
        query = rules.query(task.messages)
        stay = sum(group.tokens for group in task.groups if group.stays)
        share = rules.share(task.budget, task.context.settings.recall_tokens, task.room.tokens - stay)
        found: list[Note] = []
        if query and share:
            with self._places.taken(task.scope):
                found = await self._memory.search(task.scope.agent, query, rules.MOST_NOTES)
        made = await self._fitted(task, found, share)
        self._deps.meter.recalled("found" if made.added else "none")
        return made

    async def _fitted(self, task: Task, found: Sequence[Note], share: int) -> Draft:
        """Show as many notes as the share holds, best first, none that a message of the window says.

        Each note is counted with the heading, so that together they take less than their sum.
        """
        most = window.choose(task.groups, task.room, Strategy.DROP_OLDEST)
        fresh = rules.fresh(found, [item.message for item in most.items])
        lines = await costs(self._counter, task.model, [rules.message([note]) for note in fresh])
        notes = [note for note, total in zip(fresh, accumulate(lines), strict=True) if total <= share]
        if not notes:
            return Draft(task.groups)
        message = Message(0, rules.message(notes), self._deps.clock.now())
        (tokens,) = await costs(self._counter, task.model, [message.chat])
        return Draft(task.groups, (Added(message, notes=tuple(notes)),), (made_group(message, tokens),))
