"""What a job says: kept up to a bound, drained up to another one, passed on as it comes."""

import asyncio
from collections.abc import Callable
from typing import Final

from services.chassis.isolation.confined import Confined
from services.chassis.isolation.descriptors import PIECE, read_piece, write_all
from services.chassis.isolation.watcher import Watched
from services.chassis.sandbox.terms import EndKind, Limits

Heard = Callable[[str, bytes], None]

DRAIN_SECONDS: Final = 1.0
SLOW_SECONDS: Final = 0.05
"""Between two pieces of a stream that nobody reads: its writer waits instead of filling the processor."""


class Outputs:
    """The outputs of one job."""

    def __init__(self, confined: Confined, watched: Watched, limits: Limits, heard: Heard | None) -> None:
        self._confined, self._watched, self._limits, self._heard = confined, watched, limits, heard
        self.kept = {"stdout": bytearray(), "stderr": bytearray()}
        self.answer = bytearray()
        self.truncated = False
        self._said = 0
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, message: bytes) -> None:
        """Give the job its input, and begin to listen to everything it says."""
        confined = self._confined
        self._tasks = [
            asyncio.create_task(self._give(message)),
            asyncio.create_task(self._listen("stdout", confined.stdout)),
            asyncio.create_task(self._listen("stderr", confined.stderr)),
            asyncio.create_task(self._take_answer()),
        ]

    def begin_beside(self) -> None:
        """Listen to what is said beside a conversation, slowly."""
        self._tasks = [asyncio.create_task(self._keep_last())]

    async def drained(self) -> None:
        """Take what is still in the pipes when the job is no more, and listen no longer."""
        if listening := self._tasks[1:]:
            self._tasks[0].cancel()  # nobody takes its input any more
            await asyncio.wait(listening, timeout=DRAIN_SECONDS)
        await self.stop()

    async def stop(self) -> None:
        """Listen no longer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _give(self, message: bytes) -> None:
        await write_all(self._confined.stdin, message)
        self._confined.close_stdin()

    async def _listen(self, stream: str, descriptor: int) -> None:
        kept = self.kept[stream]
        while piece := await read_piece(descriptor):
            fits = piece[: self._limits.kept_bytes - len(kept)]
            kept += fits
            self.truncated = self.truncated or len(fits) < len(piece)
            self._said += len(piece)
            if fits and self._heard is not None:
                self._heard(stream, fits)
            if self._said > self._limits.output_bytes:
                self._watched.end(EndKind.OUTPUT)
                return
            await asyncio.sleep(0)  # others take their turn between two pieces

    async def _take_answer(self) -> None:
        while piece := await read_piece(self._confined.answers):
            self.answer += piece
            if len(self.answer) > self._limits.answer_bytes:
                del self.answer[:]
                self._watched.end(EndKind.OUTPUT)
                return
            await asyncio.sleep(0)

    async def _keep_last(self) -> None:
        kept = self.kept["stderr"]
        while piece := await read_piece(self._confined.stderr, PIECE):
            kept += piece
            self.truncated = self.truncated or len(kept) > self._limits.kept_bytes
            del kept[: -self._limits.kept_bytes]
            await asyncio.sleep(SLOW_SECONDS)
