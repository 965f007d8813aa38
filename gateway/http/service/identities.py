"""Whom a request's headers name."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.http.model import Identity
from gateway.http.service.keys import Keys, credential_of

Header = Callable[[str], str | None]
"""Reads one header of a request by its name in lower case."""


@dataclass(slots=True)
class Identities:
    """Turns the headers of requests into identities."""

    keys: Keys

    async def of(self, header: Header, peer: str) -> Identity:
        """Return whom the headers name. Raises what Keys.identity raises."""
        return await self.keys.identity(credential_of(header), peer)

    def forget(self, identity: Identity) -> bool:
        """Drop an identity whose token was refused. Return whether asking again may give another one."""
        return self.keys.forget(identity)

    async def close(self) -> None:
        """End what is under way."""
        await self.keys.close()
