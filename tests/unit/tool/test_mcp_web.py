"""MCP over HTTP: what a server on the web cannot make the kernel do, and the tokens that it is shown."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

from services.chassis.rpc.errors import KernelError
from services.tool.core.mcp_servers import HttpServer, McpServer, OAuthClient
from services.tool.core.secrets import Secret
from services.tool.drivers.mcp.dialling import Dialler, Ways
from services.tool.drivers.mcp.link import look
from services.tool.drivers.mcp.relay import MAX_MESSAGE, CutOff
from services.tool.drivers.mcp.terms import Dialled, SessionLost
from services.tool.drivers.mcp.web import BodyMeasure, EventMeasure
from services.tool.egress.transport import GuardedTransport
from tests.fakes.clock import FakeClock
from tests.fakes.mcp_servers import shows
from tests.fakes.web import Asked, Web, plain, to, web

SECRETS = {"key": "canary-header-value", "client": "canary-client-secret", "refresh": "canary-refresh-token"}


class KnownSecrets:
    """The operator's secrets; notes where each was to be sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[frozenset[str], str]] = []

    async def resolve(
        self, _tenant: str, names: Collection[str], bound_to: str, *_also: str
    ) -> Mapping[str, Secret]:
        """Return values."""
        self.asked.append((frozenset(names), bound_to))
        return {name: Secret(SECRETS[name]) for name in names}


class McpWeb:
    """A server that speaks MCP over HTTP by hand; a test chooses how it answers calls."""

    def __init__(self, server: Web) -> None:
        self.server = server
        self.result: Any = {"content": [{"type": "text", "text": "hi"}]}
        self.call: bytes | None = None
        """Instead of an answer to a call: these bytes."""
        self.token = ""
        """What is wanted as a bearer token; empty: none."""
        self.methods: list[str] = []
        server.answers["/mcp"] = self.answer

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        if asked.method != "POST":
            writer.write(plain(b"{}", status="405 No"))
            return
        message = json.loads(asked.body)
        self.methods.append(message["method"])
        if self.token and asked.headers.get("authorization") != f"Bearer {self.token}":
            writer.write(plain(b"{}", status="401 Who"))
            return
        if "id" not in message:
            writer.write(plain(b"", status="202 Accepted"))
            return
        if message["method"] == "tools/call" and self.call is not None:
            writer.write(self.call)
            await writer.drain()
            return
        answers = {
            "initialize": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "web", "version": "1"},
            },
            "tools/list": {"tools": [shows()]},
            "tools/call": self.result,
        }
        known = answers.get(message["method"])
        told = {"result": known} if known else {"error": {"code": -32601, "message": "no"}}
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], **told}).encode()
        writer.write(plain(body))


class World:
    """The kernel's side and the server's."""

    def __init__(self, server: Web) -> None:
        self.web = server
        self.mcp = McpWeb(server)
        self.secrets = KnownSecrets()
        self.clock = FakeClock()
        self.guard = to(server).guard
        self.opened: list[Dialled] = []

    async def dial(self, path: str = "/mcp", **fields: Any) -> Dialled:
        """Open a session."""
        ways = Ways(sandbox=None, egress=self.guard, secrets=self.secrets, web=self._transport)
        at = HttpServer(url=self.web.url(path), **fields)
        dialled = await Dialler(ways, self.clock, open_seconds=5.0).dial("acme", McpServer(id="web", http=at))
        self.opened.append(dialled)
        return dialled

    def _transport(self, tenant: str) -> httpx2.AsyncBaseTransport:
        return GuardedTransport(self.guard, tenant)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with web() as server:
        made = World(server)
        yield made
        for dialled in made.opened:
            await dialled.session.close()


async def called(dialled: Dialled) -> Any:
    async with asyncio.timeout(5):
        outcome = await dialled.session.call("hello", {}, lambda _: None)
    return outcome.value if outcome.error is None else outcome.error.message


async def test_a_server_on_the_web_is_listed_and_called(world: World) -> None:
    dialled = await world.dial()

    offer = await look(dialled, McpServer(id="web"))

    assert [one.tool for one in offer.definitions] == ["hello"]
    assert await called(dialled) == "hi"


async def test_a_server_that_is_not_allowed_is_not_reached(world: World) -> None:
    ways = Ways(sandbox=None, egress=world.guard, secrets=None, web=world._transport)
    at = McpServer(id="web", http=HttpServer(url="http://169.254.169.254/mcp"))

    with pytest.raises(KernelError) as error:
        await Dialler(ways, world.clock, open_seconds=5.0).dial("acme", at)

    assert error.value.reason == "EGRESS_DENIED"


@pytest.mark.parametrize("status", ["307 Go", "308 Go", "302 Go"])
async def test_a_redirect_is_not_followed_even_on_the_same_server(world: World, status: str) -> None:
    world.web.answers["/old"] = plain(b"", status=status, more="Location: /mcp\r\n")

    with pytest.raises(KernelError) as error:
        await world.dial("/old")

    assert error.value.reason == "MCP_SERVER_FAILED"
    assert {asked.target for asked in world.web.asked} == {"/old"}


def events(*messages: Any) -> bytes:
    told = b"".join(b"event: message\ndata: " + json.dumps(one).encode() + b"\n\n" for one in messages)
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + told


NEWS = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}


@pytest.mark.parametrize(
    "call",
    [
        plain(b'{"jsonrpc": "2.0", "id": 2, "result": {"x": "' + b"x" * (5 << 20) + b'"}}'),
        plain(b'{"jsonrpc": "2.0", "id": 2, "result": {"x": [' + b"[]," * 50_000 + b"0]}}"),
        events({"jsonrpc": "2.0", "id": 2, "result": {"x": "x" * (5 << 20)}}),
        events({"jsonrpc": "2.0", "id": 2, "result": {"x": {"y": [[]] * 50_000}}}),
        events(*[NEWS] * 3_000),
        plain(b"gone", "text/plain", "500 Oh"),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    ],
    ids=[
        "a long body",
        "a body of many values",
        "a long event",
        "an event of many values",
        "a flood",
        "an error",
        "a cut stream",
        "a cut body",
    ],
)
async def test_a_bad_answer_costs_its_session_and_nobody_knows_what_it_did(world: World, call: bytes) -> None:
    dialled = await world.dial()
    world.mcp.call = call

    with pytest.raises(SessionLost):
        await called(dialled)


async def test_secrets_go_to_the_server_alone_and_out_of_all_it_says(world: World) -> None:
    dialled = await world.dial(secret_headers={"X-Key": "key"})

    assert world.web.asked[0].headers["x-key"] == SECRETS["key"]
    assert world.secrets.asked == [(frozenset({"key"}), world.web.url(""))]
    assert SECRETS["key"] not in dialled.redactor().text(f"you sent {SECRETS['key']}")


def token_server(world: World, *tokens: Mapping[str, Any]) -> OAuthClient:
    left = list(tokens)

    async def give(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(plain(json.dumps(left.pop(0)).encode()))

    world.web.answers["/token"] = give
    return OAuthClient(
        token_url=world.web.url("/token"), client_id="kernel", client_secret="client", scopes=("tools",)
    )


def forms(world: World) -> list[dict[str, list[str]]]:
    return [parse_qs(asked.body.decode()) for asked in world.web.asked if asked.target == "/token"]


def bearer(token: str, **more: Any) -> Mapping[str, Any]:
    return {"access_token": token, "token_type": "Bearer", **more}


async def test_a_token_is_had_with_the_clients_credentials_and_renewed_before_it_ends(world: World) -> None:
    world.mcp.token = "canary-token-1"
    client = token_server(world, bearer("canary-token-1", expires_in=60), bearer("canary-token-2"))
    dialled = await world.dial(oauth=client)
    assert await called(dialled) == "hi"
    assert len(forms(world)) == 1

    world.clock.advance(40.0)
    world.mcp.token = "canary-token-2"

    assert await called(dialled) == "hi"
    form = forms(world)[0]
    assert (form["grant_type"], form["scope"]) == (["client_credentials"], ["tools"])
    assert form["resource"] == [world.web.url("/mcp")]
    text = dialled.redactor().text("canary-token-2 canary-client-secret")
    assert "canary" not in text


async def test_a_refresh_token_that_the_server_rotates_is_used_in_turn(world: World) -> None:
    client = OAuthClient(
        token_url=token_server(
            world, bearer("token-1", refresh_token="next-refresh", expires_in=31), bearer("token-2")
        ).token_url,
        client_id="kernel",
        refresh_token="refresh",
    )
    dialled = await world.dial(oauth=client)
    world.clock.advance(31.0)
    await called(dialled)

    assert [form["refresh_token"][0] for form in forms(world)] == [SECRETS["refresh"], "next-refresh"]
    assert forms(world)[0]["client_id"] == ["kernel"]


async def test_a_token_that_is_refused_is_had_anew_once_and_not_again_and_again(world: World) -> None:
    world.mcp.token = "another"
    client = token_server(world, *[bearer("stale")] * 50)

    with pytest.raises(KernelError) as error:
        await world.dial(oauth=client)

    assert error.value.reason == "MCP_SERVER_FAILED"
    assert len(forms(world)) == 2


@pytest.mark.parametrize(
    "told",
    [
        {"access_token": "x y", "token_type": "Bearer"},
        {"access_token": "x\r\nX-Evil: 1", "token_type": "Bearer"},
        {"access_token": "token", "token_type": "mac"},
        {"access_token": 7, "token_type": "Bearer"},
        {},
    ],
)
async def test_a_token_that_is_none_is_not_sent(world: World, told: Mapping[str, Any]) -> None:
    with pytest.raises(KernelError) as error:
        await world.dial(oauth=token_server(world, told))

    assert error.value.reason == "MCP_SERVER_FAILED"
    assert not world.mcp.methods


@pytest.mark.parametrize("size", [1, 3, 7, 4096])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_events_are_measured_one_by_one_however_they_are_cut(size: int, line_end: bytes) -> None:
    measure = EventMeasure()
    small = b'id: "[[[["' + line_end + b'data: {"x": "[[,,]]", "y": []}' + line_end * 2
    stream = small * 500

    for at in range(0, len(stream), size):
        measure.add(stream[at : at + size])


@pytest.mark.parametrize("size", [1_000, 65_536])
def test_one_event_of_many_values_is_cut_off_also_over_several_lines(size: int) -> None:
    measure = EventMeasure()
    stream = b'id: "\r\n' + b"data: " + b"[]," * 10_000 + b"\r\ndata: " + b"[]," * 10_000 + b"\r\n\r\n"

    def measured() -> None:
        for at in range(0, len(stream), size):
            measure.add(stream[at : at + size])

    with pytest.raises(CutOff):
        measured()


def test_a_long_body_is_cut_off_when_it_is_too_long() -> None:
    measure = BodyMeasure()
    measure.add(b'"' + b"," * (MAX_MESSAGE - 1))

    with pytest.raises(CutOff):
        measure.add(b"x")
