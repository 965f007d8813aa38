"""The Children port on AgentService, through this process's own calls."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from gateway.http.kernel import Kernel
from gateway.http.model import Exchanged
from gateway.http.ports import Child

_PAGE: Final = 1000
_PAGES: Final = 8


class KernelChildren:
    """Registers, reads and ends agents on behalf of the agents above them."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def register(
        self, token: str, agent_id: str, *, kind: str, name: str, labels: Mapping[str, str]
    ) -> Exchanged:
        """Register a child, or join one.

        Only a repeat that is the same in all gives a token of an agent that is there already, whichever
        gateway asks and whenever. So what may differ is set afterwards, by whoever finds it missing.
        """
        request = agent_pb2.RegisterAgentRequest(agent_id=agent_id, request_id=f"door-{agent_id}")
        made = await self._kernel.agents.RegisterAgent(request, metadata=_bearer(token))
        if not made.agent.labels:
            await self._describe(token, agent_id, kind=kind, name=name, labels=labels)
        return Exchanged(
            agent_id, made.agent.tenant, made.credential.token, _seconds(made.credential.expire_time)
        )

    async def _describe(
        self, token: str, agent_id: str, *, kind: str, name: str, labels: Mapping[str, str]
    ) -> None:
        """Say what a new child is; it starts with its parent's hints, its weight among siblings being 1."""
        own = await self._kernel.agents.GetAgent(
            agent_pb2.GetAgentRequest(name="agents/me"), metadata=_bearer(token)
        )
        hints = own.agent.hints
        hints.ClearField("weight")
        agent = agent_pb2.Agent(
            name=f"agents/{agent_id}", display_name=name, kind=kind, labels=labels, hints=hints
        )
        mask = FieldMask(paths=["display_name", "kind", "labels", "hints"])
        await self._kernel.agents.UpdateAgent(
            agent_pb2.UpdateAgentRequest(agent=agent, update_mask=mask), metadata=_bearer(token)
        )

    async def get(self, token: str, agent_id: str) -> Child:
        """Read an agent."""
        request = agent_pb2.GetAgentRequest(name=f"agents/{agent_id}")
        answer = await self._kernel.agents.GetAgent(request, metadata=_bearer(token))
        return _child(answer.agent)

    async def below(self, token: str, agent_id: str = "") -> list[Child]:
        """List the tree, as far as it is bounded."""
        found: list[Child] = []
        parent = f"agents/{agent_id or 'me'}"
        page = ""
        for _ in range(_PAGES):
            request = agent_pb2.ListAgentsRequest(parent=parent, page_size=_PAGE, page_token=page)
            answer = await self._kernel.agents.ListAgents(request, metadata=_bearer(token))
            found += map(_child, answer.agents)
            page = answer.next_page_token
            if not page:
                break
        return found

    async def label(self, token: str, agent_id: str, labels: Mapping[str, str]) -> None:
        """Set all labels."""
        request = agent_pb2.UpdateAgentRequest(
            agent=agent_pb2.Agent(name=f"agents/{agent_id}", labels=labels),
            update_mask=FieldMask(paths=["labels"]),
        )
        await self._kernel.agents.UpdateAgent(request, metadata=_bearer(token))

    async def end(self, token: str, agent_id: str) -> None:
        """Kill."""
        request = agent_pb2.KillAgentRequest(name=f"agents/{agent_id}", reason="its session was idle")
        await self._kernel.agents.KillAgent(request, metadata=_bearer(token))

    async def renew(self, token: str) -> Exchanged:
        """Exchange a token for a fresh one."""
        request = access_pb2.IssueTokenRequest(renew=access_pb2.RenewCredential(token=token))
        given = await self._kernel.access.IssueToken(request)
        agent = given.principal.agent.removeprefix("agents/")
        return Exchanged(agent, given.principal.tenant, given.token, _seconds(given.expire_time))


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _seconds(expires: Timestamp) -> float:
    return (expires.ToDatetime(UTC) - datetime.now(UTC)).total_seconds()


def _child(agent: agent_pb2.Agent) -> Child:
    killed = agent.state == agent_pb2.AGENT_STATE_KILLED
    return Child(agent.name.removeprefix("agents/"), killed, dict(agent.labels))
