"""The simulator's model of a server, stepped by the clock on the wall."""

import asyncio
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Final

from tests.bench.sched.prefix_cache import Block
from tests.bench.sched.server import Request, Server, Shape

STRIDE: Final = 8
"""Steps whose tokens are handed over together; a first token is never held back."""


class Generation:
    """One request in the server, as its reader sees it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.generated = 0
        self.over = False
        self._news = asyncio.Event()

    async def progress(self) -> int:
        """Wait for tokens; returns how many there are by now."""
        await self._news.wait()
        self._news.clear()
        return self.generated

    def tell(self, generated: int, *, over: bool = False) -> None:
        """Note how far it is."""
        if over or generated > self.generated:
            self.generated, self.over = generated, over
            self._news.set()


class Generations:
    """Runs requests on a `Server` in real time. Must live in one event loop.

    The model's clock is the loop's. A step that the process reaches late ends when it should have, so
    that delays do not add up; `late` tells the longest.
    """

    def __init__(self, shape: Shape, stride: int = STRIDE) -> None:
        self.server = Server(shape)
        self.late = 0.0
        self.gaps: list[float] = []
        """Seconds from an end to the next arrival: how long a slot stands idle while more wait outside."""

        self._vacant: deque[float] = deque(maxlen=shape.slots)
        self._stride = stride
        self._streams: dict[str, Generation] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._number = 0

    def __len__(self) -> int:
        """Return the requests that wait or run."""
        return len(self._streams)

    def submit(self, blocks: Sequence[Block], output: int, reserve: int) -> Generation:
        """Take a request in."""
        self._number += 1
        prompt = sum(block.tokens for block in blocks)
        request = Request(f"g{self._number}", blocks, prompt, output, reserve)
        generation = self._streams[request.id] = Generation(request)
        now = self._interrupted()
        self.server.submit(request, now)
        if self._vacant:
            self.gaps.append(now - self._vacant.popleft())
        self._arm()
        return generation

    def stop(self, generation: Generation) -> None:
        """Give a request up; a running one leaves with the step in progress."""
        if self._streams.pop(generation.request.id, None) is None:
            return
        self._interrupted()
        self.server.stop(generation.request)
        self._arm()

    def _interrupted(self) -> float:
        """Let no step begin at or after the present time, which is returned."""
        now = self._loop.time()
        self._step_until(now)
        self.server.cut(now)
        return now

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        ends = self.server.plan(inf, self._stride)
        self._timer = None if ends is None else self._loop.call_at(ends, self._due)

    def _due(self) -> None:
        self._step_until(self._loop.time())
        self._arm()

    def _step_until(self, now: float) -> None:
        """Take all steps that have ended."""
        advanced = False
        while (ends := self.server.plan(inf, self._stride)) is not None and ends <= now:
            self.late = max(self.late, now - ends)
            happened = self.server.commit()
            advanced = True
            for request in happened.finished:
                if not self.server.queue:
                    self._vacant.append(ends)
                if (generation := self._streams.pop(request.id, None)) is not None:
                    generation.tell(request.generated, over=True)
        if advanced:
            for generation in self._streams.values():
                generation.tell(self.server.generated(generation.request))
