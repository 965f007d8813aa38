"""Calls that have ended: gathered as they end, written within a second in one batch, listed, added up.

The scheduler decides without ever waiting for this. When the process is killed, what ended within the last
second is lost, or since the database went away; while it is away, so is what goes beyond `MOST_GATHERED`.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.dispatch.scheduling import QueueOutcome
from services.chassis.rpc.errors import KernelError, ServiceUnavailable
from services.chassis.runtime.logs import logger
from services.scheduler.core.events import RunSummary, TimelineEvent, TimelineKind
from services.scheduler.model import NO_SUMS, Call, PastCall, ResourceKind, SumKey, Sums, UsageRow
from services.scheduler.ports import Batch, PastMeter, PastQuery, PastStore, UsageQuery, WallClock

_log = logger(__name__)

MOST_GATHERED: Final = 20_000
"""Calls, and sums, that are held for the next batch; what is beyond is not kept."""
MOST_OF_AGENT: Final = 200
"""Calls of one agent in a batch: who ends thousands in a second is not told them one by one."""
FLUSH_SECONDS: Final = 1.0
_SWEEP_EVERY: Final = 30
_DELETED_AT_ONCE: Final = 500
_CLOSE_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """What is kept of past calls, and how long."""

    calls: timedelta = timedelta(days=7)
    """Zero: none are kept."""

    sums: timedelta = timedelta(days=30)
    of_agent: int = 1_000
    of_tenant: int = 200_000


@dataclass(slots=True)
class _Gathered:
    """What is to be written next."""

    calls: dict[tuple[str, str, str], PastCall] = field(default_factory=dict)
    by_agent: dict[tuple[str, str], int] = field(default_factory=dict)
    sums: dict[SumKey, tuple[Sums, Sums]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.calls or self.sums)


class PastCalls:
    """What has ended. Lives on the event loop; nothing of it is ever waited for by a call."""

    def __init__(
        self, store: PastStore, clock: WallClock, meter: PastMeter, keeping: Keeping, *, writer: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._meter = meter
        self._keeping = keeping
        self._writer = writer
        self._open = False
        self._number = 0
        self._gathered = _Gathered()
        self._batch: Batch | None = None
        """What is being written, or is to be tried again."""
        self._flushing = asyncio.Lock()
        self._touched: set[tuple[str, str]] = set()
        """Tenants and agents with new calls since they were last trimmed."""

    @property
    def kept_for(self) -> timedelta:
        """How long past calls are kept; zero: not at all."""
        return self._keeping.calls

    def note(self, call: Call, event: TimelineEvent) -> None:
        """Note that a call left."""
        if event.summary is None or not self._keeping.calls:
            return
        past = _past(call, event, event.summary, self._clock)
        self._keep(past)
        # A call whose gateway was lost may come again and go on; what it took is added up when it ends.
        if event.kind is not TimelineKind.GATEWAY_LOST:
            self._add(past)

    def _keep(self, past: PastCall) -> None:
        gathered, key = self._gathered, (past.tenant, past.agent, past.call)
        whose = (past.tenant, past.agent)
        if key not in gathered.calls:
            count = gathered.by_agent.get(whose, 0)
            if count >= MOST_OF_AGENT or len(gathered.calls) >= MOST_GATHERED:
                self._meter.past_lost(1)
                return
            gathered.by_agent[whose] = count + 1
        gathered.calls[key] = past

    def _add(self, past: PastCall) -> None:
        sums, took = self._gathered.sums, _took(past)
        path = (*past.path, past.agent)
        hour = past.end_time.replace(minute=0, second=0, microsecond=0)
        for depth in range(1, len(path) + 1):
            key = SumKey(past.tenant, path[:depth], hour, past.lane)
            known = sums.get(key)
            if known is None and len(sums) >= MOST_GATHERED:
                continue
            own, tree = known or (NO_SUMS, NO_SUMS)
            sums[key] = (_plus(own, took) if depth == len(path) else own, _plus(tree, took))

    async def run(self) -> None:
        """Open the store, then write every second and sweep every half minute. Raises what it raises.

        To be run again when it fails: what could not be written is held, and tried again.
        """
        await self.open()
        while True:
            for _ in range(_SWEEP_EVERY):
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
            await self.sweep()

    async def open(self) -> None:
        """Open the store, if it is not open yet. Raises what the store raises."""
        if not self._open:
            await self._store.open()
            self._open = True

    def _ready(self) -> PastStore:
        """Return the store. Raises ServiceUnavailable while it is not open."""
        if not self._open:
            raise ServiceUnavailable("the calls that ended cannot be read yet", retry_after=FLUSH_SECONDS)
        return self._store

    async def flush(self) -> None:
        """Write what was gathered. Raises what the store raises, and tries the same again next time."""
        async with self._flushing:
            while self._batch is not None or self._gathered:
                if self._batch is None:
                    gathered, self._gathered = self._gathered, _Gathered()
                    self._number += 1
                    calls = list(gathered.calls.values())
                    self._batch = Batch(self._writer, self._number, calls, gathered.sums)
                await self._ready().write(self._batch)
                self._touched |= {(call.tenant, call.agent) for call in self._batch.calls}
                self._batch = None

    async def close(self) -> None:
        """Write what is left, for a few seconds at most."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.flush()
        except (KernelError, OSError, TimeoutError) as error:
            lost = len(self._gathered.calls) + (len(self._batch.calls) if self._batch is not None else 0)
            self._meter.past_lost(lost)
            _log.warning("calls that ended are not kept", count=lost, why=str(error))

    async def sweep(self) -> None:
        """Delete what is too old, and what is beyond the bounds of an agent or tenant."""
        now, store = self._clock.now(), self._ready()
        while await store.forget(
            calls_before=now - self._keeping.calls,
            sums_before=now - max(self._keeping.sums, self._keeping.calls),
            limit=_DELETED_AT_ONCE,
        ):
            pass
        touched, self._touched = self._touched, set()
        for tenant, agent in _with_tenants(touched):
            most = self._keeping.of_agent if agent else self._keeping.of_tenant
            while await store.trim(tenant, agent, most, _DELETED_AT_ONCE):
                pass

    async def page(self, query: PastQuery, limit: int) -> list[PastCall]:
        """List an agent's past calls, newest first. Raises what the store raises."""
        return await self._ready().page(query, limit)

    async def usage(self, query: UsageQuery, limit: int) -> list[UsageRow]:
        """Add up what past calls took, by agent: see PastStore."""
        return await self._ready().usage(query, limit)

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent, what is not written yet included."""
        gathered = self._gathered
        for key in [key for key in gathered.calls if key[:2] == (scope.tenant, scope.agent)]:
            del gathered.calls[key]
        for each in [
            key for key in gathered.sums if (key.tenant, key.path[-1]) == (scope.tenant, scope.agent)
        ]:
            del gathered.sums[each]
        async with self._flushing:  # a batch that is on its way comes before
            return await self._ready().purge(scope)


def _past(call: Call, event: TimelineEvent, summary: RunSummary, clock: WallClock) -> PastCall:
    now, end = clock.monotonic(), clock.now()
    _, _, identifier = call.id.split("/", 2)

    def moment(at: float) -> datetime:
        return end - timedelta(seconds=max(0.0, now - at))

    lost = event.kind is TimelineKind.GATEWAY_LOST
    return PastCall(
        tenant=call.tenant,
        agent=_bare(call.agent),
        call=identifier,
        path=tuple(_bare(agent) for agent in call.agent_path),
        lane=call.lane.value,
        resource=_named(call.resource, call.lane),
        scheduling_class=call.scheduling_class.value,
        priority=call.priority,
        outcome=QueueOutcome.EVICTED_GATEWAY.value if lost else event.detail,
        prompt_tokens=call.prompt_tokens,
        new_tokens=event.tokens,
        waited=summary.waited,
        ran=summary.ran,
        preemptions=event.preemptions,
        replica=_named(event.replica, call.lane),
        arrive_time=moment(call.arrived_at),
        start_time=None if summary.first_run_at is None else moment(summary.first_run_at),
        end_time=moment(event.at),
    )


def _bare(agent: str) -> str:
    """Return an agent's id; in the core its tenant stands before it."""
    return agent.partition("/")[2]


def _named(name: str, lane: ResourceKind) -> str:
    """Return what its tenant calls a model or tool: a tool without the tenant."""
    return f"tools/{name.rpartition('/')[2]}" if name and lane is ResourceKind.TOOL else name


def _took(past: PastCall) -> Sums:
    return (
        1,
        int(past.failed),
        int(past.cancelled),
        past.prompt_tokens,
        past.new_tokens,
        round(past.waited * 1000),
        round(past.ran * 1000),
        past.preemptions,
    )


def _plus(one: Sums, other: Sums) -> Sums:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _with_tenants(touched: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    yield from sorted(touched)
    yield from sorted({(tenant, "") for tenant, _ in touched})
