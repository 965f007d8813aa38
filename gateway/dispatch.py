"""The gateway's end of the Dispatch stream: hands calls to the scheduler and survives its restarts."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import grpc

from aios.api.agent.v1 import agent_pb2
from aios.api.scheduler.v1 import dispatch_pb2 as pb
from aios.api.scheduler.v1 import scheduler_pb2_grpc
from gateway.errors import NeverFits, NoBackend, QueueFull, SchedulerUnavailable, TooManyCalls, WaitExpired
from gateway.inference.model import ReplicaInfo
from gateway.inference.ports import CallKey, CallTerms, Completion, Grant, Interrupt
from services.chassis.clock import Clock
from services.chassis.errors import Cancelled, DeadlineExceeded, InvalidRequest, KernelError
from services.chassis.logs import logger

_log = logger(__name__)

STREAM_SECONDS = 86_400.0
FIRST_BACKOFF = 0.05
LONGEST_BACKOFF = 1.0
DISCONNECTED_GRACE = 5.0
"""Seconds that a call whose `max_wait` is over while the scheduler is away goes on waiting for it."""

Metadata = Callable[[], Awaitable[Sequence[tuple[str, str]]]]


def refusal(outcome: str, message: str, retry_after: float | None) -> KernelError:
    """Turn the outcome of a call that was not granted into the error its caller gets."""
    kinds: dict[str, tuple[type[KernelError], str]] = {
        "rejected_full": (QueueFull, "too many calls wait already; come back later"),
        "rejected_agent_full": (TooManyCalls, "this agent has too many calls in flight"),
        "rejected_too_large": (NeverFits, "the call asks for more tokens than any backend holds"),
        "rejected_invalid": (InvalidRequest, "the scheduler refused the call"),
        "evicted_wait": (WaitExpired, "the call waited longer than its max_wait"),
        "evicted_deadline": (DeadlineExceeded, "the call's deadline passed while it waited"),
        "evicted_cancelled": (Cancelled, "the call was cancelled"),
        "no_backend": (NoBackend, "no backend serves the model right now"),
    }
    kind, text = kinds.get(outcome, (SchedulerUnavailable, "the scheduler gave the call up"))
    return kind(message or text, metadata={"outcome": outcome}, retry_after=retry_after)


@dataclass(slots=True)
class _Held:
    """Where a call stands, for submitting it again."""

    waiting_since: float
    running_on: str = ""
    number: int = 0
    tokens_done: int = 0
    attained: float = 0.0
    running_since: float = 0.0
    preemptions: int = 0
    submitted: bool = False


class DispatchTicket:
    """One call in the scheduler's hands."""

    def __init__(self, client: "DispatchClient", terms: CallTerms) -> None:
        self.terms = terms
        self.held = _Held(waiting_since=terms.arrived_at, tokens_done=terms.tokens_done)
        self._client = client
        self._grant: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._interrupt: asyncio.Future[Interrupt] = asyncio.get_running_loop().create_future()
        self._over = False

    async def granted(self) -> Grant:
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

    async def interrupted(self) -> Interrupt:
        """Wait until the scheduler wants the running call back."""
        return await asyncio.shield(self._interrupt)

    def progress(self, tokens: int) -> None:
        """Report tokens produced since the last report."""
        held = self.held
        held.tokens_done += tokens
        if held.running_on:
            report = pb.Progress(key=_key(self.terms.key), tokens=tokens, number=held.number)
            self._client.send(pb.DispatchRequest(progress=report))

    def yielded(self, tokens_done: int, *, replica_lost: bool, kv_replica: str = "") -> None:
        """Give the slot back and wait again."""
        held, now = self.held, self._client.now()
        number = held.number
        self._stop_running(now)
        held.tokens_done, held.waiting_since = tokens_done, now
        held.preemptions += 0 if replica_lost else 1
        loop = asyncio.get_running_loop()
        self._grant, self._interrupt = loop.create_future(), loop.create_future()
        report = pb.Yielded(
            key=_key(self.terms.key),
            tokens_done=tokens_done,
            replica_lost=replica_lost,
            number=number,
            kv_replica=kv_replica,
        )
        self._client.send(pb.DispatchRequest(yielded=report))

    def ended(self, completion: Completion, tokens_done: int) -> None:
        """Leave for good, from wherever the call stands. Idempotent."""
        if self._over:
            return
        self._over = True
        self._client.drop(self)
        key = _key(self.terms.key)
        if self.held.running_on:
            report = pb.Ended(
                key=key, completion=completion.value, tokens_done=tokens_done, number=self.held.number
            )
            self._client.send(pb.DispatchRequest(ended=report))
        elif not self._grant.done():
            self._client.send(pb.DispatchRequest(withdraw=pb.Withdraw(key=key)))

    def on_grant(self, grant: pb.Grant, now: float) -> None:
        """Take a grant; one for a call that runs only renews the number.

        Such a grant follows a new stream, or a grant that was meant for an earlier call of the same id. The
        newest is the one that the scheduler counts, so that one is given back in the end.
        """
        held = self.held
        if held.running_on:
            held.running_on, held.number = grant.replica, grant.number
            return
        held.running_on, held.number, held.running_since = grant.replica, grant.number, now
        if not self._grant.done():
            self._grant.set_result(Grant(grant.replica, grant.quantum_tokens))

    def on_interrupt(self, interrupt: Interrupt, number: int) -> None:
        """Pass on what the scheduler asks of the grant `number`."""
        if self.held.running_on and number == self.held.number and not self._interrupt.done():
            self._interrupt.set_result(interrupt)

    def on_reject(self, error: KernelError) -> None:
        """End the wait with an error."""
        if not self._grant.done():
            self._over = True
            self._client.drop(self)
            self._grant.set_exception(error)
            self._grant.exception()  # seen, also when the caller has just left

    def submission(self, now: float) -> pb.Submit:
        """Describe the call as it stands now."""
        terms, held = self.terms, self.held
        hints = agent_pb2.SchedulingHints(
            scheduling_class=_CLASSES[terms.hints.scheduling_class.value],
            weight=terms.hints.weight,
            priority=terms.hints.priority,
        )
        hints.max_wait.FromNanoseconds(int(terms.hints.max_wait * 1e9))
        submit = pb.Submit(
            call=terms.key.call,
            agent=terms.key.agent,
            tenant=terms.key.tenant,
            program=terms.program,
            agent_kind=terms.agent_kind,
            hints=hints,
            model=terms.model,
            prompt_tokens=terms.prompt_tokens,
            max_new_tokens=terms.max_new_tokens,
            tokens_done=held.tokens_done,
            preemptible=terms.preemptible,
            step=terms.step,
            running_on=held.running_on,
            preemption_count=held.preemptions,
            number=held.number,
            resubmission=held.submitted,
        )
        submit.age.FromNanoseconds(int((now - terms.arrived_at) * 1e9))
        running = now - held.running_since if held.running_on else 0.0
        submit.attained.FromNanoseconds(int((held.attained + running) * 1e9))
        left = terms.deadline - now
        if left < STREAM_SECONDS:
            submit.time_left.FromNanoseconds(int(max(0.0, left) * 1e9))
        held.submitted = True
        return submit

    def _stop_running(self, now: float) -> None:
        held = self.held
        if held.running_on:
            held.attained += now - held.running_since
        held.running_on, held.number = "", 0


class DispatchClient:
    """Keeps one stream to the scheduler and everything needed to build it anew."""

    def __init__(
        self, stub: "scheduler_pb2_grpc.SchedulerServiceAsyncStub", metadata: Metadata, clock: Clock
    ) -> None:
        self._stub = stub
        self._metadata = metadata
        self._clock = clock
        self._gateway = secrets.token_hex(8)
        self._tickets: dict[CallKey, DispatchTicket] = {}
        self._replicas: dict[str, tuple[ReplicaInfo, bool]] = {}
        self._outbox: asyncio.Queue[pb.DispatchRequest] = asyncio.Queue()
        self._connected = False
        self._away_since = clock.monotonic()
        self._told = False

    @property
    def connected(self) -> bool:
        """Whether the scheduler has welcomed this gateway."""
        return self._connected

    @property
    def held(self) -> int:
        """Calls that wait or run."""
        return len(self._tickets)

    def now(self) -> float:
        """Read the monotonic clock."""
        return self._clock.monotonic()

    def submit(self, terms: CallTerms) -> DispatchTicket:
        """Put a call into the queue, now or as soon as the scheduler is there."""
        ticket = DispatchTicket(self, terms)
        self._tickets[terms.key] = ticket
        if self._connected:
            self._outbox.put_nowait(pb.DispatchRequest(submit=ticket.submission(self.now())))
        return ticket

    def announce(self, replica: str, info: ReplicaInfo, *, up: bool) -> None:
        """Tell what a replica can take."""
        self._replicas[replica] = (info, up)
        self.send(_replica_state(replica, info, up=up))

    def send(self, message: pb.DispatchRequest) -> None:
        """Send a report.

        Without a stream it is dropped, because the next stream starts with the whole state.
        """
        if self._connected:
            self._outbox.put_nowait(message)

    def drop(self, ticket: DispatchTicket) -> None:
        """Forget a call that has left."""
        if self._tickets.get(ticket.terms.key) is ticket:
            del self._tickets[ticket.terms.key]

    def patience(self, ticket: DispatchTicket) -> float:
        """Return how long a call may go on waiting before it looks again; 0: it must give up."""
        if self._connected:
            return 5.0
        limit = ticket.held.waiting_since + ticket.terms.hints.max_wait + DISCONNECTED_GRACE
        limit = max(limit, self._away_since + DISCONNECTED_GRACE)
        return min(5.0, max(0.0, limit - self.now()))

    async def run(self) -> None:
        """Keep the stream up until cancelled."""
        backoff = FIRST_BACKOFF
        while True:
            try:
                await self._session()
            except grpc.aio.AioRpcError as error:
                self._tell(f"{error.code().name}: {error.details()}")
            except KernelError as error:
                self._tell(f"no credential: {error}")
            finally:
                backoff = FIRST_BACKOFF if self._connected else min(LONGEST_BACKOFF, backoff * 2)
                if self._connected:
                    self._away_since = self.now()
                self._connected = False
            await asyncio.sleep(backoff)

    def _tell(self, why: str) -> None:
        """Log an outage once, when it begins."""
        if self._connected or not self._told:
            _log.warning("no stream to the scheduler", why=why)
        self._told = True

    async def _session(self) -> None:
        metadata = tuple(await self._metadata())
        call = self._stub.Dispatch(timeout=STREAM_SECONDS, metadata=metadata)
        writer: asyncio.Task[None] | None = None
        try:
            await call.write(pb.DispatchRequest(hello=pb.Hello(gateway=self._gateway)))
            first = await call.read()
            if not isinstance(first, pb.DispatchResponse) or first.WhichOneof("message") != "welcome":
                return
            self._refill()
            writer = asyncio.create_task(self._write(call))
            while isinstance(message := await call.read(), pb.DispatchResponse):
                self._take(message)
        finally:
            if writer is not None:
                writer.cancel()
                await asyncio.wait({writer})
            call.cancel()

    def _refill(self) -> None:
        """Start a stream with everything this gateway holds, oldest call first."""
        self._outbox = asyncio.Queue()
        self._connected = True
        for name, (info, up) in self._replicas.items():
            self._outbox.put_nowait(_replica_state(name, info, up=up))
        now = self.now()
        for ticket in sorted(self._tickets.values(), key=lambda each: each.terms.arrived_at):
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
        ticket = self._tickets.get(CallKey(body.key.tenant, body.key.agent, body.key.call))
        if ticket is None:
            self._return_unwanted(body)
        elif isinstance(body, pb.Grant):
            ticket.on_grant(body, self.now())
        elif isinstance(body, pb.Preempt):
            ticket.on_interrupt(Interrupt.PREEMPT, body.number)
        elif isinstance(body, pb.Revoke):
            ticket.on_interrupt(Interrupt.REVOKE, body.number)
        else:
            seconds = body.retry_after.ToNanoseconds() / 1e9 if body.HasField("retry_after") else None
            ticket.on_reject(refusal(body.outcome, body.message, seconds))

    def _return_unwanted(self, body: pb.Grant | pb.Preempt | pb.Reject | pb.Revoke) -> None:
        """Give back the slot of a call that left while its grant was on the way."""
        if isinstance(body, pb.Grant):
            ended = pb.Ended(key=body.key, completion=Completion.CANCELLED.value, number=body.number)
            self.send(pb.DispatchRequest(ended=ended))


_CLASSES = {
    "realtime": agent_pb2.SCHEDULING_CLASS_REALTIME,
    "interactive": agent_pb2.SCHEDULING_CLASS_INTERACTIVE,
    "normal": agent_pb2.SCHEDULING_CLASS_NORMAL,
    "batch": agent_pb2.SCHEDULING_CLASS_BATCH,
    "idle": agent_pb2.SCHEDULING_CLASS_IDLE,
}


def _key(key: CallKey) -> pb.CallKey:
    return pb.CallKey(tenant=key.tenant, agent=key.agent, call=key.call)


def _replica_state(name: str, info: ReplicaInfo, *, up: bool) -> pb.DispatchRequest:
    state = pb.ReplicaState(
        name=name,
        model=info.model,
        up=up,
        slots=info.slots,
        max_batch_total_tokens=info.max_batch_total_tokens,
        max_total_tokens=info.max_total_tokens,
        kv_snapshot=info.capabilities.kv_snapshot,
    )
    return pb.DispatchRequest(replica=state)
