"""The values of the doors."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a request's credential names, and the token that its calls carry."""

    agent: str
    tenant: str
    token: str = field(repr=False)
    root: str = ""
    """The agent whose key was shown, when `agent` is a child of it made for a session; else empty."""
    root_token: str = field(default="", repr=False)
    """The token of `root`."""
    key_digest: bytes = field(default=b"", repr=False)
    """Under what the token of a key is kept; empty when the client showed a token itself."""
    session_digest: bytes = field(default=b"", repr=False)
    """Under what the token of a session is kept; empty without one."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What access gave for a key."""

    agent: str
    tenant: str
    token: str = field(repr=False)
    seconds: float = 600.0
    """How long the token counts from now."""
