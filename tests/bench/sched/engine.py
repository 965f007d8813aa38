"""The discrete-event loop: programs arrive, a driver decides when their calls go to the server."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from tests.bench.sched.prefix_cache import Block
from tests.bench.sched.server import MAX_NEW_TOKENS, Request, Server
from tests.bench.sched.workloads import Program, Step

_UNBOUNDED = 1_000_000


@dataclass(slots=True, eq=False)
class LiveCall:
    """A call from its arrival to its end, and what is measured of it. Times in seconds."""

    id: str
    number: int
    program: Program
    step: Step
    index: int
    """Which step of its program."""

    arrived: float
    admitted: float = inf
    first_token: float = inf
    finished: float = inf
    done: int = 0
    """Tokens of the slices before the present one."""

    tokens_read: int = 0
    tokens_cached: int = 0
    preemptions: int = 0
    server_wait: float = 0.0
    request: Request | None = None
    """The slice the server has, or that is on its way there."""

    cancelled: bool = False
    """The present slice is to be dropped before it reaches the server."""

    @property
    def context(self) -> int:
        """Tokens a slice sent now starts from."""
        return self.step.prompt + self.done

    def blocks(self) -> tuple[Block, ...]:
        """Return what the server reads: a resumed call brings its own output along."""
        if not self.done:
            return self.step.blocks
        return (*self.step.blocks, Block(f"{self.id}+{self.done}", self.done))


class Driver(Protocol):
    """Stands between the arriving calls and the server."""

    stride: int
    """Call `progress` about every so many steps; 0: never."""

    def attach(self, engine: "Engine") -> None:
        """Learn whom to send calls to. Called once, before anything arrives."""

    def arrived(self, call: LiveCall, now: float) -> None:
        """Take a new call in."""

    def finished(self, call: LiveCall, now: float) -> None:
        """Note that a call has all its tokens."""

    def stopped(self, call: LiveCall, now: float) -> None:
        """Note that a call that was to stop left the server unfinished."""

    def progress(self, now: float) -> None:
        """Look at what the running calls brought forth."""

    def wakeup(self) -> float | None:
        """When `tick` is wanted next; not before the last time it was told."""

    def tick(self, now: float) -> None:
        """Note that the wanted time has come."""


@dataclass(order=True, slots=True)
class _Event:
    at: float
    order: int
    kind: str = field(compare=False)
    call: LiveCall = field(compare=False)


class Engine:
    """Plays a workload against a server under a driver. Deterministic."""

    def __init__(self, programs: Sequence[Program], server: Server, driver: Driver) -> None:
        self.server = server
        self.calls: list[LiveCall] = []
        self.window_end = max(program.arrival for program in programs)
        self.window_tokens = 0
        self.wasted_tokens = 0
        self._driver = driver
        self._events: list[_Event] = []
        self._order = 0
        self._by_request: dict[str, LiveCall] = {}
        self._window_open = True
        for program in programs:
            self._expect(program, 0, program.arrival)
        driver.attach(self)

    def run(self, horizon: float = inf) -> None:
        """Play until everything has ended, or until the horizon."""
        reported, ticks = 0, 0
        while True:
            wake = self._driver.wakeup()
            event = self._events[0].at if self._events else inf
            outside = min(event, inf if wake is None else wake)
            ends = self.server.plan(outside, self._driver.stride or _UNBOUNDED)
            if min(outside, inf if ends is None else ends) >= horizon:
                return
            if ends is not None and ends <= outside:
                self._commit()
                ticks = 0
                if self._driver.stride and self.server.step_count - reported >= self._driver.stride:
                    reported = self.server.step_count
                    self._driver.progress(self.server.clock)
            elif event <= outside:
                self._handle(heapq.heappop(self._events))
            else:
                ticks += 1
                if ticks > _UNBOUNDED:
                    raise RuntimeError("the driver ticks without end")
                self._driver.tick(outside)

    def send(self, call: LiveCall, now: float, delay: float = 0.0, limit: int = 0) -> None:
        """Let the server have a call, `delay` seconds from now, for at most `limit` tokens unless 0."""
        left = call.step.output - call.done
        call.request = Request(
            id=f"{call.id}/{call.preemptions}",
            blocks=call.blocks(),
            prompt=call.context,
            output=min(left, limit) if limit else left,
            reserve=limit or MAX_NEW_TOKENS - call.done,
        )
        call.cancelled = False
        if delay:
            self._push(now + delay, "deliver", call)
        else:
            self._deliver(call, now)

    def stop(self, call: LiveCall, now: float, delay: float = 0.0) -> None:
        """Close a call's stream, `delay` seconds from now; the driver hears `stopped` unless it finishes."""
        if delay:
            self._push(now + delay, "stop", call)
        else:
            self._stop(call, now)

    def generated(self, call: LiveCall) -> int:
        """All tokens of a call so far, over every slice."""
        return call.done + (self.server.generated(call.request) if call.request else 0)

    def restart(self, call: LiveCall) -> None:
        """Throw away what a stopped call had brought forth."""
        self.wasted_tokens += call.done
        call.done = 0

    def _push(self, at: float, kind: str, call: LiveCall) -> None:
        self._order += 1
        heapq.heappush(self._events, _Event(at, self._order, kind, call))

    def _expect(self, program: Program, index: int, at: float) -> None:
        number = len(self.calls)
        call = LiveCall(f"c{number}", number, program, program.steps[index], index, at)
        self.calls.append(call)
        self._push(at, "arrive", call)

    def _handle(self, event: _Event) -> None:
        if event.kind == "arrive":
            self._driver.arrived(event.call, event.at)
        elif event.kind == "deliver":
            if event.call.cancelled:
                self._dropped(event.call, event.at)
            else:
                self._deliver(event.call, event.at)
        else:
            self._stop(event.call, event.at)

    def _deliver(self, call: LiveCall, now: float) -> None:
        if call.request is None:
            raise RuntimeError(f"{call.id} was delivered but never sent")
        self._by_request[call.request.id] = call
        self.server.submit(call.request, now)

    def _stop(self, call: LiveCall, now: float) -> None:
        request = call.request
        if request is None:
            return  # it finished first
        if request.id not in self._by_request:
            call.cancelled = True
        elif self.server.stop(request):
            del self._by_request[request.id]
            self._dropped(call, now)

    def _dropped(self, call: LiveCall, now: float) -> None:
        call.request = None
        call.preemptions += 1
        self._driver.stopped(call, now)

    def _commit(self) -> None:
        happened = self.server.commit()
        now = self.server.clock
        if self._window_open and now >= self.window_end:
            self._window_open = False
            self.window_tokens = self.server.tokens_generated
        for request in happened.first_tokens:
            call = self._by_request[request.id]
            call.first_token = min(call.first_token, now)
        for request in happened.finished:
            call = self._left(request)
            if call.done < call.step.output:
                call.preemptions += 1
                self._driver.stopped(call, now)
                continue
            call.finished = now
            if call.index + 1 < len(call.program.steps):
                after = call.program.steps[call.index + 1].after
                self._expect(call.program, call.index + 1, now + after)
            self._driver.finished(call, now)
        for request in happened.stopped:
            call = self._left(request)
            call.preemptions += 1
            self._driver.stopped(call, now)

    def _left(self, request: Request) -> LiveCall:
        call = self._by_request.pop(request.id)
        call.request = None
        call.done += request.generated
        call.admitted = min(call.admitted, request.admitted_at)
        call.server_wait += request.admitted_at - request.sent_at
        call.tokens_read += request.prompt - request.cached - request.unread
        call.tokens_cached += request.cached
        return call
