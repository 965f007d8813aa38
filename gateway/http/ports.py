"""What the doors' use cases need of the world."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.http.model import Exchanged


class KeyExchange(Protocol):
    """Where keys are exchanged for tokens."""

    async def exchange(self, key: str, peer: str) -> Exchanged:
        """Exchange an agent's key that came from the address `peer`.

        Raises CredentialInvalid, AgentInactive, TooManyCalls or an UNAVAILABLE error.
        """
        ...


@dataclass(frozen=True, slots=True)
class Child:
    """An agent of the kernel, as far as the doors look at it."""

    id: str
    killed: bool
    labels: Mapping[str, str]


class Children(Protocol):
    """The agents below a key's agent. `token` says on whose behalf. Raises KernelError."""

    async def register(
        self, token: str, agent_id: str, *, kind: str, name: str, labels: Mapping[str, str]
    ) -> Exchanged:
        """Register a child of the token's agent, or get a new token of one registered so before.

        Raises AGENT_EXISTS, AGENT_INACTIVE, AGENT_TREE_LIMIT or PERMISSION_DENIED errors.
        """
        ...

    async def get(self, token: str, agent_id: str) -> Child:
        """Read an agent. Raises AGENT_NOT_FOUND."""
        ...

    async def below(self, token: str, agent_id: str = "") -> list[Child]:
        """List the tree below an agent, by default the token's own."""
        ...

    async def label(self, token: str, agent_id: str, labels: Mapping[str, str]) -> None:
        """Set all labels of an agent."""
        ...

    async def end(self, token: str, agent_id: str) -> None:
        """Kill an agent for good."""
        ...

    async def renew(self, token: str) -> Exchanged:
        """Exchange a token that still counts for a fresh one."""
        ...
