"""Use case: agents whose time is over end by themselves, with all below them.

The times stand in the database, so a process that ends, or comes late, misses none.
"""

from typing import Final

from services.access.model.agents import Agent
from services.access.service.agents import AgentService
from services.access.service.dependencies import Dependencies
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc.errors import KernelError

_AT_ONCE: Final = 100
_ITSELF: Final = "access"
REASON: Final = "its time was over"


class LifetimeService:
    """Ends agents. Call `end_due` every second or so."""

    def __init__(self, ports: Dependencies, agents: AgentService) -> None:
        self._deps = ports
        self._agents = agents

    async def end_due(self) -> None:
        """Kill every agent whose time is over, the highest first.

        One that fails does not keep the others waiting; its error is raised at the end.
        """
        failure: KernelError | None = None
        while failure is None and (due := await self._due()):
            for agent in due:
                try:
                    await self._agents.kill(_caller(agent.tenant), agent.id, REASON)
                except KernelError as error:
                    failure = error
        if failure is not None:
            raise failure

    async def _due(self) -> list[Agent]:
        now = self._deps.clock.now()
        return await self._deps.store.read(lambda tx: tx.agents.expired(now, _AT_ONCE))


def _caller(tenant: str) -> Caller:
    return Caller(agent=_ITSELF, tenant=tenant, kind=Kind.SERVICE)
