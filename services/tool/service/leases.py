"""Where processes that provide tools are given calls: room, leases, and what becomes of each."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import AgentInactive, Cancelled, IdempotencyMismatch, KernelError
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

HEARTBEAT_SECONDS: Final = 15.0
KEPT_OUTCOMES: Final = 4_096
"""Leases that ended with an outcome, remembered so that a repeat of it is recognised."""
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
    events: "asyncio.Queue[Lease | Revoked | KernelError | None]" = field(default_factory=asyncio.Queue)
    """A lease is a call to send, an error ends the stream with it, None ends it."""
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
    station: ProviderStream
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
    """All stations of this process. Used on the event loop only."""

    def __init__(self, clock: Clock, meter: Meter, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._clock = clock
        self._meter = meter
        self._heartbeat = heartbeat
        self._stations: dict[Scope, list[ProviderStream]] = {}
        self._leases: dict[str, Lease] = {}
        self._completed: OrderedDict[str, Lease] = OrderedDict()
        self._left: dict[Scope, float] = {}
        self._changed = asyncio.Event()
        self._watchers: list[Callable[[Scope], None]] = []
        self._missed: list[Callable[[Scope], None]] = []

    # What others see

    def connected(self, tenant: str, tool: Tool) -> bool:
        """Whether anybody provides a tool right now."""
        return bool(self._of(tenant, tool))

    def places(self, provider: Scope) -> Sequence[Place]:
        """Return the connected processes of a provider and their free room."""
        return [
            Place(station.tools, station.capacity - len(station.held))
            for station in self._stations.get(provider, ())
        ]

    def watch(self, changed: Callable[[Scope], None]) -> None:
        """Call `changed(provider)` whenever a provider's processes or their room have changed."""
        self._watchers.append(changed)

    def on_missing(self, gone: Callable[[Scope], None]) -> None:
        """Call `gone(provider)` when processes of a provider have gone for good, or for too long."""
        self._missed.append(gone)

    # Streams

    async def serve(
        self, station: ProviderStream, held: Sequence[HeldCall] = ()
    ) -> AsyncGenerator[ProviderEvent, None]:
        """Give a process calls until its stream ends. `held` is what it has in hand from earlier streams.

        Raises AgentInactive when the provider is suspended or killed.
        """
        self._connect(station, held)
        try:
            yield self._beat(station)
            while True:
                try:
                    async with asyncio.timeout(self._heartbeat):
                        event = await station.events.get()
                except TimeoutError:
                    yield self._beat(station)
                    continue
                if event is None:
                    return
                if isinstance(event, KernelError):
                    raise event
                told = self._taken(station, event) if isinstance(event, Lease) else event
                if told is not None:
                    yield told
        finally:
            self._disconnect(station)

    def end_provider(self, provider: Scope) -> None:
        """Give a suspended or killed provider nothing more and take back all it holds."""
        for station in list(self._stations.get(provider, ())):
            inactive = AgentInactive(f"agents/{provider.agent} is not active")
            station.events.put_nowait(inactive)
            self._disconnect(station)
        for lease in [lease for lease in self._leases.values() if lease.station.scope == provider]:
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
                    await self._changed.wait()
                return lease
        except TimeoutError:
            raise NoRoomError from None

    def dispatch(self, lease: Lease, deadline: datetime) -> None:
        """Send the call to its process; one whose lease has ended meanwhile is not sent."""
        if lease.id not in self._leases:
            return
        now = self._clock.monotonic()
        if lease.expires_at <= now or not lease.station.connected:
            self._end(lease)
            return
        lease.expires_at = now + lease.run.tool.driver.lease_seconds
        lease.ends_at = now + (deadline - self._clock.now()).total_seconds()
        lease.station.events.put_nowait(lease)

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
    ) -> CallRun:
        """Take the outcome of a call, over whatever stream. Raises LeaseLost, IdempotencyMismatch."""
        lease = self._leases.get(lease_id) or self._completed.get(lease_id)
        if lease is None:
            raise _lost()
        _check(lease, provider, owner, call_id)
        if not lease.outcome.done():
            lease.outcome.set_result(outcome)
            self._completed[lease_id] = lease
            if len(self._completed) > KEPT_OUTCOMES:
                self._completed.popitem(last=False)
        elif lease.outcome.cancelled() or lease.outcome.exception() is not None:
            raise _lost()
        elif lease.outcome.result() != outcome:
            raise IdempotencyMismatch("the call was completed with another outcome")
        return lease.run

    async def expire(self) -> None:
        """End the leases that went without a sign of life, and give up providers that do not come back."""
        now = self._clock.monotonic()
        for lease in [lease for lease in self._leases.values() if lease.expires_at <= now]:
            self._end(lease)
        for provider in [scope for scope, at in self._left.items() if at + RETURN_SECONDS <= now]:
            self._tell_missing(provider)

    # Inside

    def _connect(self, station: ProviderStream, held: Sequence[HeldCall]) -> None:
        """Let a stream in. What its process holds from earlier streams becomes this one's."""
        for older in list(self._stations.get(station.scope, ())):
            if station.process and older.identity == station.identity:
                older.events.put_nowait(None)
                self._disconnect(older)
        station.connected = True
        self._stations.setdefault(station.scope, []).append(station)
        self._left.pop(station.scope, None)
        self._take_over(station, {call.lease_id for call in held})
        for call in held:
            if call.lease_id not in station.held:
                scope = Scope(station.scope.tenant, call.owner)
                station.events.put_nowait(Revoked(scope, call.call_id, call.lease_id, CALL_LEASE_LOST))
        self._tell_changed(station.scope)

    def _take_over(self, station: ProviderStream, in_hand: set[str]) -> None:
        for lease in self._leases.values():
            if lease.station.connected or lease.station.identity != station.identity:
                continue
            lease.station.held.pop(lease.id, None)
            lease.station = station
            station.held[lease.id] = lease
            # The same process does not have it: it was lost on its way, and running it is not a second time.
            if station.process and lease.sent and lease.id not in in_hand:
                lease.sent = False
                station.events.put_nowait(lease)

    def _taken(self, station: ProviderStream, lease: Lease) -> Taken | None:
        """Return a call to send now, unless it has ended, expired or moved while it waited for the stream."""
        if lease.id not in self._leases or lease.station is not station:
            return None
        now = self._clock.monotonic()
        if lease.expires_at <= now:
            self._end(lease)
            return None
        lease.sent = True
        run, left = lease.run, max(0.0, lease.ends_at - now)
        deadline = self._clock.now() + timedelta(seconds=left)
        return Taken(run.scope, run.call, run.arguments_json, lease.id, deadline, left, self._terms(lease))

    def _beat(self, station: ProviderStream) -> Heartbeat:
        return Heartbeat(len(station.held), tuple(station.held))

    def _of(self, tenant: str, tool: Tool) -> list[ProviderStream]:
        stations = self._stations.get(Scope(tenant, tool.owner), [])
        return [station for station in stations if tool.id in station.tools]

    def _try(self, run: CallRun, turn: Ticket | None) -> Lease | None:
        """Take room at the emptiest process, rather one that has not lost the call and serves few tools."""
        roomy = [
            station
            for station in self._of(run.scope.tenant, run.tool)
            if len(station.held) < station.capacity
        ]
        if not roomy:
            return None
        station = min(
            roomy,
            key=lambda each: (
                each.identity in run.lost_by,
                len(each.tools),
                len(each.held) / each.capacity,
            ),
        )
        expires = self._clock.monotonic() + run.tool.driver.lease_seconds
        future: asyncio.Future[ToolOutcome] = asyncio.get_running_loop().create_future()
        lease = Lease(secrets.token_hex(16), station, run, future, expires, turn)
        station.held[lease.id] = self._leases[lease.id] = lease
        if turn is not None:
            turn.room_taken()
        self._tell_changed(station.scope)
        return lease

    def _end(self, lease: Lease) -> None:
        """End a lease whose holder is lost."""
        if not lease.outcome.done():
            lease.outcome.set_exception(LeaseEndedError(sent=lease.sent))
            lease.run.lost_by.add(lease.station.identity)
            lease.outcome.exception()  # retrieved, even when nobody waits any more
        self._release(lease, CALL_LEASE_LOST)

    def _release(self, lease: Lease, reason: str) -> None:
        if self._leases.pop(lease.id, None) is None:
            return
        lease.station.held.pop(lease.id, None)
        if lease.turn is not None:
            lease.turn.room_freed()
        # Whoever stops waiting for the outcome has cancelled it.
        if not lease.outcome.done() or lease.outcome.cancelled() or reason == CALL_LEASE_LOST:
            lease.outcome.cancel()
            self._meter.revoked(reason)
            if lease.station.connected:
                lease.station.events.put_nowait(Revoked(lease.run.scope, lease.run.call.id, lease.id, reason))
        self._tell_changed(lease.station.scope)

    def _disconnect(self, station: ProviderStream) -> None:
        """Let a stream go. Its leases stay, but for calls that were not sent yet: others may run those."""
        if not station.connected:
            return
        station.connected = False
        stations = self._stations[station.scope]
        stations.remove(station)
        if not stations:
            del self._stations[station.scope]
        self._left[station.scope] = self._clock.monotonic()
        for lease in [lease for lease in station.held.values() if not lease.sent]:
            self._end(lease)
        self._tell_changed(station.scope)

    def _tell_changed(self, provider: Scope) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
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
    if not named or lease.station.scope != provider:
        raise _lost()


def _lost() -> LeaseLost:
    return LeaseLost("the call is not, or no longer, leased to this process; stop working on it")
