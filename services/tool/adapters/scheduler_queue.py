"""The Queue port on the scheduler: calls wait for their turn where generations do."""

import hashlib
from dataclasses import dataclass, replace
from typing import Final, Protocol

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.auth.identity import Caller, current_caller
from services.chassis.dispatch.client import DispatchClient, DispatchTicket, Submission
from services.chassis.dispatch.errors import QueueFull, WaitExpired
from services.chassis.dispatch.scheduling import AgentFacts, CallKey, Completion
from services.chassis.runtime.clock import Clock
from services.tool.errors import ToolBusy
from services.tool.model import DriverKind, QueueRequest, Tool

LANE: Final = "tool"
IDLE_SECONDS: Final = 60.0
_LONGEST_ID: Final = 64


class Directory(Protocol):
    """Who knows how agents are scheduled; see services.chassis.auth.agents."""

    async def facts(self, caller: Caller) -> AgentFacts:
        """Return the facts of the calling agent. Raises AccessUnavailable."""
        ...


class ScheduledTicket:
    """One call in the scheduler's hands."""

    def __init__(self, ticket: DispatchTicket, pools: "ToolPools", pool: str) -> None:
        self._ticket = ticket
        self._pools = pools
        self._pool = pool
        self._over = False

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

    def ended(self, completion: Completion) -> None:
        """Give the turn back, or the place in the queue. Idempotent."""
        if not self._over:
            self._over = True
            self._ticket.ended(completion, 0)
            self._pools.leave(self._pool)


@dataclass(slots=True)
class _Pool:
    slots: int
    users: int
    idle_since: float


class ToolPools:
    """The tools the scheduler knows: each from its first call on, until nobody has called it for a while."""

    def __init__(self, client: DispatchClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._pools: dict[str, _Pool] = {}

    def enter(self, tenant: str, tool: Tool) -> str:
        """Make the tool known and return its name there."""
        name = pool_name(tenant, tool)
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = _Pool(0, 0, 0.0)
        if pool.slots != tool.max_concurrency:
            pool.slots = tool.max_concurrency
            self._client.announce(_state(name, pool.slots))
        pool.users += 1
        return name

    def leave(self, name: str) -> None:
        """Note that a call needs its tool no more."""
        pool = self._pools[name]
        pool.users -= 1
        pool.idle_since = self._clock.monotonic()

    async def forget_idle(self) -> None:
        """Withdraw the tools that nobody has called for a while."""
        before = self._clock.monotonic() - IDLE_SECONDS
        for name, pool in list(self._pools.items()):
            if not pool.users and pool.idle_since <= before:
                del self._pools[name]
                self._client.withdraw(name)


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
        pool = self.pools.enter(needs.scope.tenant, needs.tool)
        details = pb.Submit(
            program=facts.program,
            agent_kind=facts.kind,
            agent_path=facts.path,
            tree_weight=facts.tree_weight,
            tenant_weight=facts.tenant_weight,
            model=pool,
            lane=LANE,
            locks=[pb.Lock(name=name, limit=1) for name in needs.locks],
        )
        submission = Submission(
            key=CallKey(needs.scope.tenant, needs.scope.agent, queue_id(needs.call_id)),
            hints=replace(facts.hints, max_wait=needs.max_wait),
            arrived_at=self._clock.monotonic(),
            deadline=float("inf"),  # a caller that leaves takes its call along; others may still listen to it
            details=details,
        )
        return ScheduledTicket(self._client.submit(submission), self.pools, pool)


def queue_id(call_id: str) -> str:
    """Return what a call is called in the scheduler, where generations have their ids too."""
    name = f"tool-{call_id}"
    return name if len(name) <= _LONGEST_ID else f"tool-{hashlib.sha256(call_id.encode()).hexdigest()[:32]}"


def pool_name(tenant: str, tool: Tool) -> str:
    """Return what a tool is called in the scheduler; one that comes with the kernel is all tenants'."""
    shared = tool.driver.kind is DriverKind.BUILTIN and not tool.owner
    return f"tools/{tool.id}" if shared else f"{tenant}/tools/{tool.id}"


def _state(name: str, slots: int) -> pb.ReplicaState:
    return pb.ReplicaState(name=name, model=name, up=True, slots=slots, lane=LANE)
