"""The Queue port on the scheduler: calls wait for their turn where generations do."""

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, Protocol

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.auth.identity import Caller, Scope, current_caller
from services.chassis.dispatch.client import DispatchClient, DispatchTicket
from services.chassis.dispatch.errors import QueueFull, WaitExpired
from services.chassis.dispatch.scheduling import AgentFacts, CallKey, Completion, SchedulingClass, Submission
from services.chassis.runtime.clock import Clock
from services.tool.core.places import Demand, Places, slots
from services.tool.errors import ToolBusy
from services.tool.model import DriverKind, QueueRequest, Tool

LANE: Final = "tool"
IDLE_SECONDS: Final = 60.0
OWN_SLOTS: Final = 4
"""Calls and tests at once of all that an agent makes for itself."""
_LONGEST_ID: Final = 64
_URGENCY: Final = tuple(SchedulingClass)


class Directory(Protocol):
    """Who knows how agents are scheduled; see services.chassis.auth.agents."""

    async def facts(self, caller: Caller) -> AgentFacts:
        """Return the facts of the calling agent. Raises AccessUnavailable."""
        ...


class ScheduledTicket:
    """One call in the scheduler's hands."""

    def __init__(self, ticket: DispatchTicket, pools: "ToolPools", pool: str, urgency: int) -> None:
        self._ticket = ticket
        self._pools = pools
        self._pool = pool
        self._urgency = urgency
        self._stands = _Stands.WAITING

    async def granted(self) -> None:
        """Wait for the turn. Raises ToolBusy, or what else the scheduler refuses with."""
        try:
            await self._ticket.granted()
        except (WaitExpired, QueueFull) as error:
            raise ToolBusy(
                "the tool, or something it needs alone, was busy for too long; try again later",
                metadata=error.metadata,
                retry_after=error.retry_after or 1.0,
            ) from error

    async def revoked(self) -> None:
        """Wait until the kernel wants the running call to end."""
        await self._ticket.interrupted()

    def room_taken(self) -> None:
        """Note that the call has room at the process that runs it."""
        self._stand(_Stands.RUNNING)

    def room_freed(self) -> None:
        """Note that the room is free again, though the turn is not over yet."""
        self._stand(_Stands.ENDING)

    def wait_again(self) -> None:
        """Give the turn back and wait for another one."""
        # First how much room there is, then that the call wants some: else it would be granted again at once.
        self._stand(_Stands.WAITING)
        self._ticket.yielded(0, replica_lost=True)

    def ended(self, completion: Completion) -> None:
        """Give the turn back, or the place in the queue. Idempotent."""
        if self._stands is not _Stands.ENDED:
            # In this order, for the scheduler must not grant the slot that comes free to a tool without room.
            self._stand(_Stands.ENDED)
            self._ticket.ended(completion, 0)

    def _stand(self, where: "_Stands") -> None:
        before, self._stands = self._stands, where
        self._pools.moved(self._pool, before, where, self._urgency)


class _Stands(Enum):
    """Where a call stands, as far as the room for its tool goes."""

    WAITING = "waiting"
    """It has none, and some is kept for it when it is granted."""
    RUNNING = "running"
    ENDING = "ending"
    """Its room is free again; the scheduler has still to hear that its slot is."""
    ENDED = "ended"


@dataclass(slots=True)
class _Pool:
    limit: int
    provider: Scope
    tool: str
    places: Places | None
    slots: int = -1
    """What the scheduler was told last."""
    users: int = 0
    running: int = 0
    """Calls that have room."""
    waiting: Counter[int] = field(default_factory=Counter)
    """Calls that want room, those granted just now included, by urgency."""
    served: int = 0
    idle_since: float = 0.0

    def demand(self) -> Demand:
        waiting = +self.waiting
        urgency = min(waiting, default=0)
        return Demand(self.tool, self.limit, self.running, waiting.total(), urgency, self.served)


class ToolPools:
    """The tools the scheduler knows: each from its first call on, until nobody has called it for a while.

    It is told of a tool as many slots as may run now: all that the tool may, or as many as the processes that
    run it have room for. See services.tool.core.places.
    """

    def __init__(self, client: DispatchClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._pools: dict[str, _Pool] = {}
        self._watched: set[Places] = set()
        self._grants = itertools.count(1)

    def enter(self, tenant: str, tool: Tool, places: Places | None = None, urgency: int = 0) -> str:
        """Make the tool known, with one more call that waits, and return its name there."""
        name = pool_name(tenant, tool)
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = _Pool(0, Scope(tenant, tool.owner), tool.id, places)
        if places is not None and places not in self._watched:
            self._watched.add(places)
            places.watch(self._divide)
        pool.limit = OWN_SLOTS if tool.is_own else tool.max_concurrency
        pool.places = places
        pool.users += 1
        pool.waiting[urgency] += 1
        self._settle(name, pool)
        return name

    def moved(self, name: str, before: _Stands, now: _Stands, urgency: int = 0) -> None:
        """Note where a call stands now."""
        pool = self._pools[name]
        pool.running += (now is _Stands.RUNNING) - (before is _Stands.RUNNING)
        pool.waiting[urgency] += (now is _Stands.WAITING) - (before is _Stands.WAITING)
        if now is _Stands.RUNNING:
            pool.served = next(self._grants)
        if now is _Stands.ENDED:
            pool.users -= 1
            pool.idle_since = self._clock.monotonic()
        self._settle(name, pool)

    def leave(self, name: str) -> None:
        """Note that a call that waited needs its tool no more."""
        self.moved(name, _Stands.WAITING, _Stands.ENDED)

    async def forget_idle(self) -> None:
        """Withdraw the tools that nobody has called for a while."""
        before = self._clock.monotonic() - IDLE_SECONDS
        for name, pool in list(self._pools.items()):
            if not pool.users and pool.idle_since <= before:
                del self._pools[name]
                self._client.withdraw(name)

    def _settle(self, name: str, pool: _Pool) -> None:
        if pool.places is None:
            self._tell(name, pool, pool.limit)
        else:
            self._divide(pool.provider)

    def _divide(self, provider: Scope) -> None:
        """Divide the room of a provider's processes among its tools."""
        pools = {
            name: pool
            for name, pool in self._pools.items()
            if pool.provider == provider and pool.places is not None
        }
        places = next((pool.places for pool in pools.values() if pool.places is not None), None)
        if places is None:
            return
        told = slots(places.places(provider), [pool.demand() for pool in pools.values()])
        for name, pool in pools.items():
            self._tell(name, pool, told[pool.tool])

    def _tell(self, name: str, pool: _Pool, count: int) -> None:
        if pool.slots != count:
            pool.slots = count
            self._client.announce(_state(name, count))


class ScheduledQueue:
    """Puts calls before the scheduler, as their agents are registered to be scheduled."""

    def __init__(self, client: DispatchClient, agents: Directory, clock: Clock) -> None:
        self._client = client
        self._agents = agents
        self._clock = clock
        self.pools = ToolPools(client, clock)

    async def join(self, needs: QueueRequest) -> ScheduledTicket:
        """Put the calling agent's call into the queue. Raises AccessUnavailable."""
        caller = current_caller()
        facts = await self._agents.facts(caller)
        # How long an agent waits for generations says nothing about tools; without a limit the class has one.
        urgency = _URGENCY.index(facts.hints.scheduling_class)
        pool = self.pools.enter(needs.scope.tenant, needs.tool, needs.places, urgency)
        submission = Submission(
            key=CallKey(needs.scope.tenant, needs.scope.agent, queue_id(needs.call_id)),
            agent=replace(facts, hints=replace(facts.hints, max_wait=needs.max_wait)),
            model=pool,
            lane=LANE,
            arrived_at=self._clock.monotonic(),
            deadline=float("inf"),  # a caller that leaves takes its call along; others may still listen to it
            locks=needs.locks,
            allowances=needs.allowances,
        )
        return ScheduledTicket(self._client.submit(submission), self.pools, pool, urgency)


def queue_id(call_id: str) -> str:
    """Return what a call is called in the scheduler, where generations have their ids too."""
    name = f"tool-{call_id}"
    return name if len(name) <= _LONGEST_ID else f"tool-{hashlib.sha256(call_id.encode()).hexdigest()[:32]}"


def pool_name(tenant: str, tool: Tool) -> str:
    """Return what a tool is called in the scheduler; one that comes with the kernel is all tenants'."""
    if tool.is_own:  # its name is nobody's business, and its calls take no slot of what is shared
        return f"{tenant}/own/{tool.owner}"
    shared = tool.driver.kind is DriverKind.BUILTIN and not tool.owner
    return f"tools/{tool.id}" if shared else f"{tenant}/tools/{tool.id}"


def _state(name: str, slots: int) -> pb.ReplicaState:
    return pb.ReplicaState(name=name, model=name, up=True, slots=slots, lane=LANE)
