"""Exchanges keys at the access manager, through this process's own calls."""

from datetime import UTC, datetime

from aios.api.access.v1 import access_pb2
from gateway.http.kernel import Kernel
from gateway.http.model import Exchanged
from services.chassis.rpc.local import PEER


class AccessKeyExchange:
    """The KeyExchange port on AccessService.IssueToken. Raises what that ends with."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def exchange(self, key: str, peer: str) -> Exchanged:
        """Exchange an agent's key."""
        request = access_pb2.IssueTokenRequest(agent_key=access_pb2.AgentKeyCredential(key=key))
        given = await self._kernel.access.IssueToken(request, metadata=((PEER, peer),))
        expires = given.expire_time.ToDatetime(UTC)
        return Exchanged(
            agent=given.principal.agent.removeprefix("agents/"),
            tenant=given.principal.tenant,
            token=given.token,
            seconds=(expires - datetime.now(UTC)).total_seconds(),
        )
