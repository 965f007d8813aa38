"""On whose behalf a response is made and kept, while its request is there and after that."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.http.model import Identity
from gateway.http.responses.model import Keeper, Metadata
from gateway.http.service.identities import Identities
from gateway.http.visit import Visit
from services.chassis.rpc.local import PEER


def keeper(visit: Visit) -> Keeper:
    """Return where what a request stores is kept: with the agent of its key, whose sessions come and go."""
    caller = visit.caller
    return Keeper(caller.tenant, caller.root or caller.agent, visit.keeper_metadata)


@dataclass(frozen=True, slots=True)
class Owner:
    """A caller whose request may have ended. Its tokens are had anew, by the headers of that request."""

    identities: Identities
    headers: Mapping[str, str]
    peer: str
    tenant: str
    agent: str
    """The agent of its key."""

    @classmethod
    def of(cls, visit: Visit, identities: Identities) -> "Owner":
        """Take over a request's caller."""
        caller = visit.caller
        headers = visit.request.headers.copy()
        return cls(identities, headers, visit.peer, caller.tenant, caller.root or caller.agent)

    async def identity(self) -> Identity:
        """Return whom the headers name now. Raises what Identities.of raises."""
        return await self.identities.of(self.headers.get, self.peer)

    def metadata(self, identity: Identity) -> Metadata:
        """Return the metadata of a call by the caller."""
        return (("authorization", f"Bearer {identity.token}"), (PEER, self.peer))

    async def keeper(self) -> Keeper:
        """Return where its responses are kept."""
        identity = await self.identity()
        token = identity.root_token or identity.token
        return Keeper(self.tenant, self.agent, (("authorization", f"Bearer {token}"), (PEER, self.peer)))
