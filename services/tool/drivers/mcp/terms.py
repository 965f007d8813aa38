"""What the driver knows of a session, whoever speaks the protocol. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.tool.core.mcp_servers import Definition, McpServer
from services.tool.core.redaction import Redactor
from services.tool.model import Progress, ToolOutcome


class SessionLost(Exception):
    """The session ended before the answer came; says why, for people."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server says that it offers."""

    shown: tuple[Definition, ...]
    truncated: bool


class LiveSession(Protocol):
    """A session with a server."""

    @property
    def lives(self) -> bool:
        """Whether it can be used."""
        ...

    @property
    def stale(self) -> bool:
        """Whether the server said, since it was asked last, that its tools have changed."""
        ...

    @property
    def protocol_version(self) -> str:
        """The revision that was agreed on."""
        ...

    async def offered(self) -> Listing:
        """Ask for the server's tools. Raises McpServerFailed."""
        ...

    async def call(
        self, tool: str, arguments: Mapping[str, Any], tell: Callable[[Progress], None]
    ) -> ToolOutcome:
        """Call a tool and return what came of it. Raises SessionLost."""
        ...

    async def obeyed(self, seconds: float) -> bool:
        """Tell whether the server is done with everything that was cancelled, within a time."""
        ...

    async def close(self, why: str = ...) -> None:
        """End the session, and whatever it runs. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Dialled:
    """A session that was opened, and what it is with."""

    session: LiveSession
    pin: str
    """Of what was reached: `core.pins.server_pin`."""
    redactor: Callable[[], Redactor] = field(repr=False)
    """Takes the values of secrets that the server has out of what it says; tokens change."""


class Dials(Protocol):
    """Who opens sessions."""

    @property
    def problem(self) -> str:
        """Why no server can be reached at all, for people; empty: they can."""
        ...

    async def dial(self, tenant: str, server: McpServer) -> Dialled:
        """Open a session.

        Raises McpServerFailed, EgressDenied, SandboxUnavailable, CapabilityMissing, SecretNotFound.
        """
        ...
