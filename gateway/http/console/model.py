"""The values of the console."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that access gave."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor who is signed in."""

    agent: str
    tenant: str
    kind: str
    """agent, person or admin."""
    id: str
    """The same for all tokens of the session, of one tenant and agent."""
    token: str = field(repr=False)
    issued_at: float
    """When the token was issued. Unix time in seconds, as all times here."""
    expires_at: float
    """When the token expires."""
    began_at: float
    ends_at: float
    """When the session ends, however much it is used."""
