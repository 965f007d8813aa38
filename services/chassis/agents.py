"""What the access service knows about agents: followed as it changes, asked for where it is not known yet."""

import asyncio

import grpc

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from services.chassis.client import ServiceCredential, kernel_metadata
from services.chassis.errors import AccessUnavailable
from services.chassis.identity import Caller, Kind
from services.chassis.scheduling import AgentFacts, Hints
from services.chassis.wire import hints_asked

FETCH_SECONDS = 5.0
FETCHES_AT_ONCE = 16
"""A burst of agents that nobody has heard of waits here instead of flooding the access service."""


class AccessAgentDirectory:
    """Follows all agents of all tenants. Run `watch` as a supervised background task."""

    def __init__(self, stub: "agent_pb2_grpc.AgentServiceAsyncStub", credential: ServiceCredential) -> None:
        self._stub = stub
        self._credential = credential
        self._known: dict[tuple[str, str], AgentFacts] = {}
        self._fetches = asyncio.Semaphore(FETCHES_AT_ONCE)

    async def watch(self) -> None:
        """Follow changes until the stream breaks. Raises AccessUnavailable then; start it again."""
        request = agent_pb2.WatchAgentsRequest()
        try:
            stream = self._stub.WatchAgents(request, metadata=await self._credential.metadata())
            async for event in stream:
                self._learn(event.agent)
        except grpc.aio.AioRpcError as error:
            raise AccessUnavailable(f"the watch of agents broke: {error.code().name}") from error
        raise AccessUnavailable("the access service ended the watch of agents")

    async def facts(self, caller: Caller) -> AgentFacts:
        """Return the scheduling facts of the calling agent, as last heard.

        Raises AccessUnavailable when they are neither known nor to be had.
        """
        if caller.kind is not Kind.AGENT:
            return AgentFacts(Hints(), program=caller.agent)
        key = (caller.tenant, caller.agent)
        known = self._known.get(key)
        if known is None:
            async with self._fetches:
                known = self._known.get(key) or await self._fetch(caller)
            self._known[key] = known
        return known

    async def _fetch(self, caller: Caller) -> AgentFacts:
        try:
            answer = await self._stub.GetAgent(
                agent_pb2.GetAgentRequest(name=f"agents/{caller.agent}"),
                timeout=FETCH_SECONDS,
                metadata=kernel_metadata(caller),
            )
        except grpc.aio.AioRpcError as error:
            raise AccessUnavailable("the access service cannot be asked", retry_after=0.5) from error
        return _facts(answer.agent)

    def _learn(self, agent: agent_pb2.Agent) -> None:
        key = (agent.tenant, agent.name.removeprefix("agents/"))
        if agent.state == agent_pb2.AGENT_STATE_KILLED:
            self._known.pop(key, None)
        else:
            self._known[key] = _facts(agent)


def _facts(agent: agent_pb2.Agent) -> AgentFacts:
    asked = hints_asked(agent.hints)
    default = Hints()
    registered = Hints(
        scheduling_class=asked.scheduling_class or default.scheduling_class,
        weight=asked.weight or default.weight,
        priority=asked.priority or default.priority,
        max_wait=asked.max_wait or default.max_wait,
    )
    return AgentFacts(registered, agent.kind, agent.name.removeprefix("agents/"))
