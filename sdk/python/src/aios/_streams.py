"""Long streams: watches and providers, opened again until their caller leaves or the kernel refuses for good.

A long stream has an identity (its method), attempts, and a kind of deadline. The method's own deadline bounds
one attempt; only the caller's own bounds the stream.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from enum import Enum
from typing import TypeVar

from google.protobuf.message import Message

from aios._methods import Method, method_of
from aios._retry import RetryPolicy, is_transient
from aios._transport import Transport, renewable
from aios.errors import AiosError, DeadlineExceeded, Unavailable

R = TypeVar("R", bound=Message)


class Deadline(Enum):
    """What a deadline ends."""

    ATTEMPT = "attempt"  # the method's default: one attempt, and the stream is opened again
    CALLER = "caller"  # the caller's own: the stream


class LongStream:
    """Where a long stream stands: its attempts, and whether there is another one. Pure but for the clock."""

    def __init__(
        self,
        method: Method,
        policy: RetryPolicy,
        timeout: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.method = method
        self.attempt = 0
        self._policy = policy
        self._clock = clock
        self._ends = None if timeout is None else clock() + timeout
        self._failures = 0
        self._first_failure = 0.0
        self._renewed = False

    def begin(self) -> float:
        """Count an attempt and return its seconds. Raises DeadlineExceeded when there are none."""
        self.attempt += 1
        seconds = self.method.default_timeout
        if self._ends is not None:
            seconds = min(seconds, self._ends - self._clock())
        if seconds <= 0:
            raise DeadlineExceeded("the caller's deadline passed", method=self.method.name)
        return seconds

    @property
    def bound_by(self) -> Deadline:
        """Which deadline has passed when the kernel says that one has."""
        over = self._ends is not None and self._clock() >= self._ends
        return Deadline.CALLER if over else Deadline.ATTEMPT

    def stands(self) -> None:
        """Note that the attempt was let in: a failure after it, however late, begins a new outage."""
        self._failures = 0
        self._renewed = False

    def may_renew(self) -> bool:
        """Tell whether a refused token may be renewed: once until an attempt is let in."""
        first = not self._renewed
        self._renewed = True
        return first

    def not_renewed(self) -> None:
        """Let the next refused token be renewed again."""
        self._renewed = False

    def pause_after(self, error: AiosError) -> float:
        """Return the seconds to wait before the next attempt.

        Raises `error` when it is final, when the outage lasts longer than the policy's window, or when the
        caller's own deadline comes first.
        """
        now = self._clock()
        self._failures += 1
        if self._failures == 1:
            self._first_failure = now
        if isinstance(error, DeadlineExceeded) and self.bound_by is Deadline.ATTEMPT:
            error = Unavailable("the attempt's deadline passed", method=self.method.name)
        if not is_transient(error):
            raise error
        pause = self._policy.delay(error, self._failures) or 0.0
        if now + pause > self._first_failure + self._policy.window:
            raise error
        if self._ends is not None and now + pause > self._ends:
            raise DeadlineExceeded("the caller's deadline passed", method=self.method.name) from error
        return pause


async def follow_forever(
    transport: Transport,
    request: Callable[[], Message],
    response: type[R],
    *,
    timeout: float | None = None,
    opened: Callable[[], None] | None = None,
) -> AsyncGenerator[R, None]:
    """Yield what an endless method sends, across deadlines, broken connections and draining servers.

    `request` makes the request of each attempt, from where the caller stands; `opened` is told of each one
    that is let in. `timeout` bounds the whole stream. Unit: seconds; default: no bound. Raises the
    `AiosError` that ended it for good: a refusal, or an outage longer than the retry window. Closing it
    cancels the RPC.
    """
    stream = LongStream(method_of(request()), transport.policy, timeout, transport.clock)

    def stands() -> None:
        stream.stands()
        if opened is not None:
            opened()

    while True:
        token = ""
        try:
            token = await transport.token()
            attempt = transport.attempt(request(), response, token, stream.begin(), opened=stands)
            async with aclosing(attempt) as messages:
                async for message in messages:
                    yield message
            # An endless method has no end of its own: the server stops without saying why.
            error: AiosError = Unavailable("the kernel ended the stream", method=stream.method.name)
        except AiosError as failure:
            error = failure
        await _recover(transport, stream, error, token)


async def _recover(transport: Transport, stream: LongStream, error: AiosError, token: str) -> None:
    """Make ready for the next attempt, or raise what ended the stream."""
    if renewable(error) and token:
        try:
            if stream.may_renew() and await transport.renew(token):
                return
        except AiosError as failure:
            # Renewing is what failed, possibly because access is restarting: that decides on another attempt.
            stream.not_renewed()
            error = failure
    transport.advise(error)
    await transport.sleep(stream.pause_after(error))
