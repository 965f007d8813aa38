"""What the access service knows about agents, remembered for a while."""

import grpc

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from gateway.inference.model import Hints
from gateway.inference.runner import AgentFacts
from gateway.inference.wire import hints
from services.chassis.client import kernel_metadata
from services.chassis.clock import Clock
from services.chassis.errors import AccessUnavailable
from services.chassis.identity import Caller, Kind

FETCH_SECONDS = 2.0
KEEP_SECONDS = 30.0
"""How long a change of an agent's hints may go unnoticed."""
MAX_KEPT = 50_000


class AccessAgentDirectory:
    """Fetches an agent's registration once and keeps it for KEEP_SECONDS."""

    def __init__(self, stub: "agent_pb2_grpc.AgentServiceAsyncStub", clock: Clock) -> None:
        self._stub = stub
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, AgentFacts]] = {}

    async def facts(self, caller: Caller) -> AgentFacts:
        """Return the scheduling facts of the calling agent.

        Raises AccessUnavailable when they are neither known nor to be had.
        """
        if caller.kind is not Kind.AGENT:
            return AgentFacts(Hints(), program=caller.agent)
        key = (caller.tenant, caller.agent)
        now = self._clock.monotonic()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < KEEP_SECONDS:
            return kept[1]
        try:
            answer = await self._stub.GetAgent(
                agent_pb2.GetAgentRequest(name=f"agents/{caller.agent}"),
                timeout=FETCH_SECONDS,
                metadata=kernel_metadata(caller),
            )
        except grpc.aio.AioRpcError as error:
            if kept is not None:
                return kept[1]
            raise AccessUnavailable("the access service cannot be asked", retry_after=0.5) from error
        facts = _facts(answer.agent)
        if len(self._kept) >= MAX_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept.pop(key, None)
        self._kept[key] = (now, facts)
        return facts


def _facts(agent: agent_pb2.Agent) -> AgentFacts:
    asked = hints(agent.hints)
    default = Hints()
    registered = Hints(
        scheduling_class=asked.scheduling_class or default.scheduling_class,
        weight=asked.weight or default.weight,
        priority=asked.priority or default.priority,
        max_wait=asked.max_wait or default.max_wait,
    )
    return AgentFacts(registered, agent.kind, agent.name.removeprefix("agents/"))
