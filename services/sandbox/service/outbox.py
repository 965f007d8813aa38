"""What a session has to say, held within a bound until its reader takes it."""

import asyncio
from collections import deque
from typing import Final

from services.sandbox.model import Answer, Heard, Output, Piece

BOUND_BYTES: Final = 1024 * 1024


class Outbox:
    """A queue of answers that is bounded in bytes."""

    def __init__(self) -> None:
        self._answers: deque[Answer] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = asyncio.Event()

    def offer(self, answer: Answer) -> bool:
        """Say something if there is room for it; a program that floods leaves gaps in what is heard of it."""
        if self._bytes >= BOUND_BYTES:
            return False
        self._add(answer)
        return True

    async def put(self, answer: Answer) -> None:
        """Say something, as soon as there is room for it."""
        while self._bytes >= BOUND_BYTES:
            self._changed.clear()
            await self._changed.wait()
        self._add(answer)

    async def get(self) -> Answer | None:
        """Return what is to be said next; None: nothing any more."""
        while not self._answers:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        answer = self._answers.popleft()
        self._bytes -= _weight(answer)
        self._changed.set()
        return answer

    def close(self) -> None:
        """Say nothing more, once all has been said."""
        self._closed = True
        self._changed.set()

    def _add(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._bytes += _weight(answer)
        self._changed.set()


def _weight(answer: Answer) -> int:
    return len(answer.data) if isinstance(answer, Heard | Output | Piece) else 0
