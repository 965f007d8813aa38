"""Who sent a request to the MCP door: the door's identities, as the MCP modules need them."""

import hashlib
from dataclasses import dataclass, field

from aiohttp import web

from gateway.http.core.sessions import Header
from gateway.http.mcp.syscalls import Metadata
from gateway.http.model import Identity
from gateway.http.service.identities import Identities
from gateway.http.service.keys import credential_of
from services.chassis.bodies import Holder
from services.chassis.rpc.local import PEER


@dataclass(slots=True)
class HttpCaller:
    """The sender of a request. Each call asks for its token, so a stream outlives the one it began with."""

    header: Header = field(repr=False)
    peer: str
    identities: Identities = field(repr=False)
    identity: Identity
    credential: str

    @property
    def agent(self) -> str:
        """Tenant and agent."""
        return f"{self.identity.tenant}/{self.identity.agent}"

    @property
    def holder(self) -> Holder:
        """Tenant and agent that its request bodies are counted for."""
        return self.identity.tenant, self.identity.root or self.identity.agent

    async def metadata(self) -> Metadata:
        """Return what a call in the caller's name carries. Raises KernelError for a bad credential."""
        self.identity = await self.identities.of(self.header, self.peer)
        return (("authorization", f"Bearer {self.identity.token}"), (PEER, self.peer))

    def forget(self) -> bool:
        """Drop a token that was refused. Return whether the credential may bring another one."""
        return self.identities.forget(self.identity)


async def identify(identities: Identities, request: web.Request) -> HttpCaller:
    """Return who sent a request. Raises KernelError, also when the key's token was revoked meanwhile."""
    header, peer = request.headers.get, request.remote or "unknown"
    identity = await identities.of(header, peer)
    shown = f"{credential_of(header)}\0{identity.tenant}/{identity.agent}"
    credential = hashlib.sha256(shown.encode(errors="replace")).hexdigest()
    return HttpCaller(header, peer, identities, identity, credential)
