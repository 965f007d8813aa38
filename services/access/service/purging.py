"""Use cases of purges: everything of a killed agent goes, in every manager, and access forgets it last.

A purge is a row. Each step is one short transaction that can be repeated, so a process that ends anywhere
goes on where it stood: an agent's purge first spreads to the agents below it, then waits until every manager
has confirmed a first and, some time later, a second pass, then access deletes its own rows and the agent
itself, the deepest first.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from services.access.core import tombstones
from services.access.errors import AgentAlive, AgentNotFound
from services.access.model.agents import Agent, AgentState, Purge
from services.access.model.audit import Event
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.erasing import Eraser
from services.access.service.steering import killed, maker_of, put_state
from services.access.service.watchers import RuleChange
from services.chassis.auth.identity import Caller, Kind
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import names
from services.chassis.rpc.errors import PermissionDenied

LAST_PASS: Final = 2
_SPREAD: Final = 200
"""Agents that get a purge of their own in one transaction."""
_AT_ONCE: Final = 100
_ROWS: Final = 500
_MOST_NOTE: Final = 2048
_METHOD: Final = "/aios.api.agent.v1.AgentService/PurgeAgent"
_ITSELF: Final = "access"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PurgeSettings:
    """How purges go."""

    managers: Sequence[str] = ()
    """Managers that must confirm."""
    settle: timedelta = timedelta(minutes=1)
    """Time between the two passes: longer than a call of a killed agent can still be under way."""
    retention: timedelta | None = None
    """How long a killed agent is kept before it is purged by itself; None: until somebody purges it."""


class PurgeService:
    """Purges killed agents. Call `step` every second or so."""

    def __init__(self, ports: Dependencies, eraser: Eraser, settings: PurgeSettings) -> None:
        self._deps = ports
        self._eraser = eraser
        self._settings = settings

    async def purge(
        self, caller: Caller, agent: str, reason: str, asked: RequestIdentity, *, kill: bool = False
    ) -> Agent | None:
        """Begin to purge a killed agent and all below it; None when a repeated request finds it gone.

        `kill`: one that lives is killed first, with all below it, in the same transaction. Raises
        AgentNotFound, AgentAlive, PermissionDenied (to an agent) or IdempotencyMismatch.
        """
        if caller.kind is Kind.AGENT:
            raise PermissionDenied("purging agents is for administrators")
        now = self._deps.clock.now()
        digest = tombstones.digest(caller.tenant, agent)

        def work(tx: Transaction) -> Agent | None:
            found = tx.agents.get(caller.tenant, agent)
            # What is remembered is a digest: the id itself is not to outlive the agent.
            known = dependencies.answered(tx, caller, asked)
            if known is not None:
                return found
            if found is None:
                name = names.agent_name(agent)
                raise AgentNotFound(f"no agent {name}", metadata={"agent": name})
            if kill and found.state is not AgentState.KILLED:
                found = self._kill(tx, caller, found, reason, now)
            _must_be_killed(found)
            if tx.purges.get(caller.tenant, agent) is None:
                tx.purges.put(_begun(found, caller.agent, caller.kind, reason, now))
                done = dependencies.event(
                    caller, "PurgeAgent", "agent.purge", names.agent_name(agent), note=reason
                )
                dependencies.record(tx, caller.tenant, now, [done])
            dependencies.remember(tx, caller, asked, now, digest)
            return found

        return await self._deps.commit(work, RuleChange(caller.tenant, frozenset({names.agent_name(agent)})))

    def _kill(self, tx: Transaction, caller: Caller, found: Agent, reason: str, now: datetime) -> Agent:
        ended = put_state(tx, killed(found), now, self._deps.settings.token_life)[0]
        name = names.agent_name(found.id)
        done = dependencies.event(caller, "PurgeAgent", "agent.control", name, reason=reason[:64])
        dependencies.record(tx, caller.tenant, now, [done])
        return ended

    async def is_purging(self, tenant: str, agent: str) -> bool:
        """Tell whether an agent is being purged."""
        return await self._deps.store.read(lambda tx: tx.purges.get(tenant, agent) is not None)

    async def waiting_for(self, manager: str, limit: int) -> list[Purge]:
        """List the purges that a manager has to do and confirm."""
        now = self._deps.clock.now()
        return await self._deps.store.read(lambda tx: tx.purges.waiting_for(manager, now, limit))

    async def confirm(
        self, manager: str, tenant: str, agent: str, number: int, counts: Mapping[str, int]
    ) -> None:
        """Note that a manager has deleted everything of an agent; an unknown purge is passed over."""

        def work(tx: Transaction) -> None:
            purge = tx.purges.get(tenant, agent)
            if purge is not None and purge.number == number:
                tx.purges.confirm(purge, manager, counts)

        await self._deps.store.write(work)

    async def step(self) -> None:
        """Bring every purge as far as it goes now."""
        await self._expire()
        while await self._deps.store.write(self._spread):
            pass
        now = self._deps.clock.now()
        while done := await self._deps.store.read(
            lambda tx: tx.purges.confirmed(self._settings.managers, now, _AT_ONCE)
        ):
            advanced = [await self._advance(purge) for purge in done]
            if not any(advanced):
                return

    async def _expire(self) -> None:
        retention = self._settings.retention
        if retention is None:
            return
        now = self._deps.clock.now()

        def work(tx: Transaction) -> int:
            due = tx.agents.killed_before(now - retention, _AT_ONCE)
            for agent in due:
                tx.purges.put(_begun(agent, _ITSELF, Kind.SERVICE, "it was killed long enough ago", now))
            return len(due)

        while await self._deps.store.write(work) == _AT_ONCE:
            pass

    def _spread(self, tx: Transaction) -> bool:
        """Give some agents below a purged one purges of their own; tell whether there was anything to do."""
        found = tx.purges.unexpanded(1)
        if not found:
            return False
        [purge] = found
        agent = tx.agents.get(purge.tenant, purge.agent)
        below = tx.agents.below_unpurged(agent, _SPREAD) if agent else []
        for one in below:
            begun = _begun(one, purge.requester, purge.requester_kind, purge.reason, purge.create_time)
            # Those below these are below the one at the top too: it spreads to all of them.
            tx.purges.put(dataclasses.replace(begun, expanded=True))
        if len(below) < _SPREAD:
            tx.purges.put(dataclasses.replace(purge, expanded=True))
        return True

    async def _advance(self, purge: Purge) -> bool:
        """Take a purge that every manager has confirmed further; tell whether it could be."""
        now = self._deps.clock.now()
        if purge.number < LAST_PASS:
            again = dataclasses.replace(purge, number=LAST_PASS, due_time=now + self._settings.settle)
            await self._deps.store.write(lambda tx: tx.purges.put(again))
            return True
        agent = await self._deps.store.read(lambda tx: tx.agents.get(purge.tenant, purge.agent))
        if agent is not None and await self._deps.store.read(lambda tx: tx.agents.has_below(agent)):
            return False
        await self._finish(purge, now)
        return True

    async def _finish(self, purge: Purge, now: datetime) -> None:
        """Delete what access itself has of an agent, then the agent, and say so in the log."""
        tenant, agent = purge.tenant, purge.agent
        stripped = 0
        while removed := await self._deps.store.write(lambda tx: tx.purges.strip(tenant, agent, _ROWS)):
            stripped += removed
        by = Caller(agent=purge.requester, tenant=tenant, kind=purge.requester_kind)
        erased = await self._eraser.blank(by, tenant, agent, purge.reason)

        def work(tx: Transaction) -> None:
            counts = tx.purges.counts(tenant, agent) | {"access.rows": stripped, "access.audit": erased}
            tx.purges.strip(tenant, agent, _ROWS)
            tx.purges.bury(tenant, tombstones.digest(tenant, agent), now)
            gone = tx.agents.get(tenant, agent)
            if gone is not None:
                tx.usage.add(maker_of(gone), agent_rows=-1)
            tx.agents.delete(tenant, agent)
            tx.purges.forget(tenant, agent)
            tx.usage.settle(self._deps.settings.caps)
            tx.ledger.bump()
            dependencies.record(tx, tenant, now, [_purged(purge, counts)])

        change = RuleChange(tenant, frozenset({names.agent_name(agent)}))
        await self._deps.commit(work, change)
        self._deps.meter.purged()


def _begun(agent: Agent, requester: str, kind: Kind, reason: str, now: datetime) -> Purge:
    return Purge(
        tenant=agent.tenant,
        agent=agent.id,
        requester=requester,
        requester_kind=kind,
        reason=reason,
        create_time=now,
        due_time=now,
        depth=len(agent.ancestors),
    )


def _must_be_killed(agent: Agent) -> None:
    if agent.state is not AgentState.KILLED:
        name = names.agent_name(agent.id)
        raise AgentAlive(f"{name} was not killed", metadata={"agent": name})


def _purged(purge: Purge, counts: Mapping[str, int]) -> Event:
    told = " ".join(f"{what}={count}" for what, count in sorted(counts.items()))
    return Event(
        agent=purge.requester,
        kind=purge.requester_kind,
        method=_METHOD,
        action="agent.purge",
        resource=tombstones.name(purge.tenant, purge.agent),
        note=f"purged: {told}; {purge.reason}"[:_MOST_NOTE],
    )
