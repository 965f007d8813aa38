"""Agents and tokens of a fake kernel."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.access.v1 import access_pb2
from aios.api.access.v1 import resources_pb2 as access_resources_pb2
from aios.api.agent.v1 import agent_pb2 as pb
from aios.errors import (
    AgentInactive,
    AlreadyExists,
    CredentialExpired,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    QuotaExceeded,
    Unauthenticated,
)
from aios.testing.caller import ADMIN, Caller

MOST_KEYS = 8
"""Keys that an agent may have beside each other."""


class FakeAgents:
    """Registers agents in memory and gives out tokens that live `token_life` seconds."""

    def __init__(self, token_life: float) -> None:
        self.token_life = token_life
        self.admin_token = "fake-admin"  # noqa: S105  # a fake has no secrets
        self.granted: dict[str, set[str]] = {}
        self._agents: dict[str, pb.Agent] = {}
        self._tokens: dict[str, tuple[str, datetime]] = {}
        self._keys: dict[str, str] = {}
        self._answers: dict[str, pb.RegisterAgentResponse] = {}
        self._gone: set[str] = set()
        """Names of purged agents, which are not given again."""
        self._numbers = itertools.count(1)

    def caller(self, token: str) -> Caller:
        """Return who a token names. Raises Unauthenticated, CredentialExpired."""
        self._end_due()
        if token == self.admin_token:
            return Caller(ADMIN)
        if token not in self._tokens:
            raise Unauthenticated("no such token", reason="CREDENTIAL_INVALID")
        agent, expires = self._tokens[token]
        if expires <= datetime.now(UTC):
            raise CredentialExpired("the token has expired")
        return Caller(agent, frozenset(self.granted.get(agent, ())))

    def expire_tokens(self) -> None:
        """Let every token that was given out expire at once; their keys stay valid."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        self._tokens = {token: (agent, past) for token, (agent, _) in self._tokens.items()}

    async def register_agent(
        self, request: pb.RegisterAgentRequest, caller: Caller
    ) -> pb.RegisterAgentResponse:
        if request.request_id in self._answers:
            return self._answers[request.request_id]
        agent_id = request.agent_id or f"agent-{next(self._numbers)}"
        name = f"agents/{agent_id}"
        parent = caller.resolve(request.parent) if request.parent else ""
        if caller.agent != ADMIN and not parent:
            parent = f"agents/{caller.agent}"
        there = self._agents.get(name)
        if there is not None and request.exist_ok and request.agent_id and there.parent == parent:
            return self._handed_over(there)
        if there is not None or name in self._gone:
            raise AlreadyExists(f"{name} exists already", reason="AGENT_EXISTS", metadata={"agent": name})
        agent = pb.Agent(
            name=name,
            parent=parent,
            display_name=request.display_name or agent_id,
            kind=request.kind,
            hints=request.hints,
            caps=request.caps,
            labels=request.labels,
            state=pb.AGENT_STATE_ACTIVE,
            etag="1",
            tenant=request.tenant or "default",
        )
        agent.create_time.GetCurrentTime()
        self._limit_life(agent, request)
        self._agents[name] = agent
        key = f"fake-key-{agent_id}"
        self._keys[key] = agent_id
        answer = pb.RegisterAgentResponse(agent=agent, credential=self._credential(agent_id), agent_key=key)
        if request.request_id:
            self._answers[request.request_id] = answer
        return answer

    async def issue_agent_key(
        self, request: pb.IssueAgentKeyRequest, caller: Caller
    ) -> pb.IssueAgentKeyResponse:
        """IssueAgentKey: for administrators and the agents above it."""
        agent = self._find(request.name.replace("agents/me", f"agents/{caller.agent}"))
        below = agent.name != f"agents/{caller.agent}" and self._below(agent, f"agents/{caller.agent}")
        if caller.agent != ADMIN and not below:
            raise PermissionDenied(
                f"agents/{caller.agent} may not agent.issue_key {agent.name}",
                metadata={"action": "agent.issue_key", "resource": agent.name},
            )
        _must_live(agent)
        agent_id = agent.name.removeprefix("agents/")
        if request.old_keys != pb.OLD_KEYS_KEEP:
            self._keys = {key: owner for key, owner in self._keys.items() if owner != agent_id}
        if request.old_keys == pb.OLD_KEYS_END_WITH_TOKENS:
            self._tokens = {token: held for token, held in self._tokens.items() if held[0] != agent_id}
        if list(self._keys.values()).count(agent_id) >= MOST_KEYS:
            raise QuotaExceeded(
                f"{agent.name} has {MOST_KEYS} keys, the most at once: let the old ones end",
                metadata={"agent": agent.name, "limit": str(MOST_KEYS)},
            )
        key = f"fake-key-{agent_id}-{next(self._numbers)}"
        self._keys[key] = agent_id
        return pb.IssueAgentKeyResponse(agent=agent, credential=self._credential(agent_id), agent_key=key)

    async def issue_token(
        self, request: access_pb2.IssueTokenRequest, caller: Caller | None
    ) -> access_pb2.IssueTokenResponse:
        """IssueToken, for agent keys."""
        del caller
        if request.HasField("renew"):
            agent_id: str | None = self.caller(request.renew.token).agent
        else:
            agent_id = self._keys.get(request.agent_key.key or request.person_key.key)
        if agent_id is None:
            raise Unauthenticated("no such key", reason="CREDENTIAL_INVALID")
        asked = request.lifetime.ToSeconds() if request.HasField("lifetime") else None
        token, expires = self._issue(agent_id, asked)
        principal = access_resources_pb2.Principal(
            agent=f"agents/{agent_id}", tenant="default", kind=access_resources_pb2.PRINCIPAL_KIND_AGENT
        )
        return access_pb2.IssueTokenResponse(token=token, expire_time=expires, principal=principal)

    async def get_jwks(
        self, request: access_pb2.GetJwksRequest, caller: Caller | None
    ) -> access_pb2.GetJwksResponse:
        """GetJwks: the fake signs nothing."""
        del request, caller
        return access_pb2.GetJwksResponse()

    async def get_agent(self, request: pb.GetAgentRequest, caller: Caller) -> pb.GetAgentResponse:
        return pb.GetAgentResponse(agent=self._find(caller.resolve(request.name)))

    async def list_agents(self, request: pb.ListAgentsRequest, caller: Caller) -> pb.ListAgentsResponse:
        """ListAgents, in pages."""
        root = caller.resolve(request.parent) if request.parent else ""
        if not root and caller.agent != ADMIN:
            root = f"agents/{caller.agent}"
        found = [agent for _, agent in sorted(self._agents.items()) if not root or self._below(agent, root)]
        if request.page_token and not request.page_token.isdecimal():
            raise InvalidRequest("the page token is not one this list returned", reason="INVALID_PAGE_TOKEN")
        start = int(request.page_token or 0)
        end = start + (request.page_size or 50)
        return pb.ListAgentsResponse(
            agents=found[start:end], next_page_token=str(end) if end < len(found) else ""
        )

    async def update_agent(self, request: pb.UpdateAgentRequest, caller: Caller) -> pb.UpdateAgentResponse:
        agent = self._find(caller.resolve(request.agent.name, write=True))
        request.update_mask.MergeMessage(
            request.agent, agent, replace_message_field=True, replace_repeated_field=True
        )
        agent.etag = str(int(agent.etag) + 1)
        return pb.UpdateAgentResponse(agent=agent)

    async def suspend_agent(self, request: pb.SuspendAgentRequest, caller: Caller) -> pb.SuspendAgentResponse:
        return pb.SuspendAgentResponse(agent=self._set_state(request.name, caller, pb.AGENT_STATE_SUSPENDED))

    async def resume_agent(self, request: pb.ResumeAgentRequest, caller: Caller) -> pb.ResumeAgentResponse:
        return pb.ResumeAgentResponse(agent=self._set_state(request.name, caller, pb.AGENT_STATE_ACTIVE))

    async def kill_agent(self, request: pb.KillAgentRequest, caller: Caller) -> pb.KillAgentResponse:
        """KillAgent: the agent and all below it."""
        agent = self._set_state(request.name, caller, pb.AGENT_STATE_KILLED)
        below = [one for one in self._agents.values() if self._below(one, agent.name)]
        for one in below:
            one.state = pb.AGENT_STATE_KILLED
        ended = {one.name.removeprefix("agents/") for one in below}
        self._tokens = {token: owner for token, owner in self._tokens.items() if owner[0] not in ended}
        return pb.KillAgentResponse(agent=agent, killed_count=len(below))

    async def purge_agent(self, request: pb.PurgeAgentRequest, caller: Caller) -> pb.PurgeAgentResponse:
        """PurgeAgent: the agent and all below it are forgotten at once."""
        if caller.agent != ADMIN:
            raise PermissionDenied("purging agents is for administrators")
        found = self._agents.get(request.name)
        if found is None:
            raise NotFound(
                f"no agent {request.name}", reason="AGENT_NOT_FOUND", metadata={"agent": request.name}
            )
        if request.kill:
            await self.kill_agent(pb.KillAgentRequest(name=request.name), caller)
        if found.state != pb.AGENT_STATE_KILLED:
            raise PreconditionFailed(
                f"{request.name} was not killed", reason="AGENT_ALIVE", metadata={"agent": request.name}
            )
        for name in [one.name for one in self._agents.values() if self._below(one, request.name)]:
            del self._agents[name]
            self._gone.add(name)
        shown = pb.Agent()
        shown.CopyFrom(found)
        shown.purging = True
        return pb.PurgeAgentResponse(agent=shown)

    async def watch_agents(
        self, request: pb.WatchAgentsRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchAgentsResponse]:
        """WatchAgents: the state at the start, then silence."""
        listed = await self.list_agents(pb.ListAgentsRequest(parent=request.parent, page_size=1000), caller)
        for revision, agent in enumerate(listed.agents, 1):
            yield pb.WatchAgentsResponse(agent=agent, initial=True, revision=revision)
        await asyncio.Event().wait()

    def _limit_life(self, agent: pb.Agent, request: pb.RegisterAgentRequest) -> None:
        """Say when the agent ends: after its time, and never later than its parent."""
        ends = []
        if request.HasField("ttl"):
            ends.append(agent.create_time.ToDatetime(UTC) + request.ttl.ToTimedelta())
        above = self._agents.get(agent.parent)
        if above is not None and above.HasField("expire_time"):
            ends.append(above.expire_time.ToDatetime(UTC))
        if ends:
            agent.expire_time.FromDatetime(min(ends))

    def _end_due(self) -> None:
        """Kill the agents whose time is over."""
        now = datetime.now(UTC)
        for agent in self._agents.values():
            if agent.HasField("expire_time") and agent.expire_time.ToDatetime(UTC) <= now:
                agent.state = pb.AGENT_STATE_KILLED
        ended = {one.name for one in self._agents.values() if one.state == pb.AGENT_STATE_KILLED}
        self._tokens = {
            token: owner for token, owner in self._tokens.items() if f"agents/{owner[0]}" not in ended
        }

    def _handed_over(self, agent: pb.Agent) -> pb.RegisterAgentResponse:
        _must_live(agent)
        if agent.state != pb.AGENT_STATE_ACTIVE:
            raise _inactive(agent, "suspended", "is suspended")
        held = self._credential(agent.name.removeprefix("agents/"))
        return pb.RegisterAgentResponse(agent=agent, credential=held, existed=True)

    def _credential(self, agent_id: str) -> pb.Credential:
        token, expires = self._issue(agent_id)
        return pb.Credential(token=token, expire_time=expires)

    def _issue(self, agent_id: str, life: float | None = None) -> tuple[str, Timestamp]:
        token = f"fake-{agent_id}-{next(self._numbers)}"
        expires = datetime.now(UTC) + timedelta(seconds=life or self.token_life)
        self._tokens[token] = (agent_id, expires)
        stamp = Timestamp()
        stamp.FromDatetime(expires)
        return token, stamp

    def _find(self, name: str) -> pb.Agent:
        if name not in self._agents:
            raise NotFound(f"no {name}", reason="AGENT_NOT_FOUND", metadata={"agent": name})
        return self._agents[name]

    def _below(self, agent: pb.Agent, root: str) -> bool:
        return agent.name == root or (agent.parent != "" and self._below(self._agents[agent.parent], root))

    def _root(self, name: str) -> str:
        """Return the root of an agent's tree; an agent that is not registered is its own."""
        agent = self._agents.get(name)
        return self._root(agent.parent) if agent and agent.parent else name

    def _set_state(self, name: str, caller: Caller, state: pb.AgentState) -> pb.Agent:
        agent = self._find(caller.resolve(name, write=True))
        if agent.state == pb.AGENT_STATE_KILLED and state == pb.AGENT_STATE_ACTIVE:
            raise PermissionDenied(f"{agent.name} was killed", reason="AGENT_INACTIVE")
        agent.state = state
        return agent


def _must_live(agent: pb.Agent) -> None:
    if agent.state == pb.AGENT_STATE_KILLED:
        raise _inactive(agent, "killed", "was killed: its id is not given again")


def _inactive(agent: pb.Agent, state: str, how: str) -> AgentInactive:
    return AgentInactive(f"{agent.name} {how}", metadata={"agent": agent.name, "state": state})
