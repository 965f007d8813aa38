"""Limits and addresses of the MCP door, read from `AIOS_GATEWAY_MCP_*`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
_SHORTEST_KEY: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class McpSettings:
    """How the MCP door of one gateway behaves."""

    enabled: bool = True
    """Whether there is an MCP server, if its SDK is installed (aios-kernel[mcp])."""

    max_body_bytes: int = 2 * 2**20
    """Largest request. Unit: bytes."""

    read_bytes: int = 2**20
    """Largest resource that is read whole. Unit: bytes."""

    call_seconds: timedelta = timedelta(hours=1)
    """Longest tool call, its wait in the queue included."""

    requests_per_agent: int = 128
    """Requests and open streams of one agent at once; of a tree four times as many, of a tenant 64."""

    sessions: int = 10_000
    """Sessions of revision 2025-11-25 and older, of all agents."""

    sessions_per_agent: int = 16
    """Sessions of one agent; of a tree four times as many, of a tenant 64. More are refused."""

    session_idle_seconds: timedelta = timedelta(minutes=30)
    """A session without a request or an open stream ends after this time."""

    check_seconds: timedelta = timedelta(seconds=5)
    """How often the credentials of open sessions and streams are looked at. Those that were revoked end."""

    tools_poll_seconds: timedelta = timedelta(seconds=10)
    """How often the tools are compared for a stream that wants to hear of changes."""

    subscriptions_per_session: int = 64
    """Resources that one session or stream may subscribe to."""

    state_keys: tuple[str, ...] = ()
    """Secrets that seal what a client carries from one round of a call to the next; 32 characters or more
    each. The first seals, all open. Default: one made from the service key, the same on all gateways."""

    resource_url: str = ""
    """The address that clients know, such as https://kernel.example/mcp. Default: as each request says."""

    authorization_servers: tuple[str, ...] = ()
    """Issuers named in the metadata of the protected resource. Default: none, keys come another way."""

    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages that may call, such as https://console.example. Those on loopback always may."""

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        for name in ("max_body_bytes", "read_bytes", "requests_per_agent", "sessions", "sessions_per_agent"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("call_seconds", "session_idle_seconds", "check_seconds", "tools_poll_seconds"):
            if getattr(self, name) <= timedelta():
                raise ValueError(f"{name} must be more than 0")
        if any(len(key.encode()) < _SHORTEST_KEY for key in self.state_keys):
            raise ValueError(f"each of state_keys must have {_SHORTEST_KEY} characters or more")
