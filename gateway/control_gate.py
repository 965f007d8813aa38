"""The gate of the CONTROL lane: no agent crowds out others, nor those who watch over it. Pure asyncio."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from gateway.gate import Agent, FairGate, GateConfig, Visitor
from services.chassis.auth.identity import Kind
from services.chassis.dispatch.errors import QueueFull


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeGateConfig:
    """Limits of the agents' calls of a lane."""

    running: int = 256
    """Calls that run at once, all agents together."""
    running_per_tree: int = 64
    """Calls of one agent and all its descendants that run at once."""
    running_per_agent: int = 16
    """Calls of one agent that run at once."""
    waiting_per_agent: int = 256
    """Calls of one agent that may wait; more are refused."""
    waiting_per_tree: int = 1024
    """Calls of one agent and all its descendants that may wait."""
    waiting: int = 20_000
    """Calls that may wait, all agents together."""


@dataclass(slots=True)
class _Tree:
    gate: FairGate
    calls: int = 0
    """Calls of the tree, waiting and running."""


class TreeGate:
    """Admits calls by turns of the trees of agents, and within a tree by turns of its agents.

    An agent that registers a thousand children gets no more turns by it. A call passes two gates: first that
    of its tree, which lets as many through as the tree may run, then the one where the trees take turns. So
    no call waits at the second for the sake of its own tree's limit, and each tree's line there is short.
    """

    def __init__(self, config: TreeGateConfig) -> None:
        self._config = config
        self._of_tree = GateConfig(
            running=config.running_per_tree,
            running_per_agent=config.running_per_agent,
            waiting_per_agent=config.waiting_per_agent,
            waiting=config.waiting_per_tree,
        )
        self._turns = FairGate(
            GateConfig(
                running=config.running,
                running_per_agent=config.running_per_tree,
                waiting_per_agent=config.running_per_tree,
                waiting=config.running + config.waiting,
            )
        )
        self._trees: dict[Agent, _Tree] = {}
        self._waits: dict[object, float] = {}
        """When each waiting call began to wait, the oldest first."""

    @property
    def running(self) -> int:
        """Calls that hold a place."""
        return self._turns.running

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return len(self._waits)

    def oldest_wait(self) -> float:
        """Return how long the call that waits longest has waited. Unit: seconds."""
        since = next(iter(self._waits.values()), None)
        return 0.0 if since is None else time.monotonic() - since

    @asynccontextmanager
    async def admit(self, visitor: Visitor) -> AsyncIterator[None]:
        """Hold a place for the duration of a call.

        Raises TooManyCalls or QueueFull without waiting, DeadlineExceeded when the deadline comes first.
        """
        if len(self._waits) >= self._config.waiting:
            raise QueueFull("too many calls wait at the gateway; come back later", retry_after=1.0)
        mark = object()
        self._waits[mark] = time.monotonic()
        try:
            async with (
                self._inside(visitor.tree) as tree,
                tree.pass_through(visitor.agent, deadline=visitor.deadline),
                self._turns.pass_through(visitor.tree, weight=visitor.tree_weight, deadline=visitor.deadline),
            ):
                del self._waits[mark]
                yield
        finally:
            self._waits.pop(mark, None)

    @asynccontextmanager
    async def _inside(self, name: Agent) -> AsyncIterator[FairGate]:
        """Yield the gate of a tree, which is kept while a call of the tree is here."""
        tree = self._trees.get(name)
        if tree is None:
            tree = self._trees[name] = _Tree(FairGate(self._of_tree))
        tree.calls += 1
        try:
            yield tree.gate
        finally:
            tree.calls -= 1
            if not tree.calls:
                del self._trees[name]


class ControlGate:
    """Three gates side by side, so that no crowd keeps out another sort of caller.

    Agents take turns by tree. Administrators and processes of the kernel have places of their own: however
    many agents flood the lane, one that watches over them can list, cancel and kill. Callers without a
    credential, who come to get one, take turns by the address they come from.
    """

    def __init__(
        self,
        agents: TreeGateConfig | None = None,
        guardians: GateConfig | None = None,
        strangers: GateConfig | None = None,
    ) -> None:
        self._agents = TreeGate(agents or TreeGateConfig())
        self._guardians = FairGate(guardians or GateConfig(running=64, waiting_per_agent=1024))
        self._strangers = FairGate(
            strangers or GateConfig(running=64, running_per_agent=64, waiting_per_agent=4096)
        )
        self._all = (self._agents, self._guardians, self._strangers)

    @property
    def running(self) -> int:
        """Calls that hold a place."""
        return sum(gate.running for gate in self._all)

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return sum(gate.waiting for gate in self._all)

    def oldest_wait(self) -> float:
        """Return how long the call that waits longest has waited. Unit: seconds."""
        return max(gate.oldest_wait() for gate in self._all)

    def admit(self, visitor: Visitor) -> AbstractAsyncContextManager[None]:
        """Hold a place among the callers of the visitor's sort. Raises as `TreeGate.admit`."""
        if visitor.kind is Kind.AGENT:
            return self._agents.admit(visitor)
        gate = self._strangers if visitor.kind is Kind.ANONYMOUS else self._guardians
        return gate.admit(visitor)
