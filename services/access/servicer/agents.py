"""AgentService over gRPC. The pipeline has authenticated, authorised and validated every request."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from services.access.model.agents import Agent
from services.access.service.agents import AgentService
from services.access.service.purging import PurgeService
from services.access.wire import access
from services.access.wire import agents as wire
from services.chassis.auth.identity import current_caller
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import PermissionDenied


class AgentServicer(agent_pb2_grpc.AgentServiceServicer):
    """Implements aios.api.agent.v1.AgentService. The proto says what each method promises."""

    def __init__(self, agents: AgentService, purges: PurgeService) -> None:
        self._agents = agents
        self._purges = purges

    async def RegisterAgent(
        self, request: agent_pb2.RegisterAgentRequest, _context: object
    ) -> agent_pb2.RegisterAgentResponse:
        asked = access.asked("RegisterAgent", request)
        made = await self._agents.register(current_caller(), wire.new_agent(request), asked)
        return wire.registered(made, self._shown(made.agent))

    async def GetAgent(
        self, _request: agent_pb2.GetAgentRequest, _context: object
    ) -> agent_pb2.GetAgentResponse:
        caller = current_caller()
        shown = self._shown(await self._agents.get(caller, caller.owner))
        shown.purging = await self._purges.is_purging(caller.tenant, caller.owner)
        return agent_pb2.GetAgentResponse(agent=shown)

    async def ListAgents(
        self, request: agent_pb2.ListAgentsRequest, _context: object
    ) -> agent_pb2.ListAgentsResponse:
        page, token = await self._agents.page(
            current_caller(), request.parent, request.page_size, request.page_token
        )
        agents = [self._shown(agent) for agent in page]
        return agent_pb2.ListAgentsResponse(agents=agents, next_page_token=token)

    async def UpdateAgent(
        self, request: agent_pb2.UpdateAgentRequest, _context: object
    ) -> agent_pb2.UpdateAgentResponse:
        caller = current_caller()
        changes = wire.changes(request)
        agent = await self._agents.update(caller, caller.owner, changes, request.agent.etag)
        return agent_pb2.UpdateAgentResponse(agent=self._shown(agent))

    async def SuspendAgent(
        self, request: agent_pb2.SuspendAgentRequest, _context: object
    ) -> agent_pb2.SuspendAgentResponse:
        caller = current_caller()
        agent = await self._agents.suspend(caller, caller.owner, request.reason)
        return agent_pb2.SuspendAgentResponse(agent=self._shown(agent))

    async def ResumeAgent(
        self, _request: agent_pb2.ResumeAgentRequest, _context: object
    ) -> agent_pb2.ResumeAgentResponse:
        caller = current_caller()
        agent = await self._agents.resume(caller, caller.owner)
        return agent_pb2.ResumeAgentResponse(agent=self._shown(agent))

    async def KillAgent(
        self, request: agent_pb2.KillAgentRequest, _context: object
    ) -> agent_pb2.KillAgentResponse:
        caller = current_caller()
        agent, count = await self._agents.kill(caller, caller.owner, request.reason)
        return agent_pb2.KillAgentResponse(agent=self._shown(agent), killed_count=count)

    async def IssueAgentKey(
        self, request: agent_pb2.IssueAgentKeyRequest, _context: object
    ) -> agent_pb2.IssueAgentKeyResponse:
        caller, asked = current_caller(), access.asked("IssueAgentKey", request)
        old = wire.old_keys(request.old_keys)
        made = await self._agents.keys.issue(caller, caller.owner, old, request.reason, asked)
        return wire.rekeyed(made, self._shown(made.agent))

    async def ClearUntrusted(
        self, request: agent_pb2.ClearUntrustedRequest, _context: object
    ) -> agent_pb2.ClearUntrustedResponse:
        caller = current_caller()
        agent, count = await self._agents.marks.clear(
            caller, caller.owner, descendants=request.descendants, reason=request.reason
        )
        return agent_pb2.ClearUntrustedResponse(agent=self._shown(agent), cleared_count=count)

    async def PurgeAgent(
        self, request: agent_pb2.PurgeAgentRequest, _context: object
    ) -> agent_pb2.PurgeAgentResponse:
        caller, asked = current_caller(), access.asked("PurgeAgent", request)
        agent = await self._purges.purge(caller, caller.owner, request.reason, asked, kill=request.kill)
        shown = self._shown(agent) if agent else agent_pb2.Agent(name=names.agent_name(caller.owner))
        shown.purging = agent is not None
        return agent_pb2.PurgeAgentResponse(agent=shown)

    async def GetPurges(
        self, request: agent_pb2.GetPurgesRequest, _context: object
    ) -> agent_pb2.GetPurgesResponse:
        _must_be(request.manager)
        found = await self._purges.waiting_for(request.manager, paging.page_size(request.page_size))
        return agent_pb2.GetPurgesResponse(purges=[wire.purge(one) for one in found])

    async def ConfirmPurge(
        self, request: agent_pb2.ConfirmPurgeRequest, _context: object
    ) -> agent_pb2.ConfirmPurgeResponse:
        _must_be(request.manager)
        done = request.purge
        agent = done.agent.removeprefix("agents/")
        await self._purges.confirm(request.manager, done.tenant, agent, done.number, dict(request.counts))
        return agent_pb2.ConfirmPurgeResponse()

    async def WatchAgents(
        self, request: agent_pb2.WatchAgentsRequest, _context: object
    ) -> AsyncIterator[agent_pb2.WatchAgentsResponse]:
        async with aclosing(self._agents.watch(current_caller(), request.parent)) as changes:
            async for change in changes:
                yield wire.change(change, self._shown(change.agent))

    def _shown(self, agent: Agent) -> agent_pb2.Agent:
        return wire.agent(agent, self._agents.tenant_weight(agent.tenant), current_caller())


def _must_be(manager: str) -> None:
    """Raise PermissionDenied unless the calling process is that manager: none speaks for another."""
    if current_caller().agent != manager:
        raise PermissionDenied(f"the caller is not the {manager} manager", metadata={"manager": manager})
