"""A running access manager, as the tests of its RPCs see it."""

from dataclasses import dataclass
from datetime import timedelta

import grpc

from aios.api.access.v1 import access_pb2_grpc
from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from services.chassis.auth.identity import Kind, Principal
from tests.fakes.access_manager import TENANT, Desk

Metadata = tuple[tuple[str, str], ...]
SHA = "ab" * 32


def bearer(token: str) -> Metadata:
    """Return the metadata of a caller."""
    return (("authorization", f"Bearer {token}"),)


@dataclass
class Kernel:
    """A running access manager with its stubs and callers."""

    desk: Desk
    channel: grpc.aio.Channel
    access: "access_pb2_grpc.AccessServiceAsyncStub"
    agents: "agent_pb2_grpc.AgentServiceAsyncStub"
    admin: Metadata
    service: Metadata

    def token(self, agent: str, kind: Kind, tenant: str = TENANT) -> Metadata:
        """Sign a token for anybody."""
        holder = Principal(agent=agent, tenant=tenant, kind=kind)
        issued = self.desk.keys.issue(
            holder, now=self.desk.clock.now(), after=None, lifetime=timedelta(minutes=10)
        )
        return bearer(issued.text)

    async def register(self, agent: str, metadata: Metadata | None = None) -> tuple[Metadata, str]:
        """Register an agent; return how it calls and its key."""
        made = await self.agents.RegisterAgent(
            agent_pb2.RegisterAgentRequest(agent_id=agent), metadata=metadata or self.admin
        )
        return bearer(made.credential.token), made.agent_key
