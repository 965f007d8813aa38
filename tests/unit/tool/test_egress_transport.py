"""The guard under the HTTP client of the MCP SDK."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from services.tool.egress.transport import GuardedTransport
from services.tool.errors import EgressDenied, EgressFailed, ResultInvalid
from tests.fakes.waiting import until
from tests.fakes.web import Asked, Web, plain, to, way_out, web


@pytest.fixture
async def server() -> AsyncIterator[Web]:
    """Run a server on loopback."""
    async with web() as made:
        yield made
        await until(lambda: not made.open)


def client(server: Web, **options: int) -> httpx2.AsyncClient:
    """Return the SDK's client above a guard that reaches one server."""
    return httpx2.AsyncClient(
        transport=GuardedTransport(to(server).guard, "acme", **options), trust_env=False
    )


async def test_a_request_goes_out_and_its_answer_comes_back(server: Web) -> None:
    server.answers["/mcp"] = plain(b'{"a":1}', more="Mcp-Session-Id: s1\r\n")

    async with client(server) as made:
        answer = await made.post(server.url("/mcp"), json={"b": 2}, headers={"Authorization": "k"})

    assert (answer.json(), answer.headers["mcp-session-id"]) == ({"a": 1}, "s1")
    assert (server.asked[0].body, server.asked[0].headers["authorization"]) == (b'{"b":2}', "k")


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://localhost/", "http://127.1/", "http://private.example.com/"]
)
async def test_the_gates_hold_for_it_too(url: str) -> None:
    way = way_out(["http://*"])
    way.names.table["private.example.com"] = ["10.0.0.5"]

    async with httpx2.AsyncClient(transport=GuardedTransport(way.guard, "acme"), trust_env=False) as made:
        with pytest.raises(EgressDenied):
            await made.get(url)

    assert way.sockets.wanted == []


async def test_a_redirect_of_it_passes_every_gate(server: Web) -> None:
    server.answers["/a"] = plain(b"", status="307 X", more="Location: http://10.0.0.1/\r\n")

    async with client(server) as made:
        with pytest.raises(EgressDenied):
            await made.post(server.url("/a"), json={}, follow_redirects=True)


async def test_a_stream_of_events_is_read_as_it_comes_and_leaving_it_cuts_the_connection(server: Web) -> None:
    async def events(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"data: 1\n\n" * 100)
            await writer.drain()
            await asyncio.sleep(0.001)

    server.answers["/"] = events
    read = 0

    async with client(server, max_bytes=1000) as made, made.stream("GET", server.url()) as answer:
        async for piece in answer.aiter_bytes():
            read += len(piece)
            if read > 3000:
                break

    await until(lambda: not server.open)


async def test_an_answer_that_is_too_large_or_ends_early_is_refused(server: Web) -> None:
    server.answers["/large"] = plain(b"x" * 2000)
    server.answers["/early"] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"

    async with client(server, max_bytes=1000) as made:
        with pytest.raises(ResultInvalid):
            await made.get(server.url("/large"))
        with pytest.raises(EgressFailed):
            await made.get(server.url("/early"))


async def test_a_server_that_says_nothing_is_waited_for_no_longer_than_the_client_wants(server: Web) -> None:
    async def nothing(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    server.answers["/"] = nothing

    async with client(server) as made:
        with pytest.raises(httpx2.ReadTimeout):
            await made.get(server.url(), timeout=0.1)
