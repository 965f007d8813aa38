"""A model of one TGI-like server: continuous batching, chunked prefill, reservation, prefix cache."""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf, sqrt
from typing import Final

from tests.bench.sched.prefix_cache import Block, PrefixCache

MAX_NEW_TOKENS: Final = 1024
"""What every caller asks for. Nobody knows an output's length beforehand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Costs in seconds a token or step, sizes in tokens; the shape of an 8B model on one GPU."""

    step: float = 0.010
    prefill: float = 60e-6
    decode: float = 80e-6
    kv: float = 0.06e-6
    budget: int = 200_000
    chunk: int = 4_096
    slots: int = 64

    def alone(self, prompt: int, output: int) -> float:
        """Seconds a call takes on an idle server with a cold cache."""
        steps = output - 1
        read = steps * (prompt + 1) + steps * (steps - 1) / 2
        prefill = ceil(prompt / self.chunk) * self.step + prompt * self.prefill
        return prefill + steps * (self.step + self.decode) + self.kv * read

    def faster(self, factor: float) -> "Shape":
        """Return the same server with a clock that runs `factor` times as fast."""
        return replace(
            self,
            step=self.step / factor,
            prefill=self.prefill / factor,
            decode=self.decode / factor,
            kv=self.kv / factor,
        )


@dataclass(slots=True, eq=False)
class Request:
    """One slice of a call as the server sees it."""

    id: str
    blocks: Sequence[Block]
    prompt: int
    """Tokens to read; `blocks` cover all of them."""

    output: int
    """Tokens it will generate, known to the model of the server alone."""

    reserve: int
    """max_new_tokens: room for that many is reserved, whatever the output turns out to be."""

    sent_at: float = 0.0
    admitted_at: float = inf
    cached: int = 0
    pinned: Sequence[Block] = ()
    private: int = 0
    unread: int = 0
    end_step: int = 0
    generated: int = 0
    """Tokens, settled when it leaves; ask `Server.generated` while it runs."""

    running: bool = False
    stopping: bool = False


@dataclass(slots=True)
class Happened:
    """What the steps just taken led to; all of it at the same time."""

    first_tokens: list[Request] = field(default_factory=list)
    finished: list[Request] = field(default_factory=list)
    stopped: list[Request] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Plan:
    steps: int
    prefill: int
    sequences: int
    end: float


class Server:
    """Runs requests in steps; time moves only in `commit`.

    A step costs step + prefill * prompt tokens read + decode * sequences decoding + kv * context
    tokens of these. Requests wait in one strict queue: a head that does not fit blocks the rest.
    Admission reserves prompt - cached prefix + max_new_tokens. Invariant: reserved + cached tokens
    never exceed the budget.
    """

    def __init__(self, shape: Shape | None = None) -> None:
        self.shape = shape or Shape()
        self.cache = PrefixCache()
        self.clock = 0.0
        self.queue: deque[Request] = deque()
        self.running: dict[str, Request] = {}
        self.tokens_generated = 0
        self.tokens_read = 0
        self.step_count = 0
        self._reading: deque[Request] = deque()
        self._decoding: list[tuple[int, int, Request]] = []
        self._sequences = 0
        self._contexts = 0
        self._private = 0
        self._order = 0
        self._stopping: list[Request] = []
        self._plan: _Plan | None = None

    @property
    def reserved(self) -> int:
        """Tokens that admitted requests hold."""
        return self._private + self.cache.pinned_tokens

    def submit(self, request: Request, now: float) -> None:
        """Take a request in. It is admitted at once when it fits, and joins the batch with the next step."""
        request.sent_at = now
        if self._plan is None and not self.running:
            self.clock = max(self.clock, now)
        self.queue.append(request)
        self._admit(now)

    def stop(self, request: Request) -> bool:
        """Close a request's stream; True when it was only queued and is gone at once.

        A running one leaves with the step in progress, unless it finishes first.
        """
        if not request.running:
            self.queue.remove(request)
            return True
        if not request.stopping:
            request.stopping = True
            self._stopping.append(request)
        return False

    def generated(self, request: Request) -> int:
        """Tokens a request brought forth so far."""
        if not request.running or request.unread:
            return request.generated
        return request.output - (request.end_step - self.step_count)

    def fits(self, blocks: Sequence[Block], prompt: int, reserve: int) -> bool:
        """Whether such a request would be admitted now."""
        return not self.queue and len(self.running) < self.shape.slots and self._room(blocks, prompt, reserve)

    def uncached(self, blocks: Sequence[Block], prompt: int) -> int:
        """Tokens of a prompt that would have to be read now; at least one."""
        return prompt - min(self.cache.match(blocks)[1], prompt - 1)

    def plan(self, until: float, most: int) -> float | None:
        """Fix the next steps and return when they end; None: there is nothing to do.

        No step begins at or after `until`; at most `most` are taken, and none beyond the first that
        finishes a request or reads a prompt. Planning again before `commit` changes nothing.
        """
        if self._plan is None and self.running:
            self._plan = self._next(until, most)
        return None if self._plan is None else self._plan.end

    def cut(self, now: float) -> None:
        """Let no planned step begin at or after `now`, as if `now` had been known when they were planned."""
        plan = self._plan
        if plan is None or plan.steps == 1:
            return
        base, growth = self._costs()
        steps = _steps_to(now - self.clock, base, growth)
        if steps < plan.steps:
            self._plan = replace(plan, steps=steps, end=self.clock + _seconds(steps, base, growth))

    def commit(self) -> Happened:
        """Take the planned steps."""
        plan, self._plan = self._plan, None
        if plan is None:
            raise RuntimeError("no steps are planned")
        happened = Happened()
        self.clock = plan.end
        self.step_count += plan.steps
        self.tokens_generated += plan.sequences * plan.steps
        self._contexts += plan.sequences * plan.steps
        self._read(plan.prefill, happened)
        while self._decoding and self._decoding[0][0] <= self.step_count:
            request = heapq.heappop(self._decoding)[2]
            if request.running and not request.unread and request.end_step <= self.step_count:
                self._leave(request)
                happened.finished.append(request)
        for request in self._stopping:
            if request.running:
                self._leave(request)
                happened.stopped.append(request)
        self._stopping.clear()
        self._admit(self.clock)
        return happened

    def _next(self, until: float, most: int) -> _Plan:
        shape = self.shape
        base, growth = self._costs()
        if self._reading:
            unread = min(shape.chunk, sum(r.unread for r in self._reading))
            return _Plan(1, unread, self._sequences, self.clock + base + shape.prefill * unread)
        steps = max(1, min(most, self._decoding[0][0] - self.step_count))
        if until < inf:
            steps = max(1, min(steps, _steps_to(until - self.clock, base, growth)))
        return _Plan(steps, 0, self._sequences, self.clock + _seconds(steps, base, growth))

    def _costs(self) -> tuple[float, float]:
        """Return what the next step takes without reading, and by how much each step takes longer."""
        shape = self.shape
        base = shape.step + shape.decode * self._sequences + shape.kv * self._contexts
        return base, shape.kv * self._sequences

    def _read(self, tokens: int, happened: Happened) -> None:
        self.tokens_read += tokens
        while tokens:
            request = self._reading[0]
            part = min(tokens, request.unread)
            request.unread -= part
            tokens -= part
            if request.unread:
                return
            self._reading.popleft()
            request.end_step = self.step_count + request.output - 1
            self._order += 1
            heapq.heappush(self._decoding, (request.end_step, self._order, request))
            self._sequences += 1
            self._contexts += request.prompt + 1
            self.tokens_generated += 1
            happened.first_tokens.append(request)

    def _room(self, blocks: Sequence[Block], prompt: int, reserve: int) -> bool:
        count, cached = self.cache.match(blocks)
        need = prompt - cached + reserve + self.cache.newly_pinned(blocks[:count])
        return self.reserved + need <= self.shape.budget

    def _admit(self, now: float) -> None:
        while self.queue and len(self.running) < self.shape.slots:
            request = self.queue[0]
            if not self._room(request.blocks, request.prompt, request.reserve):
                return
            self.queue.popleft()
            self._enter(request, now)

    def _enter(self, request: Request, now: float) -> None:
        count, cached = self.cache.match(request.blocks)
        request.pinned = request.blocks[:count]
        self.cache.pin(request.pinned)
        request.private = request.prompt - cached + request.reserve
        self._private += request.private
        over = self.reserved + self.cache.idle_tokens - self.shape.budget
        if over > 0:
            self.cache.evict(over)
        # The last token is read even when all are cached: its output starts the answer.
        request.cached = min(cached, request.prompt - 1)
        request.unread = request.prompt - request.cached
        request.admitted_at = now
        request.running = True
        self.running[request.id] = request
        self._reading.append(request)

    def _leave(self, request: Request) -> None:
        read = not request.unread
        request.generated = self.generated(request)
        request.running = False
        del self.running[request.id]
        if read:
            self._sequences -= 1
            self._contexts -= request.prompt + request.generated
        else:
            self._reading.remove(request)
        self._private -= request.private
        self.cache.unpin(request.pinned)
        if read:
            self.cache.insert(request.blocks)


def _seconds(steps: int, base: float, growth: float) -> float:
    return steps * base + growth * steps * (steps - 1) / 2


def _steps_to(span: float, base: float, growth: float) -> int:
    """Return the least number of steps that takes at least `span` seconds."""
    if span <= 0:
        return 1
    if growth <= 0:
        return ceil(span / base)
    slope = base - growth / 2
    steps = ceil((sqrt(slope * slope + 2 * growth * span) - slope) / growth)
    while steps > 1 and _seconds(steps - 1, base, growth) >= span:
        steps -= 1
    while _seconds(steps, base, growth) < span:
        steps += 1
    return steps
