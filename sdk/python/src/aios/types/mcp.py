"""MCP servers whose tools agents call through the kernel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

McpServerState = Literal["unspecified", "connecting", "ready", "failed", "changed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class McpServerInfo:
    """A server of tools that speaks the Model Context Protocol."""

    name: str
    """Resource name `mcpservers/{id}`."""

    command: tuple[str, ...] = ()
    """Its program and arguments, where it is one; those who did not add it see the program alone."""

    url: str = ""
    """Its address, where it has one; those who did not add it see no query."""

    state: McpServerState = "unspecified"
    """How it stands; `changed`: a person has to look at it."""

    problem: str = ""
    """Why it is not ready, and which of its tools are not taken."""

    tools: tuple[str, ...] = ()
    """Its tools, such as `tools/browser.open`."""

    changed_tools: tuple[str, ...] = ()
    """Its tools, as it calls them, that are not as they were accepted."""

    protocol_version: str = ""
    """The revision of the protocol that was agreed on."""

    owner: str = ""
    """Who added it."""

    create_time: datetime | None = None
    """When it was added."""

    etag: str = ""
    """Changes with every change."""

    @property
    def id(self) -> str:
        """The id: the last part of the name."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class McpToolChange:
    """A tool that is not as it was accepted. The texts are JSON in ASCII; nothing in them is hidden."""

    tool: str
    """As the server calls it."""

    accepted_json: str = ""
    """As it was accepted; empty: it is new."""

    offered_json: str = ""
    """As it is offered now; empty: it is offered no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class McpReview:
    """What a person looks at before accepting what a server offers."""

    server: McpServerInfo
    changes: tuple[McpToolChange, ...] = ()
    server_changed: bool = False
    """Whether the program, command or address is another than was accepted."""

    offered_sha256: str = ""
    """Names exactly this; what `accept` wants to be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class McpOAuth:
    """Who the kernel is at an authorization server. Secrets are named, never given."""

    token_url: str
    client_id: str
    client_secret: str = ""
    """Name of a secret; empty: the client has none."""

    refresh_token: str = ""
    """Name of a secret; empty: the client's own credentials are used."""

    scopes: Sequence[str] = field(default=())


Secrets = Mapping[str, str]
"""Header or variable to the name of the secret that is its value."""
