"""Where processes that provide tools are given calls: room, leases, and what becomes of each."""

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import Cancelled, IdempotencyMismatch
from services.chassis.runtime.clock import Clock
from services.tool.errors import LeaseLost, ProviderLost, ToolBusy, ToolTimeout
from services.tool.model import Heartbeat, ProviderEvent, Revoked, Taken, Tool, ToolOutcome
from services.tool.ports import Meter
from services.tool.service.call_run import CallRun

HEARTBEAT_SECONDS: Final = 15.0
KEPT_OUTCOMES: Final = 4_096
"""Leases that ended with an outcome, remembered so that a repeat of it is recognised."""


class LeaseEndedError(Exception):
    """The provider was lost while it held the call."""


@dataclass(eq=False, slots=True)
class ProviderStream:
    """One connected stream of a provider."""

    scope: Scope
    tools: frozenset[str]
    capacity: int
    instance: str
    events: "asyncio.Queue[ProviderEvent]" = field(default_factory=asyncio.Queue)
    held: "dict[str, Lease]" = field(default_factory=dict)
    connected: bool = True


@dataclass(eq=False, slots=True)
class Lease:
    """A call in the hands of a station."""

    id: str
    station: ProviderStream
    run: CallRun
    outcome: "asyncio.Future[ToolOutcome]"
    expires_at: float
    """On the steady clock."""


@dataclass(eq=False, slots=True)
class _Waiter:
    run: CallRun
    place: "asyncio.Future[Lease]"


class LeaseManager:
    """All stations of this process. Used on the event loop only."""

    def __init__(self, clock: Clock, meter: Meter, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._clock = clock
        self._meter = meter
        self._heartbeat = heartbeat
        self._stations: dict[Scope, list[ProviderStream]] = {}
        self._leases: dict[str, Lease] = {}
        self._completed: OrderedDict[str, Lease] = OrderedDict()
        self._waiting: deque[_Waiter] = deque()

    def connected(self, tenant: str, tool: Tool) -> bool:
        """Whether anybody provides a tool right now."""
        return bool(self._of(tenant, tool))

    async def serve(self, station: ProviderStream) -> AsyncGenerator[ProviderEvent, None]:
        """Give a station calls until it leaves; its leases end with the stream."""
        self._stations.setdefault(station.scope, []).append(station)
        try:
            yield Heartbeat(0)
            self._serve_waiting()
            while True:
                try:
                    async with asyncio.timeout(self._heartbeat):
                        event = await station.events.get()
                except TimeoutError:
                    event = Heartbeat(len(station.held))
                yield event
        finally:
            self._disconnect(station)

    @contextmanager
    def leased(self, lease: Lease) -> Iterator[None]:
        """Hold a lease; when the work on it ends otherwise than by its outcome, it is taken back."""
        try:
            yield
        finally:
            reason = Cancelled.reason if lease.run.stop_reason else ToolTimeout.reason
            self._release(lease, reason)

    async def assign(self, run: CallRun, wait: float | None) -> Lease:
        """Reserve room at a station that provides the tool.

        Raises ProviderLost when none is connected, ToolBusy when none had room for `wait` seconds.
        """
        waiter = _Waiter(run, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._serve_waiting()
        try:
            async with asyncio.timeout(wait):
                return await waiter.place
        except (TimeoutError, asyncio.CancelledError) as stopped:
            if waiter.place.done() and not waiter.place.cancelled() and waiter.place.exception() is None:
                self._release(waiter.place.result(), Cancelled.reason, told=False)
            if isinstance(stopped, TimeoutError):
                raise ToolBusy("every provider of the tool is busy", retry_after=1.0) from None
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def dispatch(self, lease: Lease, deadline: datetime) -> None:
        """Send the call to its station."""
        run = lease.run
        lease.expires_at = self._clock.monotonic() + run.tool.driver.lease_seconds
        if not lease.station.connected:
            self._end(lease)
            return
        lease.station.events.put_nowait(
            Taken(run.scope, run.call, run.arguments_json, lease.id, deadline, self._expiry(lease))
        )

    def renew(self, provider: Scope, owner: str, call_id: str, lease_id: str) -> tuple[CallRun, datetime]:
        """Note a sign of life; returns the call's run and when the lease ends now. Raises LeaseLost."""
        lease = self._leases.get(lease_id)
        if lease is None:
            raise _lost()
        _check(lease, provider, owner, call_id)
        lease.expires_at = self._clock.monotonic() + lease.run.tool.driver.lease_seconds
        return lease.run, self._expiry(lease)

    def complete(
        self, provider: Scope, owner: str, call_id: str, lease_id: str, outcome: ToolOutcome
    ) -> CallRun:
        """Take the outcome of a call. Raises LeaseLost, IdempotencyMismatch."""
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
        """End the leases that went without a sign of life."""
        now = self._clock.monotonic()
        for lease in [lease for lease in self._leases.values() if lease.expires_at <= now]:
            self._end(lease)

    def _of(self, tenant: str, tool: Tool) -> list[ProviderStream]:
        stations = self._stations.get(Scope(tenant, tool.owner), [])
        return [station for station in stations if tool.id in station.tools]

    def _serve_waiting(self) -> None:
        for waiter in list(self._waiting):
            if waiter.place.done():
                continue
            stations = self._of(waiter.run.scope.tenant, waiter.run.tool)
            others = [station for station in stations if station not in waiter.run.lost_by]
            stations = others or stations
            roomy = [station for station in stations if len(station.held) < station.capacity]
            if not stations:
                text = f"no process provides tools/{waiter.run.tool.id} right now"
                waiter.place.set_exception(ProviderLost(text, retry_after=1.0))
            elif roomy:
                station = min(roomy, key=lambda station: len(station.held) / station.capacity)
                waiter.place.set_result(self._lease(station, waiter.run))

    def _lease(self, station: ProviderStream, run: CallRun) -> Lease:
        expires = self._clock.monotonic() + run.tool.driver.lease_seconds
        future: asyncio.Future[ToolOutcome] = asyncio.get_running_loop().create_future()
        lease = Lease(secrets.token_hex(16), station, run, future, expires)
        station.held[lease.id] = self._leases[lease.id] = lease
        return lease

    def _end(self, lease: Lease) -> None:
        """End a lease whose holder is lost."""
        if not lease.outcome.done():
            lease.outcome.set_exception(LeaseEndedError())
            lease.run.lost_by.add(lease.station)
            lease.outcome.exception()  # retrieved, even when nobody waits any more
        self._release(lease, CALL_LEASE_LOST)

    def _release(self, lease: Lease, reason: str, *, told: bool = True) -> None:
        if self._leases.pop(lease.id, None) is None:
            return
        lease.station.held.pop(lease.id, None)
        # Whoever stops waiting for the outcome has cancelled it.
        if not lease.outcome.done() or lease.outcome.cancelled() or reason == CALL_LEASE_LOST:
            lease.outcome.cancel()
            self._meter.revoked(reason)
            if told and lease.station.connected:
                lease.station.events.put_nowait(Revoked(lease.run.scope, lease.run.call.id, lease.id, reason))
        self._serve_waiting()

    def _disconnect(self, station: ProviderStream) -> None:
        station.connected = False
        stations = self._stations[station.scope]
        stations.remove(station)
        if not stations:
            del self._stations[station.scope]
        for lease in list(station.held.values()):
            self._end(lease)
        self._serve_waiting()

    def _expiry(self, lease: Lease) -> datetime:
        left = lease.expires_at - self._clock.monotonic()
        return self._clock.now() + timedelta(seconds=left)


CALL_LEASE_LOST: Final = LeaseLost.reason


def _check(lease: Lease, provider: Scope, owner: str, call_id: str) -> None:
    named = lease.run.scope.agent == owner and lease.run.call.id == call_id
    if not named or lease.station.scope != provider:
        raise _lost()


def _lost() -> LeaseLost:
    return LeaseLost("the call is not, or no longer, leased to this process; stop working on it")
