"""A process's end of the Dispatch stream: hands calls to the scheduler and survives its restarts."""

import asyncio
import itertools
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from aios.api.scheduler.v1 import scheduler_pb2_grpc
from services.chassis.dispatch.errors import (
    NeverFits,
    NoBackend,
    PolicyUnknown,
    QueueFull,
    SchedulerUnavailable,
    TooManyCalls,
    WaitExpired,
)
from services.chassis.dispatch.scheduling import CallKey, Completion, DispatchGrant, Interrupt, Submission
from services.chassis.dispatch.wire import submit_message
from services.chassis.rpc.errors import Cancelled, DeadlineExceeded, InvalidRequest, KernelError
from services.chassis.rpc.wire import duration
from services.chassis.runtime.clock import Clock
from services.chassis.streams import LongStream, follow_forever

STREAM_SECONDS = 86_400.0
WELCOME_SECONDS = 10.0
"""How long the scheduler may take to welcome a new stream."""
FIRST_BACKOFF = 0.05
LONGEST_BACKOFF = 1.0
DISCONNECTED_GRACE = 5.0
"""Seconds that a call whose `max_wait` is over while the scheduler is away goes on waiting for it."""

PROGRAMS = 20_000
"""Programs whose attained service is remembered."""

Metadata = Callable[[], Awaitable[Sequence[tuple[str, str]]]]


def refusal(
    outcome: str, message: str, retry_after: float | None, facts: Mapping[str, str] | None = None
) -> KernelError:
    """Turn the outcome of a call that was not granted into the error its caller gets.

    `facts`: the numbers behind it, by name, for the metadata.
    """
    kinds: dict[str, tuple[type[KernelError], str]] = {
        "rejected_full": (QueueFull, "too many calls wait already; come back later"),
        "rejected_agent_full": (TooManyCalls, "this agent has too many calls in flight"),
        "rejected_too_large": (NeverFits, "the call asks for more tokens than any backend holds"),
        "rejected_invalid": (InvalidRequest, "the scheduler refused the call"),
        "rejected_policy": (PolicyUnknown, "no such scheduling policy"),
        "evicted_wait": (WaitExpired, "the call waited longer than its max_wait"),
        "evicted_deadline": (DeadlineExceeded, "the call's deadline passed while it waited"),
        "evicted_cancelled": (Cancelled, "the call was cancelled"),
        "no_backend": (NoBackend, "no backend serves the model right now"),
    }
    kind, text = kinds.get(outcome, (SchedulerUnavailable, "the scheduler gave the call up"))
    return kind(message or text, metadata={**(facts or {}), "outcome": outcome}, retry_after=retry_after)


@dataclass(slots=True)
class _CallStatus:
    """Where a call stands, for submitting it again."""

    waiting_since: float
    running_on: str = ""
    number: int = 0
    given_back: int = 0
    """Newest grant of this stream that was given back: it and what came before it are void."""
    tokens_done: int = 0
    preemptions: int = 0
    submitted: bool = False
    started: bool = False


class DispatchTicket:
    """One attempt at a call, in the scheduler's hands.

    The same call may come again as another attempt before everything about this one has arrived. `attempt` is
    its number, which every message about it carries, so that nothing said of one attempt touches another.
    """

    def __init__(self, client: "DispatchClient", call: Submission, attempt: int) -> None:
        self.call = call
        self.attempt = attempt
        self.status = _CallStatus(waiting_since=call.arrived_at, tokens_done=call.tokens_done)
        self._client = client
        self._grant: asyncio.Future[DispatchGrant] = asyncio.get_running_loop().create_future()
        self._interrupt: asyncio.Future[Interrupt] = asyncio.get_running_loop().create_future()
        self._revoked: KernelError | None = None
        self._over = False

    async def granted(self) -> DispatchGrant:
        """Wait for the next grant. Raises the KernelError that says why there is none."""
        while True:
            patience = self._client.patience(self)
            done, _ = await asyncio.wait({self._grant}, timeout=patience)
            if done:
                return self._grant.result()
            if self._client.patience(self) == 0.0:
                raise SchedulerUnavailable(
                    "the scheduler is not there and the call could not wait longer; try again",
                    retry_after=1.0,
                )

    @property
    def revoked(self) -> bool:
        """Whether the scheduler has ended the attempt, and only its run has still to stop."""
        return self._revoked is not None

    async def interrupted(self) -> Interrupt:
        """Wait until the scheduler wants the running call back."""
        return await asyncio.shield(self._interrupt)

    def progress(self, tokens: int, cached_prompt_tokens: int | None = None) -> None:
        """Report tokens produced since the last report, and what of the prompt the backend had cached."""
        status = self.status
        status.tokens_done += tokens
        if status.running_on:
            report = pb.Progress(
                key=_key(self.call.key),
                tokens=tokens,
                number=status.number,
                cached_prompt_tokens=cached_prompt_tokens,
                attempt=self.attempt,
            )
            self._client.send(pb.DispatchRequest(progress=report))

    def yielded(self, tokens_done: int, *, replica_lost: bool, kv_replica: str = "") -> None:
        """Give the slot back and wait again."""
        status, now = self.status, self._client.now()
        number = status.number
        status.running_on, status.number, status.given_back = "", 0, number
        status.tokens_done, status.waiting_since = tokens_done, now
        status.preemptions += 0 if replica_lost else 1
        loop = asyncio.get_running_loop()
        self._grant, self._interrupt = loop.create_future(), loop.create_future()
        if self._revoked is not None:
            # The scheduler ended the attempt while the run was stopping for it: it would wait for ever.
            self.on_reject(self._revoked)
            return
        report = pb.Yielded(
            key=_key(self.call.key),
            tokens_done=tokens_done,
            replica_lost=replica_lost,
            number=number,
            kv_replica=kv_replica,
            attempt=self.attempt,
        )
        self._client.send(pb.DispatchRequest(yielded=report))

    def ended(
        self, completion: Completion, tokens_done: int, cached_prompt_tokens: int | None = None
    ) -> None:
        """End the attempt, whether it waits, runs or was revoked, and tell the scheduler. Idempotent."""
        if self._over:
            return
        self._over = True
        self._client.drop(self)
        key = _key(self.call.key)
        if self.status.running_on:
            report = pb.Ended(
                key=key,
                completion=completion.value,
                tokens_done=tokens_done,
                cached_prompt_tokens=cached_prompt_tokens,
                number=self.status.number,
                attempt=self.attempt,
            )
            self._client.send(pb.DispatchRequest(ended=report))
        elif not self._grant.done():
            withdraw = pb.Withdraw(key=key, attempt=self.attempt)
            self._client.send(pb.DispatchRequest(withdraw=withdraw))

    def on_grant(self, grant: pb.Grant) -> None:
        """Take a grant; one for a call that runs only renews the number.

        Such a grant follows a new stream, or was meant for an earlier call of the same id by a scheduler that
        numbers no attempts. The newest is the one the scheduler counts, so that one is given back in the end.
        """
        status = self.status
        if grant.number <= max(status.number, status.given_back):
            return  # told twice
        running = bool(status.running_on)
        status.running_on, status.number = grant.replica, grant.number
        if running:
            return
        status.started = True
        if not self._grant.done():
            self._grant.set_result(DispatchGrant(grant.replica, grant.quantum_tokens, grant.max_new_tokens))

    def on_preempt(self, number: int) -> None:
        """Ask the run to yield, if it is the one under the grant `number`."""
        if self.status.running_on and number == self.status.number and not self._interrupt.done():
            self._interrupt.set_result(Interrupt.PREEMPT)

    def on_revoke(self, error: KernelError) -> None:
        """End the attempt, whether it runs, is just stopping, or has given its slot back meanwhile."""
        if not self.status.running_on:
            self.on_reject(error)
            return
        self._revoked = error
        if not self._interrupt.done():
            self._interrupt.set_result(Interrupt.REVOKE)

    def on_reject(self, error: KernelError) -> None:
        """End the wait with an error."""
        if not self._grant.done():
            self._over = True
            self._client.drop(self)
            self._grant.set_exception(error)
            self._grant.exception()  # seen, also when the caller has just left

    def waited_out(self, now: float) -> bool:
        """Whether the call was never granted and its `max_wait` is over; with `max_wait` 0 it is at once."""
        longest = self.call.agent.hints.max_wait
        return not self.status.started and longest is not None and now >= self.status.waiting_since + longest

    def submission(self, now: float) -> pb.Submit:
        """Describe the call as it stands now."""
        call, status = self.call, self.status
        submit = submit_message(call)
        submit.tokens_done = status.tokens_done
        submit.running_on, submit.number, submit.attempt = status.running_on, status.number, self.attempt
        submit.preemption_count = status.preemptions
        if status.started:  # with its gang, if it had one: from now on it is on its own
            submit.gang, submit.gang_size = "", 0
        submit.resubmission = status.submitted
        submit.age.CopyFrom(duration(now - call.arrived_at))
        submit.attained.CopyFrom(duration(self._client.programs.attained(self)))
        submit.waiting_for.CopyFrom(duration(now - status.waiting_since))
        left = call.deadline - now
        if left < STREAM_SECONDS:
            submit.time_left.CopyFrom(duration(left))
        status.submitted = True
        status.given_back = 0  # a new stream tells no grant of the one before, and may begin at lower numbers
        return submit


class _Programs:
    """What each program has attained, as its last grant told; the program unused for longest goes first."""

    def __init__(self, keep: int = PROGRAMS) -> None:
        self._keep = keep
        self._attained: OrderedDict[tuple[str, str], float] = OrderedDict()

    def note(self, ticket: DispatchTicket, seconds: float) -> None:
        """Take what a grant of one of its calls told."""
        name = _program(ticket)
        self._attained[name] = max(self._attained.pop(name, 0.0), seconds)
        if len(self._attained) > self._keep:
            self._attained.popitem(last=False)

    def attained(self, ticket: DispatchTicket) -> float:
        """Return what a call's program has attained. Unit: seconds."""
        return self._attained.get(_program(ticket), 0.0)


class DispatchClient:
    """Keeps one stream to the scheduler and everything needed to build it anew."""

    def __init__(
        self, stub: "scheduler_pb2_grpc.SchedulerServiceAsyncStub", metadata: Metadata, clock: Clock
    ) -> None:
        self._stub = stub
        self._metadata = metadata
        self._clock = clock
        self.programs = _Programs()
        self._id = secrets.token_hex(8)
        self._attempts = itertools.count(1)
        # Unique together with the id, which is new in each process: the scheduler knows attempts by both.
        self._tickets: dict[int, DispatchTicket] = {}
        self._newest: dict[CallKey, DispatchTicket] = {}
        self._replicas: dict[str, pb.ReplicaState] = {}
        self._outbox: asyncio.Queue[pb.DispatchRequest] = asyncio.Queue()
        self._connected = False
        self._away_since = clock.monotonic()

    @property
    def connected(self) -> bool:
        """Whether the scheduler has welcomed this process."""
        return self._connected

    @property
    def held(self) -> int:
        """Calls that wait or run, each attempt for itself."""
        return len(self._tickets)

    def now(self) -> float:
        """Read the monotonic clock."""
        return self._clock.monotonic()

    def submit(self, call: Submission) -> DispatchTicket:
        """Put a call into the queue, now or as soon as the scheduler is there.

        An attempt under the same key that has not ended is ended by the scheduler when it sees the new one.
        """
        ticket = DispatchTicket(self, call, next(self._attempts))
        self._tickets[ticket.attempt] = self._newest[call.key] = ticket
        if self._connected:
            self._outbox.put_nowait(pb.DispatchRequest(submit=ticket.submission(self.now())))
        return ticket

    def announce(self, replica: pb.ReplicaState) -> None:
        """Tell what a replica can take."""
        self._replicas[replica.name] = replica
        self.send(pb.DispatchRequest(replica=replica))

    def withdraw(self, replica: str) -> None:
        """Take back what was announced; nothing runs there any more."""
        if self._replicas.pop(replica, None) is not None:
            self.send(pb.DispatchRequest(replica=pb.ReplicaState(name=replica, up=False)))

    def send(self, message: pb.DispatchRequest) -> None:
        """Send a report.

        Without a stream it is dropped, because the next stream starts with the whole state.
        """
        if self._connected:
            self._outbox.put_nowait(message)

    def drop(self, ticket: DispatchTicket) -> None:
        """Forget an attempt that has left."""
        self._tickets.pop(ticket.attempt, None)
        if self._newest.get(ticket.call.key) is ticket:
            del self._newest[ticket.call.key]

    def patience(self, ticket: DispatchTicket) -> float:
        """Return how long a call may go on waiting before it looks again; 0: it must give up."""
        if self._connected:
            return 5.0
        limit = ticket.status.waiting_since + (ticket.call.agent.hints.max_wait or 0.0) + DISCONNECTED_GRACE
        limit = max(limit, self._away_since + DISCONNECTED_GRACE)
        return min(5.0, max(0.0, limit - self.now()))

    async def run(self) -> None:
        """Keep the stream up until cancelled. Raises a refusal."""
        stream = LongStream("dispatch", first_pause=FIRST_BACKOFF, longest_pause=LONGEST_BACKOFF)
        await follow_forever(stream, self._session, self._take)

    async def _session(self) -> AsyncGenerator[pb.DispatchResponse, None]:
        """Yield what the scheduler says over one stream, from its welcome on."""
        metadata = tuple(await self._metadata())
        call = self._stub.Dispatch(timeout=STREAM_SECONDS, metadata=metadata)
        writer: asyncio.Task[None] | None = None
        try:
            first: Any = None
            with suppress(TimeoutError):  # then the next stream is tried
                async with asyncio.timeout(WELCOME_SECONDS):
                    await call.write(pb.DispatchRequest(hello=pb.Hello(gateway=self._id)))
                    first = await call.read()
            if not isinstance(first, pb.DispatchResponse) or first.WhichOneof("message") != "welcome":
                return
            self._refill()
            writer = asyncio.create_task(self._write(call))
            yield first
            while isinstance(message := await call.read(), pb.DispatchResponse):
                yield message
        finally:
            if self._connected:
                self._away_since = self.now()
            self._connected = False
            if writer is not None:
                writer.cancel()
                await asyncio.wait({writer})
            call.cancel()

    def _refill(self) -> None:
        """Start a stream with everything this process holds: calls, the oldest first, then replicas.

        In this order nothing is granted before every call is known, or the first ones told would pass those
        that run already and those that come before them. Only calls that can wait no longer come after the
        replicas: told before, they would be refused although there is room.
        """
        self._outbox = asyncio.Queue()
        self._connected = True
        now = self.now()
        held = sorted(
            (each for each in self._tickets.values() if not each.revoked),
            key=lambda each: each.call.arrived_at,
        )
        waits = [ticket for ticket in held if not ticket.waited_out(now)]
        last = [ticket for ticket in held if ticket.waited_out(now)]
        for ticket in waits:
            self._outbox.put_nowait(pb.DispatchRequest(submit=ticket.submission(now)))
        for replica in self._replicas.values():
            self._outbox.put_nowait(pb.DispatchRequest(replica=replica))
        for ticket in last:
            self._outbox.put_nowait(pb.DispatchRequest(submit=ticket.submission(now)))

    async def _write(
        self, call: "grpc.aio.StreamStreamCall[pb.DispatchRequest, pb.DispatchResponse]"
    ) -> None:
        outbox = self._outbox
        while True:
            message = await outbox.get()
            try:
                await call.write(message)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the reader sees why and starts a new stream

    def _take(self, message: pb.DispatchResponse) -> None:
        kind = message.WhichOneof("message")
        if kind not in {"grant", "preempt", "reject", "revoke"}:
            return
        body: pb.Grant | pb.Preempt | pb.Reject | pb.Revoke = getattr(message, kind)
        ticket = self._ticket_of(body)
        if ticket is None:
            self._return_unwanted(body)
        elif isinstance(body, pb.Grant):
            self.programs.note(ticket, body.attained.ToNanoseconds() / 1e9)
            ticket.on_grant(body)
        elif isinstance(body, pb.Preempt):
            ticket.on_preempt(body.number)
        elif isinstance(body, pb.Revoke):
            # Without an attempt it may be about an earlier call of the same id, but not with a grant of this.
            if body.attempt or body.number in {ticket.status.number, ticket.status.given_back}:
                ticket.on_revoke(refusal(body.outcome, "", None))
        else:
            seconds = body.retry_after.ToNanoseconds() / 1e9 if body.HasField("retry_after") else None
            error = refusal(body.outcome, body.message, seconds, body.facts)
            if body.attempt:
                ticket.on_revoke(error)  # a run, too, that a new scheduler will not take over
            else:
                ticket.on_reject(error)

    def _ticket_of(self, body: pb.Grant | pb.Preempt | pb.Reject | pb.Revoke) -> DispatchTicket | None:
        """Find the attempt that a decision is about; None: it has left.

        A scheduler that numbers no attempts can only mean the newest.
        """
        if body.attempt:
            return self._tickets.get(body.attempt)
        return self._newest.get(CallKey(body.key.tenant, body.key.agent, body.key.call))

    def _return_unwanted(self, body: pb.Grant | pb.Preempt | pb.Reject | pb.Revoke) -> None:
        """Give back the slot of an attempt that left while its grant was on the way."""
        if isinstance(body, pb.Grant):
            ended = pb.Ended(
                key=body.key,
                completion=Completion.CANCELLED.value,
                number=body.number,
                attempt=body.attempt,
            )
            self.send(pb.DispatchRequest(ended=ended))


def _program(ticket: DispatchTicket) -> tuple[str, str]:
    key = ticket.call.key
    return key.tenant, ticket.call.agent.program or key.agent


def _key(key: CallKey) -> pb.CallKey:
    return pb.CallKey(tenant=key.tenant, agent=key.agent, call=key.call)
