"""The terms of MCP servers: how one is reached, what was accepted of it, and how it stands. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from services.tool.model import DEFAULT_TIMEOUT_SECONDS, Effect


@dataclass(frozen=True, kw_only=True, slots=True)
class StdioServer:
    """A program on the tool manager's machine, run in the sandbox."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    secret_environment: Mapping[str, str] = field(default_factory=dict)
    """Variable to name of the secret that is its value."""
    allow_network: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OAuthClient:
    """Who the kernel is at an authorization server. Secrets are named, never held."""

    token_url: str
    client_id: str
    client_secret: str = ""
    """Name of the secret; empty: the client has none."""
    refresh_token: str = ""
    """Name of the secret; empty: client credentials."""
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpServer:
    """A server that speaks streamable HTTP."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict)
    """Header to name of the secret that is its value."""
    oauth: OAuthClient | None = None


def secrets_of_server(server: "McpServer") -> frozenset[str]:
    """Return the names of the secrets that a server is sent."""
    names = {*server.stdio.secret_environment.values()} if server.stdio is not None else set()
    if server.http is not None:
        names |= {*server.http.secret_headers.values()}
        if (oauth := server.http.oauth) is not None:
            names |= {oauth.client_secret, oauth.refresh_token} - {""}
    return frozenset(names)


class ServerState(Enum):
    """How a server stands. Values are metric labels."""

    CONNECTING = "connecting"
    READY = "ready"
    FAILED = "failed"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class McpServer:
    """A server as it is registered, and what was seen of it last."""

    id: str
    stdio: StdioServer | None = None
    http: HttpServer | None = None
    allowed_tools: tuple[str, ...] = ()
    """As the server calls them; empty: all."""
    default_effect: Effect = Effect.IRREVERSIBLE
    trust_annotations: bool = False
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_concurrency: int = 8
    """Calls that run at once, all its tools together."""
    untrusted: bool = False
    """Whether an agent added it that had read what nobody vouches for."""
    owner: str = ""
    created_at: datetime | None = None
    version: int = 1
    """Grows with every change; the etag."""
    pin: str = ""
    """SHA-256 of what is reached, as it was accepted: `core.pins.server_pin`."""
    offered_pin: str = ""
    """The same as it was seen last."""
    tools: tuple[str, ...] = ()
    """Ids of its registered tools."""
    changed: tuple[str, ...] = ()
    """Tools, as the server calls them, that are not as they were accepted: changed, new or gone."""
    passed_over: tuple[str, ...] = ()
    """Why tools that it offers are not taken; for people."""
    protocol_version: str = ""

    @property
    def altered(self) -> bool:
        """Whether a person has something to look at."""
        return bool(self.changed) or self.pin != self.offered_pin


@dataclass(frozen=True, slots=True)
class Definition:
    """One tool as its server shows it: canonical JSON of all that anybody reads of it."""

    tool: str
    """As the server calls it."""
    text: str


@dataclass(frozen=True, slots=True)
class KnownTool:
    """A tool of a server as it was accepted, and as it was offered last. A text that is empty: it was not."""

    tool: str
    accepted: str = ""
    offered: str = ""

    @property
    def changed(self) -> bool:
        """Whether it is not what was accepted."""
        return self.accepted != self.offered


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server was seen to offer, in one session."""

    definitions: tuple[Definition, ...]
    passed_over: tuple[str, ...]
    pin: str
    protocol_version: str
