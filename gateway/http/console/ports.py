"""What the console's use cases need of the world."""

from typing import Protocol

from gateway.http.console.model import Issued, Session


class Tokens(Protocol):
    """The access manager's tokens. Raises KernelError."""

    async def exchange(self, credential: str, peer: str, seconds: float) -> Issued:
        """Begin a session of its own with a key or token that came from the address `peer`.

        Its tokens live `seconds` if they may. Raises CredentialInvalid, CredentialExpired, CredentialRevoked,
        AgentInactive, TooManyCalls or an UNAVAILABLE error.
        """
        ...

    async def renew(self, token: str, peer: str, seconds: float) -> Issued:
        """Give another token of the same session. Raises as `exchange`."""
        ...

    async def revoke(self, token: str, peer: str) -> None:
        """End the session of a token. The credential that it was begun with goes on to count."""
        ...


class Journal(Protocol):
    """Where it is noted who came and went."""

    async def note(self, session: Session, done: str, peer: str) -> None:
        """Write into the audit log that a session began or ended. Raises KernelError."""
        ...
