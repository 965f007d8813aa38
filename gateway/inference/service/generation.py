"""One generation as its callers see it.

A log of tokens and marks that any number of them can read. Pure asyncio.
"""

import asyncio
import math
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from gateway.inference.core.beginning import Beginning
from gateway.inference.core.transcript import Transcript
from gateway.inference.model import (
    Admitted,
    Alternative,
    Answer,
    Checkpoint,
    Delta,
    Event,
    GenerationSpec,
    KvState,
    Prompt,
    Resumed,
    Suspended,
    SuspendReason,
)
from services.chassis.dispatch.scheduling import CallKey
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.clock import Clock

COALESCE_TOKENS = 16
"""A delta is sent as soon as this many tokens wait."""
COALESCE_SECONDS = 0.02
"""Fewer tokens are sent this long after the delta before. The first one is sent at once."""
MAX_DELTA_TOKENS = 512
"""Most tokens in one delta: what a slow reader finds waiting is cut into messages of bounded size."""
RECORD_BYTES: Final = 2048
"""Memory of an ended generation without its text, about."""
_NO_SPEC: Final = GenerationSpec()
_NO_PROMPT: Final = Prompt("", 0)
_NO_OUTPUT: Final = Transcript()
"""What a generation that ended before its first token has to show: one for all of them, never written to."""


@dataclass(frozen=True, slots=True)
class _Mark:
    position: int
    """Tokens released before it happened."""
    body: Admitted | Suspended | Resumed | Answer


class _Waiter:
    """A reader that sleeps until enough tokens are released, something else happens, or its time is up."""

    __slots__ = ("future", "threshold")

    def __init__(self, threshold: float, future: asyncio.Future[None]) -> None:
        self.threshold = threshold
        self.future = future

    def wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Generation:
    """The state of one generation. The producer appends; readers follow with cursors of their own.

    The log itself is the buffer: a slow reader costs nothing but its place in it, and its size is bounded by
    the answer's. After `finish` or `fail` nothing changes any more.
    """

    def __init__(
        self, *, key: CallKey, digest: str, spec: GenerationSpec, arrived_at: float, clock: Clock
    ) -> None:
        self.key = key
        self.digest = digest
        self.spec = spec
        self.arrived_at = arrived_at
        self.transcript = Transcript(spec.stop)
        self.model = spec.model
        self.revision = ""
        """Of the model whose tokens the transcript holds; empty: none yet, or not told."""
        self.prompt = _NO_PROMPT
        self.prompt_ids: tuple[int, ...] = ()
        self.restored = 0
        """Tokens of the transcript that came with the request or with a checkpoint."""
        self.seed: int | None = None
        self.kv: KvState | None = None
        self.deadline = math.inf
        """When the last of its callers gives up, on the monotonic clock. Unit: seconds."""
        self.ended_at: float | None = None
        self._clock = clock
        self._marks: list[_Mark] = []
        self._error: KernelError | None = None
        self._answer: Answer | None = None
        self._waiters: list[_Waiter] = []
        self._wake_at: float = math.inf
        """Least threshold of the waiters: a token costs one comparison, however many readers sleep."""

    @property
    def name(self) -> str:
        """Resource name."""
        return f"agents/{self.key.agent}/generations/{self.key.call}"

    @property
    def ended(self) -> bool:
        """Whether it has finished or failed."""
        return self.ended_at is not None

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self._error is not None

    def admit(self, wait: float) -> None:
        """Record the first grant."""
        self._mark(Admitted(wait, self.prompt.token_count))

    def append(
        self,
        token_id: int,
        piece: str,
        alternatives: tuple[Alternative, ...] = (),
        chosen: Alternative | None = None,
    ) -> None:
        """Add one token."""
        self.transcript.append(token_id, piece, alternatives, chosen)
        if self.transcript.released >= self._wake_at:
            self._wake_due()

    def suspend(self, reason: SuspendReason) -> None:
        """Record that it was taken off its backend."""
        self._mark(Suspended(reason))

    def resume(self, wait: float) -> None:
        """Record that it runs again."""
        self._mark(Resumed(wait))

    def finish(self, answer: Answer) -> None:
        """End it with its answer."""
        self.transcript.release_all()
        self._answer = answer
        self.ended_at = self._clock.monotonic()
        self._mark(answer)

    def fail(self, error: KernelError) -> None:
        """End it with an error. Ignored when it has ended."""
        if self.ended:
            return
        self._error = _bare(error)
        self.ended_at = self._clock.monotonic()
        self._wake_all()

    def release(self) -> None:
        """Let go of all that only its run needed, once that is over; what a late reader needs stays."""
        self.spec, self.prompt, self.prompt_ids, self.kv = _NO_SPEC, _NO_PROMPT, (), None
        if self.failed and (len(self.transcript) <= self.restored or not self.transcript.released):
            self.transcript = _NO_OUTPUT

    @property
    def size(self) -> int:
        """Memory that it takes after `release`, about. Unit: bytes."""
        size = RECORD_BYTES + self.transcript.size
        if self._answer is not None:
            message = self._answer.message
            size += sys.getsizeof(message.content)
            size += sum(sys.getsizeof(call.arguments) + RECORD_BYTES for call in message.tool_calls)
        if self._error is not None:
            size += sys.getsizeof(self._error.message)
            size += sum(sys.getsizeof(each) for pair in self._error.metadata.items() for each in pair)
        return size

    def checkpoint(self) -> Checkpoint:
        """Return what another gateway needs to go on; it stays as it is while tokens are added."""
        return Checkpoint(
            call=self.key.call,
            model=self.model,
            digest=self.digest,
            prompt=self.prompt,
            prompt_ids=self.prompt_ids,
            pieces=Beginning(self.transcript.pieces, self.transcript.released),
            token_ids=Beginning(self.transcript.token_ids, len(self.transcript)),
            seed=self.seed,
            kv=self.kv,
            places=self.transcript.places(),
        )

    async def answer(self) -> Answer:
        """Wait for the end. Raises the KernelError it ended with."""
        while not self.ended:
            await self._wait(math.inf, None)
        if self._error is not None:
            raise _bare(self._error)
        if self._answer is None:
            raise AssertionError("an ended generation has an answer or an error")
        return self._answer

    async def events(self, after: int = 0) -> AsyncGenerator[Event, None]:
        """Follow it: Admitted, then everything after the first `after` tokens, to the Answer.

        Raises the KernelError it ended with, once everything before it was delivered.
        """
        # Two cursors: `cursor` in the tokens, `mark` in what happened between them. A mark's position says
        # after how many tokens it belongs, so every reader sees the same order, however late it comes.
        cursor, mark, sent_at = after, 0, -math.inf
        while True:
            while mark < len(self._marks) and self._marks[mark].position <= cursor:
                body, position = self._marks[mark].body, self._marks[mark].position
                mark += 1
                # What happened before the reader's first token is old news, but how it began and ended is
                # not.
                if position >= after or isinstance(body, Admitted | Answer):
                    yield Event(cursor, body)
                if isinstance(body, Answer):
                    return
            available = self._limit(mark) - cursor
            if available <= 0:
                if self._error is not None:  # only now: everything before it has been delivered
                    raise _bare(self._error)
                await self._wait(cursor + 1, None)
                continue
            # A few tokens wait for more, unless something else is to be told after them.
            pause = sent_at + COALESCE_SECONDS - self._clock.monotonic()
            if available < COALESCE_TOKENS and pause > 0 and mark == len(self._marks) and not self.ended:
                await self._wait(cursor + COALESCE_TOKENS, pause)
                available = self._limit(mark) - cursor
            end = cursor + min(available, MAX_DELTA_TOKENS)
            ids, pieces = self.transcript.token_ids, self.transcript.pieces
            places = self.transcript.places(cursor, end)
            yield Event(end, Delta("".join(pieces[cursor:end]), tuple(ids[cursor:end]), places))
            cursor, sent_at = end, self._clock.monotonic()

    def _limit(self, mark: int) -> int:
        """Tokens that may be sent before the next mark."""
        if mark < len(self._marks):
            return min(self._marks[mark].position, self.transcript.released)
        return self.transcript.released

    def _mark(self, body: Admitted | Suspended | Resumed | Answer) -> None:
        self._marks.append(_Mark(self.transcript.released, body))
        self._wake_all()

    async def _wait(self, threshold: float, timeout: float | None) -> None:
        """Sleep until `threshold` tokens are released, a mark is set, it ends, or `timeout` seconds pass."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(threshold, loop.create_future())
        timer = None if timeout is None else loop.call_later(timeout, waiter.wake)
        self._waiters.append(waiter)
        self._wake_at = min(self._wake_at, threshold)
        try:
            await waiter.future
        finally:
            if timer is not None:
                timer.cancel()
            self._waiters.remove(waiter)
            self._wake_at = min((each.threshold for each in self._waiters), default=math.inf)

    def _wake_due(self) -> None:
        still_asleep = math.inf
        for waiter in self._waiters:
            if waiter.threshold <= self.transcript.released:
                waiter.wake()
            else:
                still_asleep = min(still_asleep, waiter.threshold)
        self._wake_at = still_asleep

    def _wake_all(self) -> None:
        for waiter in self._waiters:
            waiter.wake()


def _bare(error: KernelError) -> KernelError:
    """Copy an error without its traceback and causes.

    The frames of a traceback hold the request that was refused. A kept error must not, and each raising of it
    would add the frames of one more caller, so each reader is given a copy of its own.
    """
    bare = type(error).__new__(type(error), *error.args)
    vars(bare).update(vars(error))
    return bare
