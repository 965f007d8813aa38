"""The Tokens port on the access manager, through this process's own calls."""

from typing import Final

from google.protobuf.duration_pb2 import Duration

from aios.api.access.v1 import access_pb2
from gateway.http.console.model import Issued
from gateway.http.kernel import Kernel
from services.chassis.rpc.local import PEER

_DOTS_OF_A_TOKEN: Final = 2
_PERSON: Final = "aiosp_"
_SECONDS: Final = 5.0


class AccessTokens:
    """Exchanges keys and tokens by AccessService.IssueToken. Raises what that ends with."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def exchange(self, credential: str, peer: str, seconds: float) -> Issued:
        """Begin a session with a key or token."""
        request = access_pb2.IssueTokenRequest(lifetime=Duration(seconds=int(seconds)))
        if credential.count(".") == _DOTS_OF_A_TOKEN:
            # Else signing out would end the token that was shown, and all that others made of it.
            request.renew.token, request.renew.own_session = credential, True
        elif credential.startswith(_PERSON):
            request.person_key.key = credential
        else:
            request.agent_key.key = credential
        return await self._issue(request, peer)

    async def renew(self, token: str, peer: str, seconds: float) -> Issued:
        """Give another token of the same session."""
        request = access_pb2.IssueTokenRequest(lifetime=Duration(seconds=int(seconds)))
        request.renew.token = token
        return await self._issue(request, peer)

    async def revoke(self, token: str, peer: str) -> None:
        """End the session of a token."""
        metadata = (("authorization", f"Bearer {token}"), (PEER, peer))
        request = access_pb2.RevokeTokenRequest()
        await self._kernel.access.RevokeToken(request, metadata=metadata, timeout=_SECONDS)

    async def _issue(self, request: access_pb2.IssueTokenRequest, peer: str) -> Issued:
        given = await self._kernel.access.IssueToken(request, metadata=((PEER, peer),), timeout=_SECONDS)
        return Issued(given.token)
