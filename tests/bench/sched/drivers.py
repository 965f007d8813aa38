"""Drivers without AIOS: what a TGI server does alone, what the reference system does, and the oracles."""

from collections import deque
from typing import Final

from tests.bench.sched.engine import Engine, LiveCall
from tests.bench.sched.server import MAX_NEW_TOKENS

TYPICAL_BATCH: Final = 16


class PassThrough:
    """FIFO: every call goes to the server at once and waits in its strict queue."""

    stride = 0

    def attach(self, engine: Engine) -> None:
        """Learn the engine."""
        self.engine = engine

    def arrived(self, call: LiveCall, now: float) -> None:
        """Send it on."""
        self.engine.send(call, now)

    def finished(self, call: LiveCall, now: float) -> None:
        """Nothing waits here."""

    def stopped(self, call: LiveCall, now: float) -> None:
        """Nothing is ever stopped."""

    def progress(self, now: float) -> None:
        """Nobody asks."""

    def wakeup(self) -> float | None:
        """Time alone changes nothing."""
        return None

    def tick(self, now: float) -> None:
        """Time alone changes nothing."""


class Barrier(PassThrough):
    """The reference's FIFO: all waiting calls go as one batch, the next batch when the last of it ends.

    `pause` is the time it collects before a batch: 1.0 s interval and 0.1 s poll as shipped.
    """

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.waiting: list[LiveCall] = []
        self.in_flight = 0
        self.start_at: float | None = None

    def arrived(self, call: LiveCall, now: float) -> None:
        """Wait for the next batch."""
        self.waiting.append(call)
        self._plan(now)

    def finished(self, call: LiveCall, now: float) -> None:  # noqa: ARG002 - interface
        """Open the barrier with the last call of the batch."""
        self.in_flight -= 1
        self._plan(now)

    def wakeup(self) -> float | None:
        """When the batch goes."""
        return self.start_at

    def tick(self, now: float) -> None:
        """Send the batch."""
        self.start_at = None
        batch, self.waiting = self.waiting, []
        self.in_flight = len(batch)
        for call in batch:
            self.engine.send(call, now)

    def _plan(self, now: float) -> None:
        if not self.in_flight and self.waiting and self.start_at is None:
            self.start_at = now + self.pause


class OneAtATime(PassThrough):
    """The reference's round robin: one call at a time in slices of seconds.

    As shipped it dies at its first call; repaired, it still runs one call at a time. With
    `restarts` a slice starts from zero, as measured there, so a call longer than a slice never
    ends; without, it goes on where it stopped (what the reference means to do) and is not stopped
    before its first token, because a half-read prompt is lost.
    """

    def __init__(self, slice_seconds: float = 1.0, *, restarts: bool) -> None:
        self.slice = slice_seconds
        self.restarts = restarts
        self.waiting: deque[LiveCall] = deque()
        self.current: LiveCall | None = None
        self.slice_ends: float | None = None

    def arrived(self, call: LiveCall, now: float) -> None:
        """Join the ring."""
        self.waiting.append(call)
        self._next(now)

    def finished(self, call: LiveCall, now: float) -> None:  # noqa: ARG002 - interface
        """Turn to the next."""
        self.current = self.slice_ends = None
        self._next(now)

    def stopped(self, call: LiveCall, now: float) -> None:
        """Turn to the next; the call goes to the tail."""
        self.current = None
        if self.restarts:
            self.engine.restart(call)
        self.waiting.append(call)
        self._next(now)

    def wakeup(self) -> float | None:
        """When the slice ends."""
        return self.slice_ends

    def tick(self, now: float) -> None:
        """End the slice; alone, a call goes on."""
        self.slice_ends = None
        call = self.current
        if call is None:
            return
        progressed = self.engine.generated(call) > call.done
        if self.restarts or (self.waiting and progressed):
            self.engine.stop(call, now)
        else:
            self.slice_ends = now + self.slice

    def _next(self, now: float) -> None:
        if self.current is None and self.waiting:
            self.current = self.waiting.popleft()
            self.slice_ends = now + self.slice
            self.engine.send(self.current, now)


class Oracle(PassThrough):
    """Shortest job first with true lengths and the true content of the prefix cache.

    A call goes to the server only when it is admitted at once. With `preempts` it is SRPT: a
    running call stops for one whose whole work is less than what the running one has left, the
    cost of its resume counted in.
    """

    def __init__(self, *, preempts: bool) -> None:
        self.preempts = preempts
        self.waiting: dict[LiveCall, None] = {}
        self.running: dict[LiveCall, None] = {}
        self.stopping: LiveCall | None = None

    def arrived(self, call: LiveCall, now: float) -> None:
        """Queue it."""
        self.waiting[call] = None
        self._pump(now)

    def finished(self, call: LiveCall, now: float) -> None:
        """Use the room."""
        self._gone(call, now)

    def stopped(self, call: LiveCall, now: float) -> None:
        """Use the room; the call waits again."""
        self.waiting[call] = None
        self._gone(call, now)

    def work(self, call: LiveCall) -> float:
        """Seconds of the server a waiting call still needs."""
        shape = self.engine.server.shape
        uncached = self.engine.server.uncached(call.step.blocks, call.step.prompt) + call.done
        return shape.prefill * uncached + self._decode(call, call.step.output - call.done)

    def _decode(self, call: LiveCall, tokens: int) -> float:
        shape = self.engine.server.shape
        return tokens * (shape.step / TYPICAL_BATCH + shape.decode + shape.kv * call.context)

    def _gone(self, call: LiveCall, now: float) -> None:
        self.running.pop(call, None)
        if self.stopping is call:
            self.stopping = None
        self._pump(now)

    def _pump(self, now: float) -> None:
        server = self.engine.server
        ranked = sorted((self.work(call), call.number, call) for call in self.waiting)
        for _, _, call in ranked:
            if server.queue or len(server.running) >= server.shape.slots:
                break
            if server.fits(call.blocks(), call.context, MAX_NEW_TOKENS - call.done):
                del self.waiting[call]
                self.running[call] = None
                self.engine.send(call, now)
        if self.preempts and self.waiting and self.stopping is None:
            self._stop_one(min((self.work(call), call.number, call) for call in self.waiting)[0], now)

    def _stop_one(self, wanted: float, now: float) -> None:
        server = self.engine.server
        gains = []
        for call in self.running:
            if call.request is None or call.request.unread:
                continue
            done = server.generated(call.request)
            left = self._decode(call, call.request.output - done)
            gains.append((left - server.shape.prefill * (call.done + done) - wanted, call.number, call))
        if gains and max(gains)[0] > wanted:
            self.stopping = max(gains)[2]
            self.engine.stop(self.stopping, now)
