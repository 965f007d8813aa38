"""Denials, gathered and written in batches: no agent can flood the audit log with them."""

import asyncio
import dataclasses
from datetime import datetime, timedelta
from typing import Final

from services.access.model.audit import AuditOutcome, Event
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.chassis.auth.identity import Kind

WINDOW: Final = timedelta(minutes=1)
PER_AGENT: Final = 30
"""Different denials of one agent that are written in a window; further ones are counted."""
PER_TENANT: Final = 600
"""The same for all agents of a tenant together, so that a tree of agents is no way round it."""
_MOST_AGENTS: Final = 10_000
"""Agents that are told apart in a window; those beyond are counted for their tenant as a whole."""

_Who = tuple[str, str, Kind]


@dataclasses.dataclass(slots=True)
class _Counted:
    written: int = 0
    more: int = 0


class DenialLog:
    """Gathers denials. Equal ones of a batch become one entry that counts them."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports
        self._gathered: dict[tuple[str, Event], int] = {}
        self._agents: dict[_Who, _Counted] = {}
        self._tenants: dict[str, int] = {}
        self._window_end: datetime | None = None
        self._flushing = asyncio.Lock()

    def deny(self, tenant: str, event: Event) -> None:
        """Gather a denial; `flush` writes it, or counts it where its agent has had its share."""
        key = (tenant, event)
        if key in self._gathered:
            self._gathered[key] += 1
            return
        counted = self._counted(tenant, event)
        full = counted.written >= PER_AGENT or self._tenants.get(tenant, 0) >= PER_TENANT
        if full:
            counted.more += 1
            self._deps.meter.audit_lost(1)
            return
        counted.written += 1
        self._tenants[tenant] = self._tenants.get(tenant, 0) + 1
        self._gathered[key] = 1

    async def flush(self, *, last: bool = False) -> None:
        """Write what was gathered, and at a window's end (or with `last`) how many more there were.

        A failure keeps both for the next time.
        """
        async with self._flushing:
            now = self._deps.clock.now()
            taken, self._gathered = self._gathered, {}
            counted = self._ended(now, last=last)
            if not taken and not counted:
                return
            events = _events(taken, counted)
            try:
                await self._deps.store.write(lambda tx: _write(tx, events, now))
            except BaseException:
                self._gathered = taken | self._gathered
                for who, more in counted.items():
                    self._agents.setdefault(who, _Counted()).more += more
                raise
        self._deps.meter.audited(AuditOutcome.DENIED.value, sum(map(len, events.values())))

    def _counted(self, tenant: str, event: Event) -> _Counted:
        who: _Who = (tenant, event.agent, event.kind)
        if who not in self._agents and len(self._agents) >= _MOST_AGENTS:
            who = (tenant, "others", Kind.SERVICE)
        return self._agents.setdefault(who, _Counted())

    def _ended(self, now: datetime, *, last: bool) -> dict[_Who, int]:
        """Begin a new window when the last one is over; return what was left out in it, by agent."""
        if self._window_end is None:
            self._window_end = now + WINDOW
        if now < self._window_end and not last:
            return {}
        left_out = {who: counted.more for who, counted in self._agents.items() if counted.more}
        self._agents, self._tenants, self._window_end = {}, {}, now + WINDOW
        return left_out


def _events(taken: dict[tuple[str, Event], int], counted: dict[_Who, int]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for (tenant, event), count in taken.items():
        reason = f"{event.reason} x{count}" if count > 1 else event.reason
        found.setdefault(tenant, []).append(dataclasses.replace(event, reason=reason))
    for (tenant, agent, kind), more in counted.items():
        found.setdefault(tenant, []).append(_summary(agent, kind, more))
    return found


def _summary(agent: str, kind: Kind, more: int) -> Event:
    return Event(
        agent=agent,
        kind=kind,
        method="/aios.api.access.v1.AccessService/Check",
        action="access.check",
        outcome=AuditOutcome.DENIED,
        reason=f"and {more} more",
    )


def _write(tx: Transaction, events: dict[str, list[Event]], now: datetime) -> None:
    for tenant in sorted(events):
        dependencies.record_told(tx, tenant, now, events[tenant])
