"""What the doors' use cases need of the world."""

from typing import Protocol

from gateway.http.model import Exchanged


class KeyExchange(Protocol):
    """Where keys are exchanged for tokens."""

    async def exchange(self, key: str, peer: str) -> Exchanged:
        """Exchange an agent's key that came from the address `peer`.

        Raises CredentialInvalid, AgentInactive, TooManyCalls or an UNAVAILABLE error.
        """
        ...
