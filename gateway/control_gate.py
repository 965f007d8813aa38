"""The gate of the CONTROL lane: no agent crowds out others, nor those who watch over it. Pure asyncio."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from services.chassis.auth.identity import Kind
from services.chassis.gate import FairGate, GateConfig, Visitor

AGENTS: Final = GateConfig(running_per_agent=16)
GUARDIANS: Final = GateConfig(
    running=64,
    running_per_tenant=48,
    running_per_tree=32,
    running_per_agent=32,
    waiting_per_tree=1024,
    waiting_per_agent=1024,
)
RESCUERS: Final = GateConfig(
    running=32, running_per_tenant=24, running_per_tree=16, running_per_agent=16, waiting_per_agent=1024
)
STRANGERS: Final = GateConfig(
    running=64,
    running_per_tenant=64,
    running_per_tree=32,
    running_per_agent=32,
    waiting_per_tenant=20_000,
    waiting_per_tree=4096,
    waiting_per_agent=4096,
)


class ControlGate:
    """Four gates side by side, so that no crowd keeps out another sort of caller.

    Agents take turns by tenant, tree and agent. Administrators and processes of the kernel have places of
    their own: however many agents flood the lane, one that watches over them can list and look. What stops an
    agent has places apart from these: an administrator's own flood of lists keeps no kill waiting. Callers
    without a credential, who come to get one, take turns by the address they come from.
    """

    def __init__(
        self,
        agents: GateConfig = AGENTS,
        guardians: GateConfig = GUARDIANS,
        strangers: GateConfig = STRANGERS,
        rescuers: GateConfig = RESCUERS,
    ) -> None:
        self._agents = FairGate(agents)
        self._guardians = FairGate(guardians)
        self._strangers = FairGate(strangers)
        self._rescuers = FairGate(rescuers)
        self._all = (self._agents, self._guardians, self._strangers, self._rescuers)

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
        """Hold a place among the callers of the visitor's sort. Raises as `FairGate.admit`."""
        return self._of(visitor).admit(visitor)

    def _of(self, visitor: Visitor) -> FairGate:
        if visitor.kind is Kind.AGENT:
            return self._agents
        if visitor.kind is Kind.ANONYMOUS:
            return self._strangers
        return self._rescuers if visitor.urgent else self._guardians
