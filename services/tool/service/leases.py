"""Where processes that provide tools are given calls: room, leases, and what becomes of each."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.notifier import ChangeNotifier
from services.chassis.rpc.errors import AgentInactive, Cancelled, KernelError
from services.chassis.runtime.clock import Clock
from services.tool.core.places import Place
from services.tool.errors import LeaseLost, ToolTimeout
from services.tool.model import (
    Heartbeat,
    HeldCall,
    LeaseTerms,
    ProviderEvent,
    Revoked,
    Taken,
    Tool,
    ToolOutcome,
)
from services.tool.ports import Meter, Ticket
from services.tool.service.call_run import CallRun
from services.tool.service.reports import Report, Reports

HEARTBEAT_SECONDS: Final = 15.0
RETURN_SECONDS: Final = 30.0
"""How long the calls that wait for a tool wait on when the last process that provides it has gone."""
CALL_LEASE_LOST: Final = LeaseLost.reason


class LeaseEndedError(Exception):
    """The provider was lost while it held the call; `sent` tells whether the call had been sent to it."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__()
        self.sent = sent


class NoRoomError(Exception):
    """No connected process has room for the call."""


@dataclass(eq=False, slots=True)
class ProviderStream:
    """One stream of a process that provides tools."""

    scope: Scope
    tools: frozenset[str]
    capacity: int
    instance: str
    process: str = ""
    """Identity of the process over all its streams; empty: its instance is all that is known."""
    events: "asyncio.Queue[str | Revoked | KernelError | None]" = field(default_factory=asyncio.Queue)
    """The id of a lease is a call to send, an error ends the stream with it, None ends it. It may grow while
    its process reads nothing, so what has ended since is not held by it."""
    held: "dict[str, Lease]" = field(default_factory=dict)
    connected: bool = False

    @property
    def identity(self) -> tuple[Scope, str, str]:
        """What names the process among all."""
        return self.scope, self.process, "" if self.process else self.instance


@dataclass(eq=False, slots=True)
class Lease:
    """A call in the hands of a process. It outlives the stream it was given on, until it expires."""

    id: str
    stream: ProviderStream
    """The stream whose room it takes, which may have gone."""
    run: CallRun
    outcome: "asyncio.Future[ToolOutcome]"
    expires_at: float
    """On the steady clock."""
    turn: Ticket | None
    """Is told when the room is taken and when it is free again."""
    ends_at: float = 0.0
    """When the call must have ended, on the steady clock."""
    sent: bool = False
    """Whether the process may have the call."""


class LeaseManager:
    """The streams of all providers and the leases of their calls. Used on the event loop only."""

    def __init__(self, clock: Clock, meter: Meter, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._clock = clock
        self._meter = meter
        self._heartbeat = heartbeat
        self._streams: dict[Scope, list[ProviderStream]] = {}
        self._leases: dict[str, Lease] = {}
        self._reports = Reports()
        self._left: dict[Scope, float] = {}
        self._changes = ChangeNotifier()
        self._watchers: list[Callable[[Scope], None]] = []
        self._missed: list[Callable[[Scope], None]] = []

    # What others see

    def connected(self, tenant: str, tool: Tool) -> bool:
        """Whether anybody provides a tool right now."""
        return bool(self._of(tenant, tool))

    def places(self, provider: Scope) -> Sequence[Place]:
        """Return the connected processes of a provider and their free room."""
        return [
            Place(stream.tools, stream.capacity - len(stream.held))
            for stream in self._streams.get(provider, ())
        ]

    def watch(self, changed: Callable[[Scope], None]) -> None:
        """Call `changed(provider)` whenever a provider's processes or their room have changed."""
        self._watchers.append(changed)

    def on_missing(self, gone: Callable[[Scope], None]) -> None:
        """Call `gone(provider)` when processes of a provider have gone for good, or for too long."""
        self._missed.append(gone)

    # Streams

    async def serve(
        self, stream: ProviderStream, held: Sequence[HeldCall] = ()
    ) -> AsyncGenerator[ProviderEvent, None]:
        """Give a process calls until its stream ends. `held` is what it has in hand from earlier streams.

        Raises AgentInactive when the provider is suspended or killed.
        """
        self._connect(stream, held)
        try:
            yield self._beat(stream)
            while True:
                try:
                    async with asyncio.timeout(self._heartbeat):
                        event = await stream.events.get()
                except TimeoutError:
                    yield self._beat(stream)
                    continue
                if event is None:
                    return
                if isinstance(event, KernelError):
                    raise event
                told = self._taken(stream, event) if isinstance(event, str) else event
                if told is not None:
                    yield told
        finally:
            self._disconnect(stream)

    def end_provider(self, provider: Scope) -> None:
        """Give a suspended or killed provider nothing more and take back all it holds."""
        for stream in list(self._streams.get(provider, ())):
            inactive = AgentInactive(f"agents/{provider.agent} is not active")
            stream.events.put_nowait(inactive)
            self._disconnect(stream)
        for lease in [lease for lease in self._leases.values() if lease.stream.scope == provider]:
            self._end(lease)
        self._tell_missing(provider)

    # Leases

    @contextmanager
    def leased(self, lease: Lease) -> Iterator[None]:
        """Hold a lease; when the work on it ends otherwise than by its outcome, it is taken back."""
        try:
            yield
        finally:
            reason = Cancelled.reason if lease.run.stop_reason else ToolTimeout.reason
            self._release(lease, reason)

    async def assign(self, run: CallRun, wait: float, turn: Ticket | None = None) -> Lease:
        """Reserve room at a process that provides the tool, for a call that has its turn.

        Raises NoRoomError when there was none for `wait` seconds: the call then belongs back into the queue.
        """
        try:
            async with asyncio.timeout(wait):
                while (lease := self._try(run, turn)) is None:
                    await self._changes.wait()
                return lease
        except TimeoutError:
            raise NoRoomError from None

    def dispatch(self, lease: Lease, deadline: datetime) -> None:
        """Send the call to its process; one whose lease has ended meanwhile is not sent."""
        if lease.id not in self._leases:
            return
        now = self._clock.monotonic()
        # The process left between the reservation and now. It never had the call, so any other may run it.
        if lease.expires_at <= now or not lease.stream.connected:
            self._end(lease)
            return
        lease.expires_at = now + lease.run.tool.driver.lease_seconds
        lease.ends_at = now + (deadline - self._clock.now()).total_seconds()
        lease.stream.events.put_nowait(lease.id)

    def renew(self, provider: Scope, owner: str, call_id: str, lease_id: str) -> tuple[CallRun, LeaseTerms]:
        """Note a sign of life; returns the call's run and when the lease ends now. Raises LeaseLost."""
        lease = self._leases.get(lease_id)
        if lease is None:
            raise _lost()
        _check(lease, provider, owner, call_id)
        lease.expires_at = self._clock.monotonic() + lease.run.tool.driver.lease_seconds
        return lease.run, self._terms(lease)

    def complete(
        self, provider: Scope, owner: str, call_id: str, lease_id: str, outcome: ToolOutcome
    ) -> Report:
        """Take the outcome of a call, over whatever stream; returns how its end is to be had.

        Raises LeaseLost, IdempotencyMismatch.
        """
        lease = self._leases.get(lease_id)
        if lease is None:
            return self._repeated(provider, owner, call_id, lease_id, outcome)
        _check(lease, provider, owner, call_id)
        if not lease.outcome.done():
            lease.outcome.set_result(outcome)
            return self._reports.keep(provider, lease_id, lease.run, outcome)
        if lease.outcome.cancelled() or lease.outcome.exception() is not None:
            raise _lost()
        return self._repeated(provider, owner, call_id, lease_id, outcome)

    async def expire(self) -> None:
        """End the leases that went without a sign of life, and give up providers that do not come back."""
        now = self._clock.monotonic()
        for lease in [lease for lease in self._leases.values() if lease.expires_at <= now]:
            self._end(lease)
        for provider in [scope for scope, at in self._left.items() if at + RETURN_SECONDS <= now]:
            self._tell_missing(provider)

    # Inside

    def _repeated(
        self, provider: Scope, owner: str, call_id: str, lease_id: str, outcome: ToolOutcome
    ) -> Report:
        """Return what is kept of a report that came before. Raises LeaseLost, IdempotencyMismatch."""
        report = self._reports.get(provider, lease_id)
        if report is None or (report.owner, report.call_id) != (owner, call_id):
            raise _lost()
        report.check(outcome)
        return report

    def _connect(self, stream: ProviderStream, held: Sequence[HeldCall]) -> None:
        """Let a stream in. What its process holds from earlier streams becomes this one's."""
        # A process that connects again may be ahead of the news that its old connection broke. Both streams
        # would count its room, and its leases would hang on the dead one.
        for older in list(self._streams.get(stream.scope, ())):
            if stream.process and older.identity == stream.identity:
                older.events.put_nowait(None)
                self._disconnect(older)
        stream.connected = True
        self._streams.setdefault(stream.scope, []).append(stream)
        self._left.pop(stream.scope, None)
        self._take_over(stream, {call.lease_id for call in held})
        for call in held:
            if call.lease_id not in stream.held:
                scope = Scope(stream.scope.tenant, call.owner)
                stream.events.put_nowait(Revoked(scope, call.call_id, call.lease_id, CALL_LEASE_LOST))
        self._tell_changed(stream.scope)

    def _take_over(self, stream: ProviderStream, in_hand: set[str]) -> None:
        """Move the leases of a process from its dead stream to its new one.

        Only a process that names itself is believed about what it does not have: one known by its instance
        alone may be another start of the same program, and its call may have run.
        """
        for lease in self._leases.values():
            if lease.stream.connected or lease.stream.identity != stream.identity:
                continue
            lease.stream.held.pop(lease.id, None)
            lease.stream = stream
            stream.held[lease.id] = lease
            # The same process does not have it: it was lost on its way, and running it is not a second time.
            if stream.process and lease.sent and lease.id not in in_hand:
                lease.sent = False
                stream.events.put_nowait(lease.id)

    def _taken(self, stream: ProviderStream, lease_id: str) -> Taken | None:
        """Return a call to send now, unless it has ended, expired or moved while it waited for the stream."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.stream is not stream:
            return None
        now = self._clock.monotonic()
        if lease.expires_at <= now:
            self._end(lease)
            return None
        lease.sent = True
        run, left = lease.run, max(0.0, lease.ends_at - now)
        deadline = self._clock.now() + timedelta(seconds=left)
        untrusted = run.marked and not run.tool.vouched
        terms = self._terms(lease)
        return Taken(run.scope, run.call, run.arguments_json, lease.id, deadline, left, terms, untrusted)

    def _beat(self, stream: ProviderStream) -> Heartbeat:
        return Heartbeat(len(stream.held), tuple(stream.held))

    def _of(self, tenant: str, tool: Tool) -> list[ProviderStream]:
        streams = self._streams.get(Scope(tenant, tool.owner), [])
        return [stream for stream in streams if tool.id in stream.tools]

    def _try(self, run: CallRun, turn: Ticket | None) -> Lease | None:
        """Take room at the emptiest process, rather one that has not lost the call and serves few tools."""
        roomy = [
            stream for stream in self._of(run.scope.tenant, run.tool) if len(stream.held) < stream.capacity
        ]
        if not roomy:
            return None
        stream = min(
            roomy,
            key=lambda each: (
                each.identity in run.lost_by,
                len(each.tools),
                len(each.held) / each.capacity,
            ),
        )
        expires = self._clock.monotonic() + run.tool.driver.lease_seconds
        future: asyncio.Future[ToolOutcome] = asyncio.get_running_loop().create_future()
        lease = Lease(secrets.token_hex(16), stream, run, future, expires, turn)
        stream.held[lease.id] = self._leases[lease.id] = lease
        if turn is not None:
            turn.room_taken()
        self._tell_changed(stream.scope)
        return lease

    def _end(self, lease: Lease) -> None:
        """End a lease whose holder is lost."""
        if not lease.outcome.done():
            lease.outcome.set_exception(LeaseEndedError(sent=lease.sent))
            lease.run.lost_by.add(lease.stream.identity)
            lease.outcome.exception()  # retrieved, even when nobody waits any more
        self._release(lease, CALL_LEASE_LOST)

    def _release(self, lease: Lease, reason: str) -> None:
        if self._leases.pop(lease.id, None) is None:
            return
        lease.stream.held.pop(lease.id, None)
        if lease.turn is not None:
            lease.turn.room_freed()
        # Whoever stops waiting for the outcome has cancelled it. One that ended with its outcome needs no
        # word.
        if not lease.outcome.done() or lease.outcome.cancelled() or reason == CALL_LEASE_LOST:
            lease.outcome.cancel()
            self._meter.revoked(reason)
            if lease.stream.connected:
                lease.stream.events.put_nowait(Revoked(lease.run.scope, lease.run.call.id, lease.id, reason))
        self._tell_changed(lease.stream.scope)

    def _disconnect(self, stream: ProviderStream) -> None:
        """Let a stream go. Its leases stay, but for calls that were not sent yet: others may run those."""
        if not stream.connected:
            return
        stream.connected = False
        streams = self._streams[stream.scope]
        streams.remove(stream)
        if not streams:
            del self._streams[stream.scope]
        self._left[stream.scope] = self._clock.monotonic()
        # What was sent may be running: only its lease's end tells that it is lost, or the process comes back.
        for lease in [lease for lease in stream.held.values() if not lease.sent]:
            self._end(lease)
        self._tell_changed(stream.scope)

    def _tell_changed(self, provider: Scope) -> None:
        self._changes.notify()
        for watcher in self._watchers:
            watcher(provider)

    def _tell_missing(self, provider: Scope) -> None:
        self._left.pop(provider, None)
        for gone in self._missed:
            gone(provider)

    def _terms(self, lease: Lease) -> LeaseTerms:
        left = max(0.0, lease.expires_at - self._clock.monotonic())
        return LeaseTerms(self._clock.now() + timedelta(seconds=left), left)


def _check(lease: Lease, provider: Scope, owner: str, call_id: str) -> None:
    named = lease.run.scope.agent == owner and lease.run.call.id == call_id
    if not named or lease.stream.scope != provider:
        raise _lost()


def _lost() -> LeaseLost:
    return LeaseLost("the call is not, or no longer, leased to this process; stop working on it")
