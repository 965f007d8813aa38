"""MCP servers in tests: programs that misbehave, in no sandbox, and what is kept of them in memory."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from services.chassis.runtime.clock import SystemClock
from services.tool.core.mcp_servers import McpServer, Offer, StdioServer
from services.tool.core.pins import definition, pin, server_pin
from services.tool.core.redaction import Redactor
from services.tool.drivers.mcp.dialling import Dialler, StdioRules, Ways
from services.tool.drivers.mcp.terms import Dialled, Listing
from services.tool.errors import McpServerFailed
from services.tool.model import Progress, ToolOutcome
from services.tool.ports import Secrets
from tests.fakes.plain_sandbox import PlainSandbox

EVIL = Path(__file__).parent / "evil_mcp.py"
PYTHON = Path(sys.executable).resolve()


def dialler(sandbox: PlainSandbox, *, secrets: Secrets | None = None, open_seconds: float = 20.0) -> Dialler:
    """Make a dialler that runs programs in no sandbox at all."""
    rules = StdioRules(directories=(str(PYTHON.parents[1]), str(EVIL.parent)))
    ways = Ways(sandbox=sandbox, egress=None, secrets=secrets, web=None, rules=rules)
    return Dialler(ways, SystemClock(), open_seconds=open_seconds)


def evil(kind: str, folder: Path | None = None, **fields: Any) -> McpServer:
    """Return a server of a kind; it keeps what it learns in the folder."""
    command = (str(PYTHON), str(EVIL), kind, *([str(folder)] if folder else []))
    program = StdioServer(command=command, secret_environment=fields.pop("secret_environment", {}))
    return McpServer(**{"id": "evil", "stdio": program, **fields})


class Shelf:
    """A Book in memory in which everything is as it was accepted."""

    def __init__(self) -> None:
        self.servers: dict[str, McpServer] = {}

    async def server(self, _tenant: str, server_id: str) -> McpServer:
        """Return a server."""
        return self.servers[server_id]

    async def compared(self, _tenant: str, server_id: str, offer: Offer) -> McpServer:
        """Find everything as it was."""
        found = replace(self.servers[server_id], pin=offer.pin, offered_pin=offer.pin)
        self.servers[server_id] = found
        return found


class FakeSession:
    """A session with a server that a test writes down."""

    protocol_version = "2026-07-28"

    def __init__(self, server: "FakeServer") -> None:
        self._server = server
        self.lives = True
        self.stale = False
        self.listed = 0

    async def offered(self) -> Listing:
        """Return the server's tools as they are now."""
        self.stale = False
        self.listed += 1
        if self._server.fails:
            raise McpServerFailed(self._server.fails)
        return Listing(tuple(definition(one) for one in self._server.tools), truncated=False)

    async def call(
        self, tool: str, arguments: Mapping[str, Any], _tell: Callable[[Progress], None]
    ) -> ToolOutcome:
        """Return what it was called with."""
        server = self._server
        server.calls.append((tool, dict(arguments)))
        server.inside += 1
        server.most_inside = max(server.most_inside, server.inside)
        try:
            await server.answers.wait()
        finally:
            server.inside -= 1
        return ToolOutcome(value={"called": tool})

    async def obeyed(self, _seconds: float) -> bool:
        """Obey."""
        return True

    async def close(self, _why: str = "") -> None:
        """End."""
        self.lives = False


class FakeServer:
    """A server as a test wants it; `tools` are what it shows from now on."""

    def __init__(self, *tools: Mapping[str, Any]) -> None:
        self.tools = list(tools)
        self.program = "0" * 64
        self.fails = ""
        self.reached = asyncio.Event()
        """Unset: it does not answer yet."""
        self.reached.set()
        self.answers = asyncio.Event()
        """Unset: calls wait."""
        self.answers.set()
        self.inside = self.most_inside = 0
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sessions: list[FakeSession] = []


class FakeDials:
    """Dials that reach the servers which a test has written down, by id; others cannot be reached."""

    problem = ""

    def __init__(self, **servers: FakeServer) -> None:
        self.servers = servers

    async def dial(self, _tenant: str, server: McpServer) -> Dialled:
        """Open a session."""
        reached = self.servers.get(server.id)
        if reached is None or reached.fails:
            raise McpServerFailed(reached.fails if reached else "it cannot be reached")
        await reached.reached.wait()
        session = FakeSession(reached)
        reached.sessions.append(session)
        at = server.stdio or server.http
        assert at is not None
        return Dialled(session, pin(server_pin(at, {}) + reached.program), lambda: Redactor(()))


def shows(name: str = "hello", **members: Any) -> dict[str, Any]:
    """Return a tool as a server shows it."""
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return {"name": name, "description": "Says hello.", "inputSchema": schema, **members}
