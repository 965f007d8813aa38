"""A web server on loopback that answers as a test says, and a way out that reaches nothing else."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.tool.core.egress import OperatorRules, OriginPattern
from services.tool.egress.gates import AddressInfo
from services.tool.egress.guard import EgressGuard
from tests.fakes.meters import RecordingMeter

LOOPBACK = "127.0.0.1"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody; quick to make."""


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes = b""


Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def plain(body: bytes, media_type: str = "application/json", status: str = "200 OK", more: str = "") -> bytes:
    """Return a whole answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@dataclass
class Web:
    """A server whose answers a test chooses by path; what it does not choose is `{}`."""

    answers: dict[str, bytes | Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    open: int = 0
    """Connections that stand."""
    port: int = 0

    def url(self, path: str = "/", host: str = LOOPBACK) -> str:
        """Return a URL of this server."""
        return f"http://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and end the connection."""
        self.open += 1
        try:
            asked = await _read(reader)
            self.asked.append(asked)
            answer = self.answers.get(asked.target.partition("?")[0], plain(b"{}"))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(asked, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = [line.split(": ", 1) for line in head[1:] if line]
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body)


@asynccontextmanager
async def web() -> AsyncIterator[Web]:
    """Run a server on a free port."""
    made = Web()
    server = await asyncio.start_server(made.serve, LOOPBACK, 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


class Names:
    """A name service of a test: each name has addresses, or a list of lists that it gives in turn."""

    def __init__(self, table: Mapping[str, Sequence[str]] | None = None) -> None:
        self.table = dict(table or {})
        self.turns: dict[str, list[Sequence[str]]] = {}
        self.asked: list[str] = []

    async def __call__(self, _tenant: str, host: str, _port: int) -> list[str]:
        """Return a name's addresses."""
        self.asked.append(host)
        turns = self.turns.get(host)
        return list(turns.pop(0) if turns else self.table.get(host, ()))


class Sockets:
    """Makes sockets to loopback alone and notes what they were wanted for."""

    def __init__(self) -> None:
        self.wanted: list[str] = []

    def __call__(self, info: AddressInfo) -> socket.socket:
        """Make a socket. Raises OSError for whatever is not 127.0.0.1."""
        self.wanted.append(info[4][0])
        if info[4][0] != LOOPBACK:
            raise OSError("a test connects to nothing but loopback")
        return socket.socket(info[0], info[1], info[2])


class Rules:
    """What the administrators of tenants leave."""

    def __init__(self) -> None:
        self.of: dict[str, tuple[OriginPattern, ...]] = {}

    async def narrowed(self, tenant: str) -> tuple[OriginPattern, ...] | None:
        """Return what a tenant's administrators leave."""
        return self.of.get(tenant)


@dataclass
class WayOut:
    """A guard, and what stands around it."""

    guard: EgressGuard
    names: Names
    sockets: Sockets
    rules: Rules
    meter: RecordingMeter


def way_out(allowed: Sequence[str] = (), internal: Sequence[str] = (), **options: Any) -> WayOut:
    """Make a guard that reaches loopback at most, whatever its rules say."""
    names, sockets, rules, meter = Names(), Sockets(), Rules(), RecordingMeter()
    operator = OperatorRules.read(allowed, internal)
    options = {"make_socket": sockets, "tls": TLS, **options}
    return WayOut(EgressGuard(operator, rules, meter, names, **options), names, sockets, rules, meter)


def to(server: Web, *, host: str = LOOPBACK) -> WayOut:
    """Make a guard whose only target is a server."""
    made = way_out(internal=[f"http://{host}:{server.port} {LOOPBACK}/32"])
    made.names.table[host] = [LOOPBACK]
    return made
