"""Reaching servers: what is behind a server's entry, its credentials, and a session with it.

The SDK is imported when the first server is reached, in a thread: it takes a second.
"""

import asyncio
import hashlib
import importlib.util
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os.path import normpath, realpath
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger
from services.tool.core.mcp_servers import HttpServer, McpServer, StdioServer
from services.tool.core.pins import server_pin
from services.tool.core.redaction import Redactor
from services.tool.core.sandboxing import MIB, Limits, SandboxJob
from services.tool.core.secrets import Secret, origin
from services.tool.drivers.mcp.credentials import HeaderCredentials, TokenCredentials
from services.tool.drivers.mcp.terms import Dialled
from services.tool.errors import CapabilityMissing, EgressDenied, McpServerFailed, SandboxUnavailable
from services.tool.ports import Egress, Sandbox, Secrets

_log = logger(__name__)

SYSTEM: Final = "/usr"
"""What every sandbox shows."""
MAX_PROGRAM: Final = 512 * MIB
"""Bytes of all files that a command names."""
_EVERYWHERE: Final = {"OPENSSL_CONF": "/dev/null"}
"""Node.js does not start where it may not read the system's settings of OpenSSL."""
_DAY: Final = 86_400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StdioRules:
    """Which programs may be run, as the operator says."""

    directories: tuple[str, ...] = ()
    """Directories whose programs may be run, and may read them, beside `/usr`; absolute, links followed."""
    network: bool = False
    """Whether an administrator may give a program the network, past the guard of all other requests."""
    memory_bytes: int = 512 * MIB
    processes: int = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Ways:
    """The ways out to servers. What is None is not there on this machine."""

    sandbox: Sandbox | None
    egress: Egress | None
    secrets: Secrets | None
    web: Callable[[str], Any] | None
    """Makes the guarded HTTP transport of a tenant, under the SDK's client."""
    rules: StdioRules = StdioRules()


class Dialler:
    """Opens sessions with servers."""

    def __init__(self, ways: Ways, clock: Clock, *, open_seconds: float) -> None:
        self._ways = ways
        self._clock = clock
        self._open_seconds = open_seconds

    @property
    def problem(self) -> str:
        """Why no server can be reached at all, for people; empty: they can."""
        if importlib.util.find_spec("mcp") is None:
            return "the package mcp is not installed; it comes with the extra aios-kernel[mcp]"
        return ""

    async def pin(self, server: McpServer) -> str:
        """Return the pin of what a server's entry leads to now. Raises McpServerFailed, EgressDenied."""
        if server.http is not None:
            return server_pin(server.http, {})
        if server.stdio is None:
            raise McpServerFailed("the server has no address")
        programs = await asyncio.to_thread(_programs, server.stdio.command, self._ways.rules.directories)
        return server_pin(server.stdio, programs)

    async def dial(self, tenant: str, server: McpServer) -> Dialled:
        """Open a session.

        Raises McpServerFailed, EgressDenied, SandboxUnavailable, CapabilityMissing, SecretNotFound.
        """
        if self.problem:
            raise CapabilityMissing(self.problem, metadata={"driver": "mcp"})
        pin = await self.pin(server)
        if server.http is not None:
            return await self._web(tenant, server.http, pin)
        assert server.stdio is not None  # noqa: S101 - `pin` has seen to it
        return await self._program(tenant, server.id, server.stdio, pin)

    async def _program(self, tenant: str, name: str, stdio: StdioServer, pin: str) -> Dialled:
        if self._ways.sandbox is None:
            raise CapabilityMissing("this kernel has no sandbox for programs", metadata={"driver": "mcp"})
        if stdio.allow_network and not self._ways.rules.network:
            raise EgressDenied("the operator gives no program of an MCP server the network")
        named = stdio.secret_environment
        values = await self._resolved(tenant, named, f"mcpservers/{name}")
        rules = self._ways.rules
        needed = await asyncio.to_thread(_needed, stdio, rules.directories)
        job = SandboxJob(
            argv=stdio.command,
            environment={**_EVERYWHERE, **stdio.environment, **values},
            mounts={path: path for path in needed},
            limits=Limits(
                memory_bytes=rules.memory_bytes,
                cpu_seconds=_DAY,
                wall_seconds=_DAY,
                processes=rules.processes,
                address_bytes=1 << 36,  # what it uses is watched; an engine of JavaScript reserves far more
                open_files=1_024,
                output_bytes=1 << 50,  # the relay bounds what it says in a second
                network=stdio.allow_network,
            ),
        )
        sdk, relay = await _sdk("stdio"), (await _sdk("relay")).Relay()
        kind = (await _sdk("session")).Session
        try:
            process = await self._ways.sandbox.open(job)
        except SandboxUnavailable as error:  # its words are for operators: they name the machine's folders
            _log.warning("the program of an MCP server was not started", server=name, why=error.message)
            raise SandboxUnavailable("the sandbox did not start the server's program") from None
        session = kind(relay, stop=process.stop)
        await session.open(lambda ended: sdk.over_stdio(process, relay, ended), self._open_seconds)
        redactor = Redactor(values.values())
        return Dialled(session, pin, lambda: redactor)

    async def _web(self, tenant: str, http: HttpServer, pin: str) -> Dialled:
        if self._ways.web is None or self._ways.egress is None:
            raise CapabilityMissing("this kernel reaches no servers over HTTP", metadata={"driver": "mcp"})
        await self._ways.egress.check(tenant, http.url)
        credentials = await self._credentials(tenant, http, self._ways.egress)
        web, relay = await _sdk("web"), (await _sdk("relay")).Relay()
        inner = await asyncio.to_thread(self._ways.web, tenant)  # the first imports its library
        client = web.client_of(web.ServerTransport(inner, http.url, credentials), http.headers)
        session = (await _sdk("session")).Session(relay, web=True)
        await session.open(lambda ended: web.over_http(client, http.url, relay, ended), self._open_seconds)
        return Dialled(session, pin, credentials.redactor)

    async def _credentials(
        self, tenant: str, http: HttpServer, egress: Egress
    ) -> HeaderCredentials | TokenCredentials:
        values = await self._resolved(tenant, http.secret_headers, _origin(http.url))
        client = http.oauth
        if client is None:
            return HeaderCredentials(values)
        await egress.check(tenant, client.token_url)
        named = {name: name for name in (client.client_secret, client.refresh_token) if name}
        known = await self._resolved(tenant, named, _origin(client.token_url))
        secrets = {name: Secret(value) for name, value in known.items()}
        return TokenCredentials(
            tenant, client, secrets, values, resource=http.url, egress=egress, clock=self._clock
        )

    async def _resolved(self, tenant: str, named: Mapping[str, str], bound_to: str) -> dict[str, str]:
        """Return values by what they are sent as. They go nowhere but there, and to the redactor."""
        if not named:
            return {}
        if self._ways.secrets is None:
            raise CapabilityMissing("this kernel keeps no secrets", metadata={"driver": "mcp"})
        found = await self._ways.secrets.resolve(tenant, frozenset(named.values()), bound_to)
        return {sent_as: found[name].reveal() for sent_as, name in named.items()}


def _origin(url: str) -> str:
    address = urlsplit(url)
    return origin(f"{address.scheme}://{address.netloc}")


async def _sdk(module: str) -> ModuleType:
    return await asyncio.to_thread(importlib.import_module, f"services.tool.drivers.mcp.{module}")


def _needed(stdio: StdioServer, directories: tuple[str, ...]) -> list[str]:
    """Return the directories that a server may read: where what its command or variables name lies."""
    named = [*stdio.command, *stdio.environment.values()]
    # A link counts where it lies, too: the interpreter of an environment finds its packages by that.
    paths = [Path(of(text)) for text in named if text.startswith("/") for of in (normpath, realpath)]
    return [each for each in directories if any(path.is_relative_to(each) for path in paths)]


def _programs(command: tuple[str, ...], directories: tuple[str, ...]) -> dict[str, str]:
    """Return the SHA-256 of each file that a command names by its whole path, the program first of all.

    Raises McpServerFailed for a program that is not there, EgressDenied for one that may not be run.
    """
    found: dict[str, str] = {}
    left = MAX_PROGRAM
    for place, argument in enumerate(command):
        if not argument.startswith("/"):
            if place == 0:
                raise EgressDenied("the program of an MCP server is named by its whole path")
            continue
        real = realpath(argument)
        within = any(Path(real).is_relative_to(each) for each in (SYSTEM, *directories))
        if place == 0 and not within:
            raise EgressDenied(
                "the program lies in none of the directories whose programs the operator lets run"
            )
        if not within:
            continue
        try:
            about = Path(real).stat()
        except OSError:
            about = None
        if about is None or not stat.S_ISREG(about.st_mode):
            if place == 0:
                raise McpServerFailed("the program of the server is not there")
            continue
        left -= about.st_size
        if left < 0:
            raise McpServerFailed("the files of the server's program are too large to be pinned")
        with Path(real).open("rb") as file:
            found[argument] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
