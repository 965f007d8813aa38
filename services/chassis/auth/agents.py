"""What the access service knows about agents: followed as it changes, asked for where it is not known yet."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

import grpc

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from services.chassis.auth.identity import Caller, Kind
from services.chassis.auth.processes import ACCESS
from services.chassis.dispatch.scheduling import ANYTHING, DEFAULT_HINTS, AgentFacts
from services.chassis.gate import FairGate, GateConfig, Visitor
from services.chassis.rpc.client import ServiceCredential
from services.chassis.rpc.errors import AccessUnavailable, AgentInactive
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.wire import caps, hints_asked
from services.chassis.streams import LongStream, events_of, follow_forever

FETCH_SECONDS = 5.0
FETCHES = GateConfig(running=16, running_per_tenant=12, running_per_tree=4, running_per_agent=1)
"""A burst of agents that nobody has heard of waits here, by turns, instead of flooding the access service."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An agent's tree and its weights against its like: within its tree, its tenant, and the whole."""

    root: str
    weight: float = 1.0
    tree_weight: float = 1.0
    tenant_weight: float = 1.0


class AccessAgentDirectory:
    """Follows all agents of all tenants. Run `watch` as a supervised background task."""

    def __init__(
        self,
        stub: "agent_pb2_grpc.AgentServiceAsyncStub",
        credential: ServiceCredential,
        exchange: TokenExchange,
    ) -> None:
        self._stub = stub
        self._credential = credential
        self._exchange = exchange
        self._known: dict[tuple[str, str], AgentFacts] = {}
        self._asking: Counter[tuple[str, str]] = Counter()
        self._ended_meanwhile: set[tuple[str, str]] = set()
        self._fetches = FairGate(FETCHES)

    async def watch(
        self,
        on_killed: Callable[[str, str], None] | None = None,
        *,
        on_suspended: Callable[[str, str], None] | None = None,
    ) -> None:
        """Follow changes for ever, connecting again when the stream breaks. Raises a refusal.

        `on_killed` is told the tenant and id of every agent that has ended, also of those that ended before;
        `on_suspended` of every one that is suspended. After a break all agents are described again.
        """
        told = {agent_pb2.AGENT_STATE_KILLED: on_killed, agent_pb2.AGENT_STATE_SUSPENDED: on_suspended}

        def take(event: agent_pb2.WatchAgentsResponse) -> None:
            self._learn(event.agent)
            tell = told.get(event.agent.state)
            if tell is not None:
                tell(event.agent.tenant, event.agent.name.removeprefix("agents/"))

        await follow_forever(LongStream("agents"), self._events, take)

    async def _events(self) -> AsyncGenerator[agent_pb2.WatchAgentsResponse, None]:
        metadata = await self._credential.metadata()
        call = self._stub.WatchAgents(agent_pb2.WatchAgentsRequest(), metadata=metadata)
        async with aclosing(events_of(call)) as events:
            async for event in events:
                yield event

    async def facts(self, caller: Caller) -> AgentFacts:
        """Return the scheduling facts of the calling agent, as last heard.

        Raises AccessUnavailable when they are neither known nor to be had, AgentInactive when it was killed,
        and what a gate raises while too many agents are asked for.
        """
        if caller.kind is not Kind.AGENT:
            return AgentFacts(DEFAULT_HINTS, program=caller.agent)
        key = (caller.tenant, caller.agent)
        known = self._known.get(key)
        if known is None:
            async with self._fetches.admit(Visitor.of(caller)):
                known = self._known.get(key) or await self._ask(caller, key)
            self._known[key] = known
        root = self._known.get((caller.tenant, known.program)) if known.path else None
        return known if root is None else replace(known, tree_weight=root.hints.weight)

    def root(self, tenant: str, agent: str) -> str:
        """Return the root of an agent's tree, as far as known without asking; else the agent itself."""
        known = self._known.get((tenant, agent))
        return agent if known is None else known.program

    def above(self, tenant: str, agent: str) -> tuple[str, ...]:
        """Return the agents above one, root first, as far as known without asking."""
        known = self._known.get((tenant, agent))
        return () if known is None else known.path

    def standing(self, caller: Caller) -> Standing:
        """Return where the calling agent stands, as far as known without asking; weights are 1 otherwise.

        An agent that is not known yet is its own root.
        """
        known = self._known.get((caller.tenant, caller.agent))
        if known is None:
            return Standing(caller.agent)
        root = self._known.get((caller.tenant, known.program), known)
        return Standing(
            known.program,
            float(known.hints.weight),
            float(root.hints.weight),
            float(known.tenant_weight),
        )

    async def _ask(self, caller: Caller, key: tuple[str, str]) -> AgentFacts:
        """Ask for an agent. It may be killed while the answer is on its way."""
        self._asking[key] += 1
        try:
            agent = await self._fetch(caller)
            if agent.state == agent_pb2.AGENT_STATE_KILLED or key in self._ended_meanwhile:
                raise AgentInactive(f"{agent.name} was killed", metadata={"agent": agent.name})
            return _facts(agent)
        finally:
            self._asking[key] -= 1
            if not self._asking[key]:
                del self._asking[key]
                self._ended_meanwhile.discard(key)

    async def _fetch(self, caller: Caller) -> agent_pb2.Agent:
        metadata = await self._exchange.metadata(caller, ACCESS)
        try:
            answer = await self._stub.GetAgent(
                agent_pb2.GetAgentRequest(name=f"agents/{caller.agent}"),
                timeout=FETCH_SECONDS,
                metadata=metadata,
            )
        except grpc.aio.AioRpcError as error:
            raise AccessUnavailable("the access service cannot be asked", retry_after=0.5) from error
        return answer.agent

    def _learn(self, agent: agent_pb2.Agent) -> None:
        key = (agent.tenant, agent.name.removeprefix("agents/"))
        if agent.state != agent_pb2.AGENT_STATE_KILLED:
            self._known[key] = _facts(agent)
            return
        self._known.pop(key, None)
        if key in self._asking:
            self._ended_meanwhile.add(key)


def _facts(agent: agent_pb2.Agent) -> AgentFacts:
    name = agent.name.removeprefix("agents/")
    path = tuple(agent.ancestors)
    return AgentFacts(
        hints=DEFAULT_HINTS.overlaid(hints_asked(agent.hints), ANYTHING),
        kind=agent.kind,
        program=path[0] if path else name,
        caps=caps(agent.caps),
        path=path,
        tenant_weight=agent.tenant_weight or 1,
    )
