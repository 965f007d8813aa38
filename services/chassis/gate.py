"""The fair gate: what runs at once, by turns of tenants, trees of agents and agents. Pure asyncio."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from services.chassis.auth.identity import Caller, Kind
from services.chassis.dispatch.errors import QueueFull
from services.chassis.quotas import Level, Owner
from services.chassis.rpc.errors import DeadlineExceeded, KernelError
from services.chassis.shares import too_many
from services.chassis.turns import Bounds, Crowded, Party, Path, Turns

Agent = tuple[str, str]
"""Tenant and agent."""

_WHOLE: Final = "gateway"


@dataclass(frozen=True, kw_only=True, slots=True)
class GateConfig:
    """Limits of one lane."""

    running: int = 256
    """Calls that run at once, all agents together."""
    running_per_tenant: int = 192
    """Calls of one tenant that run at once."""
    running_per_tree: int = 64
    """Calls of one agent and all its descendants that run at once."""
    running_per_agent: int = 32
    """Calls of one agent that run at once."""
    waiting: int = 20_000
    """Calls that may wait, all agents together."""
    waiting_per_tenant: int = 10_000
    """Calls of one tenant that may wait; more are refused."""
    waiting_per_tree: int = 1024
    """Calls of one agent and all its descendants that may wait; more are refused."""
    waiting_per_agent: int = 256
    """Calls of one agent that may wait; more are refused. 0: none waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """A call that asks for a place."""

    agent: Agent
    kind: Kind = Kind.AGENT
    weight: float = 1.0
    """The agent's share against other agents of its tree."""
    tree: Agent = ("", "")
    """The root of the agent's tree. Default: the agent itself."""
    tree_weight: float = 1.0
    """The tree's share against other trees of its tenant."""
    tenant_weight: float = 1.0
    """The tenant's share against other tenants."""
    brisk: bool = False
    """Whether the call soon has its one answer."""
    urgent: bool = False
    """Whether an administrator steps in by it: kills, suspends, cancels, revokes."""
    deadline: float = math.inf
    """On the steady clock."""

    @classmethod
    def of(cls, caller: Caller | None) -> "Visitor":
        """Return the visitor that a call stands for; None is this process itself."""
        if caller is None:
            return cls(agent=("", ""), kind=Kind.SERVICE)
        owner = caller.sender
        return cls(
            agent=(owner.tenant, owner.agent),
            kind=caller.kind,
            tree=(owner.tenant, owner.tree),
            deadline=caller.deadline,
        )

    @property
    def path(self) -> Path:
        """Whose call it is, the largest party first."""
        tree = self.tree if self.tree[1] else self.agent
        return (
            (self.agent[0], self.tenant_weight),
            (tree, self.tree_weight),
            (self.agent, self.weight),
        )


class Gate(Protocol):
    """Bounds the calls of a lane."""

    @property
    def running(self) -> int:
        """Calls that hold a place."""

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""

    def oldest_wait(self) -> float:
        """Return how long the call that waits longest has waited. Unit: seconds."""

    def admit(self, visitor: Visitor) -> AbstractAsyncContextManager[None]:
        """Hold a place for the duration of a call. Raises TooManyCalls, QueueFull or DeadlineExceeded."""


Admitted = asyncio.Future[None]


class FairGate:
    """Admits calls by turns: of the tenants that wait, of a tenant's trees of agents, of a tree's agents.

    Each has turns as often as its weight says among its like. A flood of one tree delays a call of another
    by at most one call of each tree that waits, weights aside; children earn a tree nothing.
    """

    def __init__(self, config: GateConfig) -> None:
        self._turns: Turns[Admitted] = Turns(_levels(config), asyncio.Future.cancelled)
        self._since: OrderedDict[Admitted, float] = OrderedDict()
        """When each waiting call began to wait, the oldest first."""

    @property
    def running(self) -> int:
        """Calls that hold a place."""
        return self._turns.running

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return self._turns.waiting

    @property
    def turns(self) -> Turns[Admitted]:
        """Places and lines, to look at."""
        return self._turns

    def oldest_wait(self) -> float:
        """Return how long the call that waits longest has waited. Unit: seconds."""
        since = next(iter(self._since.values()), None)
        return 0.0 if since is None else time.monotonic() - since

    @asynccontextmanager
    async def admit(self, visitor: Visitor) -> AsyncIterator[None]:
        """Hold a place for the duration of a call.

        Raises TooManyCalls (the agent's, the tree's or the tenant's line is full) or QueueFull without
        waiting, DeadlineExceeded when the visitor's deadline comes first.
        """
        leave = await self.take(visitor)
        try:
            yield
        finally:
            leave()

    async def take(self, visitor: Visitor) -> Callable[[], None]:
        """Take a place; it is held until what this returns is called, once. Raises as `admit`."""
        path = visitor.path
        party = self._turns.enter(path)
        if party is None:
            party = await self._wait(path, visitor.deadline)
        return partial(self._leave, party)

    def _leave(self, party: Party[Admitted]) -> None:
        self._turns.leave(party)
        self._admit_next()

    async def _wait(self, path: Path, deadline: float) -> Party[Admitted]:
        admitted: Admitted = asyncio.get_running_loop().create_future()
        try:
            party = self._turns.join(path, admitted)
        except Crowded as crowded:
            raise _refusal(crowded, path) from None
        self._since[admitted] = time.monotonic()
        try:
            async with asyncio.timeout_at(None if math.isinf(deadline) else deadline):
                await admitted
        except (TimeoutError, asyncio.CancelledError) as stopped:
            if admitted.done() and not admitted.cancelled():
                self._leave(party)  # it was admitted at the very moment it left
            else:
                self._turns.forget(party, admitted)
                self._admit_next()
            if isinstance(stopped, TimeoutError):
                raise DeadlineExceeded("the call's deadline passed while it waited for its turn") from None
            raise
        finally:
            self._since.pop(admitted, None)
        return party

    def _admit_next(self) -> None:
        """Admit waiting calls, by turns, while there is room."""
        while (found := self._turns.next()) is not None:
            found[1].set_result(None)
            self._since.pop(found[1], None)


def _levels(config: GateConfig) -> tuple[Bounds, ...]:
    return (
        Bounds(_WHOLE, config.running, config.waiting),
        Bounds(Level.TENANT.value, config.running_per_tenant, config.waiting_per_tenant),
        Bounds(Level.TREE.value, config.running_per_tree, config.waiting_per_tree),
        Bounds(Level.AGENT.value, config.running_per_agent, config.waiting_per_agent),
    )


def _refusal(crowded: Crowded, path: Sequence[tuple[Any, float]]) -> KernelError:
    if crowded.level.name == _WHOLE:
        return QueueFull("too many calls wait here; come back later", retry_after=1.0)
    tenant, tree, agent = (key for key, _ in path)
    owner = Owner(str(tenant), agent[1], tree[1])
    level = Level(crowded.level.name)
    return too_many(owner, level, crowded.level.waiting, "calls waiting here", retry_after=0.2)
