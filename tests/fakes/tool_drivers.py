"""Each driver of tools with tools that misbehave in every way, for the suite that all drivers pass."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any, Protocol

from services.chassis.isolation.sandbox import ProcessSandbox
from services.chassis.runtime.clock import SystemClock
from services.chassis.sandbox.nowhere import Nowhere
from services.tool.core.pins import definition, pin
from services.tool.core.secrets import Secret
from services.tool.drivers.builtin.functions import BuiltinDriver
from services.tool.drivers.builtin.workers import Workers
from services.tool.drivers.http import HttpDriver
from services.tool.drivers.mcp.driver import McpDriver
from services.tool.drivers.mcp.link import Links
from services.tool.drivers.python import PythonDriver
from services.tool.errors import EgressDenied, ToolFailed
from services.tool.model import (
    Driver,
    DriverKind,
    Effect,
    HttpEndpoint,
    McpBinding,
    Progress,
    PythonCode,
    Tool,
    ToolOutcome,
)
from services.tool.ports import Job, ToolDriver
from tests.fakes.evil_mcp import HELLO
from tests.fakes.files import MemoryFiles
from tests.fakes.isolation import isolated, need
from tests.fakes.mcp_servers import Shelf, dialler, evil
from tests.fakes.plain_sandbox import PlainSandbox
from tests.fakes.tool import FakeFiles
from tests.fakes.web import Asked, Web, plain, to, way_out, web

SECRET = "canary-3f9a1c77e2"
"""What tools of this kind know as a secret, where a driver has secrets."""


class Behaviour(Enum):
    """What a tool does when it is called. A driver may have no way to do some of it."""

    ECHOES = "echoes"
    """Returns its argument `text` as `{"result": text}`."""
    FAILS = "fails"
    """Says that it failed, and why: `out of paper`."""
    HANGS = "hangs"
    """Does not end by itself, and ignores wishes to."""
    DIES = "dies"
    """Ends in the middle without an answer, and takes along what runs it."""
    FLOODS = "floods"
    """Says more than anybody wants to hear before it ends, or never ends saying."""
    BABBLES = "babbles"
    """Answers with what is no answer in its protocol."""
    HUGE = "huge"
    """Returns a result that is larger than a result may be."""
    TELLS = "tells"
    """Tells how far it is before it ends: a message with `half` in it."""
    LEAKS = "leaks"
    """Returns its secret in its result."""
    LEAKS_FAILING = "leaks failing"
    """Says its secret in its failure."""


class Harness(Protocol):
    """A driver, and how to make tools for it."""

    @property
    def driver(self) -> ToolDriver:
        """Return the driver."""
        ...

    @property
    def kind(self) -> DriverKind:
        """Return whose tools it runs."""
        ...

    def tool(self, behaviour: Behaviour) -> Tool | None:
        """Return a tool that behaves so, its argument being `text`; None: this driver's tools cannot."""
        ...

    def left(self) -> list[str]:
        """Name what is left of calls that have ended: processes, connections, files."""
        ...


Making = Callable[[], AbstractAsyncContextManager[Harness]]

TEXT_ONLY = '{"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": false}'


def tool_of(driver: Driver, name: str, effect: Effect = Effect.REVERSIBLE) -> Tool:
    """Return a tool of a driver that takes a text."""
    return Tool(
        id=name,
        description=f"It {name}.",
        parameters_schema=TEXT_ONLY,
        effect=effect,
        timeout_seconds=10.0,
        driver=driver,
    )


class _Scripted(BuiltinDriver):
    """The driver of built-in functions with functions that misbehave."""

    def __init__(self) -> None:
        super().__init__(
            SystemClock(), FakeFiles(), MemoryFiles(), Workers(), way_out().guard, sandbox=Nowhere("tests")
        )
        self.running = 0

    async def prepare(self, _scope: object, tool: Tool) -> Tool:
        """Take every function."""
        return tool

    async def run(self, job: Job) -> ToolOutcome:
        """Misbehave."""
        self.running += 1
        try:
            return ToolOutcome(value=await _misbehave(Behaviour(job.tool.driver.function), job))
        finally:
            self.running -= 1


async def _misbehave(behaviour: Behaviour, job: Job) -> Mapping[str, Any]:
    match behaviour:
        case Behaviour.FAILS:
            raise ToolFailed("out of paper")
        case Behaviour.HANGS:
            await asyncio.sleep(3600)
        case Behaviour.DIES:
            raise ConnectionResetError
        case Behaviour.BABBLES:
            return {"result": float("nan")}
        case Behaviour.HUGE:
            return {"result": "x" * (2 << 20)}
        case Behaviour.TELLS:
            job.tell(Progress(1, 2, "half"))
    return {"result": job.arguments.get("text", "")}


class BuiltinHarness:
    """Built-in functions: they say nothing beside their result, and know no secrets."""

    kind = DriverKind.BUILTIN

    def __init__(self) -> None:
        self.driver = _Scripted()

    def tool(self, behaviour: Behaviour) -> Tool | None:
        """Return a tool of a scripted function."""
        if behaviour in {Behaviour.FLOODS, Behaviour.LEAKS, Behaviour.LEAKS_FAILING}:
            return None
        return tool_of(Driver(DriverKind.BUILTIN, behaviour.value), behaviour.value)

    def left(self) -> list[str]:
        """Count functions that run."""
        return ["a function"] * self.driver.running


@asynccontextmanager
async def builtin() -> AsyncIterator[Harness]:
    """Make the harness of built-in functions."""
    yield BuiltinHarness()


class OneSecret:
    """The operator's one secret, for one server."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    async def resolve(
        self, _tenant: str, names: Collection[str], bound_to: str, *also: str
    ) -> Mapping[str, Secret]:
        """Return it for what it is bound to."""
        if self._origin not in {bound_to, *also}:
            raise EgressDenied("the secret is not meant for that")
        return {name: Secret(SECRET) for name in names}


class HttpHarness:
    """HTTP tools of a server on loopback that misbehaves."""

    kind = DriverKind.HTTP

    def __init__(self, server: Web) -> None:
        self._server = server
        self.driver = HttpDriver(to(server).guard, OneSecret(server.url("")))
        endless = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
        server.answers |= {
            "/echoes": _echo,
            "/fails": plain(b"out of paper", "text/plain", "503 Sorry"),
            "/hangs": _hang,
            "/dies": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
            "/floods": partial(_flood, endless),
            "/babbles": plain(b'{"result":'),
            "/huge": plain(b'{"result": "' + b"x" * (2 << 20) + b'"}'),
            "/leaks": partial(_leak, "200 OK"),
            "/leaks-failing": partial(_leak, "500 Oh"),
        }

    def tool(self, behaviour: Behaviour) -> Tool | None:
        """Return a tool of a path; a server says nothing before its answer."""
        if behaviour is Behaviour.TELLS:
            return None
        path = f"/{behaviour.value.replace(' ', '-')}"
        endpoint = HttpEndpoint(
            url=self._server.url(path), method="POST", secret_headers={"Authorization": "key"}
        )
        return tool_of(Driver(DriverKind.HTTP, http=endpoint), behaviour.value)

    def left(self) -> list[str]:
        """Count connections that stand."""
        return ["a connection"] * self._server.open


async def _echo(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(plain(json.dumps({"result": json.loads(asked.body)["text"]}).encode()))


async def _hang(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _flood(head: bytes, _asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(head)
    while not writer.is_closing():
        writer.write(b"x" * 65536)
        await writer.drain()


async def _leak(status: str, asked: Asked, writer: asyncio.StreamWriter) -> None:
    key = asked.headers["authorization"]
    assert key == SECRET
    writer.write(plain(json.dumps({"result": f"<{key}>", key: [key[::-1]]}).encode(), status=status))


@asynccontextmanager
async def http() -> AsyncIterator[Harness]:
    """Make the harness of HTTP tools."""
    async with web() as server:
        yield HttpHarness(server)


class _AnyMcp(McpDriver):
    """The driver of tools of MCP servers, for tools that come without their server."""

    async def prepare(self, _scope: object, tool: Tool) -> Tool:
        """Take every tool."""
        return tool


class McpHarness:
    """MCP servers that misbehave, one for each behaviour, as programs in no sandbox."""

    kind = DriverKind.MCP

    def __init__(self) -> None:
        self._sandbox, self._shelf = PlainSandbox(), Shelf()
        dials = dialler(self._sandbox, secrets=OneSecret("mcpservers/evil"))
        self.links = Links(dials, self._shelf, SystemClock(), most=64, most_of_tenant=64, idle_seconds=60.0)
        self.driver = _AnyMcp(self.links, grace_seconds=0.1)

    def tool(self, behaviour: Behaviour) -> Tool | None:
        """Return a tool of a server that behaves so."""
        kind = _KINDS.get(behaviour, behaviour.value.replace(" ", "-"))
        leaks = behaviour in {Behaviour.LEAKS, Behaviour.LEAKS_FAILING}
        name = "evil" if leaks else f"evil-{kind}"
        secrets = {"KEY": "key"} if leaks else {}
        self._shelf.servers[name] = evil(kind, id=name, secret_environment=secrets)
        bound = McpBinding(server=name, tool="hello", pinned_sha256=HELLO_PIN)
        tool = tool_of(Driver(DriverKind.MCP, mcp=bound), behaviour.value)
        return replace(tool, returns_untrusted=True)

    def left(self) -> list[str]:
        """Count the servers that run for a call, or for nothing; idle ones wait for the next call."""
        links = [self.links.known("acme", name) for name in self._shelf.servers]
        idle = [link for link in links if link and link.opened and not link.opened.calls]
        return ["a server"] * (len(self._sandbox.running) - len(idle))


HELLO_PIN = pin(definition(HELLO).text)
_KINDS = {Behaviour.ECHOES: "good", Behaviour.FLOODS: "flood", Behaviour.TELLS: "progress"}


@asynccontextmanager
async def mcp() -> AsyncIterator[Harness]:
    """Make the harness of MCP servers."""
    made = McpHarness()
    yield made
    await made.links.stop()


_SOURCES: Mapping[Behaviour, str] = {
    Behaviour.ECHOES: "def tool(text=''): return {'result': text}",
    Behaviour.FAILS: "def tool(text=''): raise RuntimeError('out of paper')",
    Behaviour.HANGS: "import time\ndef tool(text=''):\n    while True: time.sleep(9)",
    Behaviour.DIES: "import os, signal\ndef tool(text=''): os.kill(os.getpid(), signal.SIGKILL)",
    Behaviour.FLOODS: "def tool(text=''):\n    while True: print('x' * 65536)",
    Behaviour.BABBLES: "import os\ndef tool(text=''): os.write(3, b'{[\\xff')",
    Behaviour.HUGE: "def tool(text=''): return {'result': 'x' * (2 << 20)}",
    Behaviour.TELLS: "def tool(text=''): print('half'); return {'result': text}",
}


class PythonHarness:
    """Tools that are Python, in the strongest sandbox of this machine; they know no secrets."""

    kind = DriverKind.PYTHON

    def __init__(self, sandbox: ProcessSandbox) -> None:
        self._sandbox = sandbox
        self.driver = PythonDriver(sandbox)

    def tool(self, behaviour: Behaviour) -> Tool | None:
        """Return a tool whose function behaves so."""
        if behaviour not in _SOURCES:
            return None
        code = PythonCode(source=_SOURCES[behaviour], function="tool")
        return tool_of(Driver(DriverKind.PYTHON, python=code), behaviour.value)

    def left(self) -> list[str]:
        """Name jobs that run."""
        return ["a job"] * self._sandbox.running


@asynccontextmanager
async def python() -> AsyncIterator[Harness]:
    """Make the harness of tools that are Python; skip where no sandbox is."""
    await need("")
    async with isolated() as sandbox:
        yield PythonHarness(sandbox)


DRIVERS: dict[str, Making] = {"builtin": builtin, "http": http, "mcp": mcp, "python": python}
"""Every driver that the suite is run on."""
