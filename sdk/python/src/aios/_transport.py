"""Sends requests: deadline, credential, retries and typed errors, the same for every RPC."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from google.protobuf.message import Message

from aios._grpc import grpc
from aios._link import Link
from aios._methods import Method, method_of
from aios._retry import RetryPolicy
from aios._status import error_of
from aios._tokens import Tokens
from aios.errors import AiosError, DeadlineExceeded, Unauthenticated

R = TypeVar("R", bound=Message)

OPEN_KEY = "aios-open"
"""Initial metadata by which the kernel says that it has let an endless stream in, which may stay silent."""

_ENDING_SECONDS = 1.0
"""How long a read of a call that was cancelled may take to end."""
_RENEWABLE = frozenset({"CREDENTIAL_EXPIRED", "CREDENTIAL_INVALID"})


class Transport:
    """One caller's way to the kernel over a shared connection."""

    def __init__(
        self,
        link: Link,
        tokens: Tokens,
        policy: RetryPolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.link = link
        self.policy = policy
        self.tokens = tokens
        self.clock = clock
        self.sleep = sleep

    def with_tokens(self, tokens: Tokens) -> "Transport":
        """Return a transport for another caller over the same connection."""
        return Transport(self.link, tokens, self.policy, clock=self.clock, sleep=self.sleep)

    def advise(self, error: AiosError) -> None:
        """Say in an error what to do, where the caller's credential is what was refused."""
        if renewable(error) and self.tokens.advice:
            error.advise(self.tokens.advice)

    async def token(self) -> str:
        """Return the caller's bearer token. Raises an `AiosError` when there is none."""
        return await self.tokens.get()

    async def renew(self, rejected: str) -> bool:
        """Get another token than `rejected`; False when there is no way to. Raises an `AiosError`."""
        return await self.tokens.renew(rejected)

    async def call_once(self, request: Message, response: type[R], *, timeout: float) -> R:
        """Send one unary request once, whatever happens. Raises an `AiosError`."""
        try:
            return await self._send(request, response, await self.tokens.get(), timeout)
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure, method_of(request).name) from failure

    async def _send(self, request: Message, response: type[R], token: str, timeout: float) -> R:
        channel = await self.link.channel(within=timeout)
        rpc = channel.unary_unary(
            method_of(request).path, request_serializer=_to_bytes, response_deserializer=response.FromString
        )
        return await rpc(request, timeout=timeout, metadata=_metadata(token))

    async def call(self, request: Message, response: type[R], *, timeout: float | None = None) -> R:
        """Send one unary request and return its response.

        `timeout` bounds the whole call, retries included. Unit: seconds; default: the method's own, and at
        least the retry window. Raises an `AiosError`. Cancelling the task cancels the RPC.
        """
        method = method_of(request)
        _identify(method, request)
        attempts = _Attempts(method, timeout, self.policy, self.clock)
        while True:
            token = ""
            try:
                token = await self.tokens.get()
                return await self._send(request, response, token, attempts.remaining())
            except grpc.aio.AioRpcError as failure:
                error = error_of(failure, method.name)
            except AiosError as failure:
                error = failure
            await self._recover(attempts, error, token)

    async def stream(
        self,
        request: Message,
        response: type[R],
        *,
        timeout: float | None = None,
        resume: Callable[[], Message | None] | None = None,
    ) -> AsyncGenerator[R, None]:
        """Send a request and yield its responses.

        For methods that end by themselves; those that do not are for `follow_forever`. Before the first
        response a lost call is repeated like a unary one. After it the stream is repeated only with
        `resume`, which makes the request that continues where the caller stands, or None when nothing is
        missing; each response starts a new retry window. Closing the generator cancels the RPC.
        """
        method = method_of(request)
        _identify(method, request)
        attempts = _Attempts(method, timeout, self.policy, self.clock)
        started = False
        while True:
            token = ""
            try:
                token = await self.tokens.get()
                async with aclosing(self.attempt(request, response, token, attempts.remaining())) as messages:
                    async for message in messages:
                        started = True
                        attempts.progressed()
                        yield message
            except AiosError as failure:
                error = failure
            else:
                return
            if started and resume is None:
                raise error
            again = resume() if resume is not None else request
            if again is None:
                return
            request = again
            await self._recover(attempts, error, token)

    async def attempt(
        self,
        request: Message,
        response: type[R],
        token: str,
        timeout: float,
        *,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[R, None]:
        """Send a request once and yield its responses; `opened` is told when the kernel lets it in.

        Raises an `AiosError`. Closing the generator cancels the RPC.
        """
        method = method_of(request)
        channel = await self.link.channel(within=timeout)
        rpc = channel.unary_stream(
            method.path, request_serializer=_to_bytes, response_deserializer=response.FromString
        )
        call = rpc(request, timeout=timeout, metadata=_metadata(token))
        try:
            if method.endless and any(key == OPEN_KEY for key, _ in await call.initial_metadata() or ()):
                opened()
            while (message := await _next_of(call)) is not grpc.aio.EOF:
                opened()
                yield message
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure, method.name) from failure
        finally:
            call.cancel()

    async def _recover(self, attempts: "_Attempts", error: AiosError, token: str) -> None:
        """Make ready for the next attempt, or raise `error`."""
        if renewable(error) and token:
            try:
                if attempts.may_renew() and await self.tokens.renew(token):
                    return
            except AiosError as failure:
                # Renewing is what failed, possibly because access is restarting: that is what decides on a
                # retry.
                attempts.not_renewed()
                error = failure
        self.advise(error)
        await self.sleep(attempts.pause_after(error))


async def _next_of(call: Any) -> Any:
    """Return the next message of a call, or grpc.aio.EOF. Raises AioRpcError.

    A read that is interrupted goes on to its end, which cancelling the call brings at once: gRPC frees what
    it receives when the read is over, and one that was given up would keep it for ever.
    """
    reading = asyncio.ensure_future(call.read())
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        call.cancel()
        done, _ = await asyncio.wait({reading}, timeout=_ENDING_SECONDS)
        for read in done:
            if not read.cancelled():
                read.exception()  # seen: the call ends for the reason of the interruption
        raise


def renewable(error: AiosError) -> bool:
    """Tell whether the credential was refused in a way that another token may mend."""
    return isinstance(error, Unauthenticated) and error.reason in _RENEWABLE


class _Attempts:
    """The attempts of one call: how long the next one may take, and whether there is one."""

    def __init__(
        self, method: Method, timeout: float | None, policy: RetryPolicy, clock: Callable[[], float]
    ) -> None:
        self._method = method
        self._policy = policy
        self._clock = clock
        total = max(method.default_timeout, policy.window) if timeout is None else timeout
        self._deadline = clock() + total
        self._failures = 0
        self._first_failure = 0.0
        self._renewed = False

    def remaining(self) -> float:
        """Return the seconds left for the next attempt. Raises DeadlineExceeded when there are none."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise DeadlineExceeded("the call's deadline passed", method=self._method.name)
        return left

    def progressed(self) -> None:
        """Start a new retry window: the call has got somewhere."""
        self._failures = 0
        self._renewed = False

    def may_renew(self) -> bool:
        """Tell whether a refused token may be renewed: once per retry window."""
        first = not self._renewed
        self._renewed = True
        return first

    def not_renewed(self) -> None:
        """Let the next refused token be renewed again."""
        self._renewed = False

    def pause_after(self, error: AiosError) -> float:
        """Return the seconds to wait before the next attempt. Raises `error` when there is none."""
        now = self._clock()
        self._failures += 1
        if self._failures == 1:
            self._first_failure = now
        pause = self._policy.delay(error, self._failures) if self._method.repeatable else None
        if pause is None or now + pause > min(self._first_failure + self._policy.window, self._deadline):
            raise error
        return pause


def _identify(method: Method, request: Message) -> None:
    """Give a mutation an id, so that repeating it has the effect of one call."""
    if method.takes_request_id and not getattr(request, "request_id"):  # noqa: B009  # the static type is Message
        setattr(request, "request_id", uuid.uuid4().hex)  # noqa: B010  # same


def _metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


def _to_bytes(message: Message) -> bytes:
    return message.SerializeToString()
