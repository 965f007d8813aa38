"""ASGI applications inside aiohttp."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.http.mcp.bridge import Application, Exchange
from services.chassis.gate import Visitor

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"x-some", b"value"), (b"connection", b"x")],
}


@asynccontextmanager
async def served(application: Application, *, write_seconds: float = 5.0) -> AsyncIterator[str]:
    """Serve an application and yield its address."""

    async def handle(request: web.Request) -> web.StreamResponse:
        exchange = Exchange(request, read_seconds=5.0, write_seconds=write_seconds)
        body = await exchange.read(1000, Visitor(agent=("acme", "a")))
        return await exchange.run(application, body) or web.Response(status=500)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_request_and_answer_come_through_as_they_are() -> None:
    seen: dict[str, Any] = {}

    async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        seen.update(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await send(START)
        await send({"type": "http.response.body", "body": body[::-1], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with (
        served(application) as url,
        aiohttp.ClientSession(headers={"X-Mine": " v "}) as http,
        http.post(f"{url}/a%20b?c=d%26e", data=b"abc") as answer,
    ):
        assert await answer.read() == b"cba"
        assert answer.headers["x-some"] == "value"

    assert (seen["method"], seen["path"], seen["query_string"]) == ("POST", "/a b", b"c=d%26e")
    assert (b"x-mine", b"v") in seen["headers"]


async def test_an_application_whose_client_leaves_is_told_and_ends_as_it_likes() -> None:
    sent, told = asyncio.Event(), asyncio.Event()

    async def application(_scope: object, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send({"type": "http.response.body", "body": b"all there is", "more_body": True})
        sent.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"into the void", "more_body": False})
        told.set()

    async with served(application) as url, aiohttp.ClientSession() as http:
        async with http.post(url, data=b"x"):
            await sent.wait()
        async with asyncio.timeout(10):
            await told.wait()


async def test_an_application_that_stays_when_its_client_has_left_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.http.mcp.bridge._END_SECONDS", 0.05)
    sent, cancelled = asyncio.Event(), asyncio.Event()

    async def application(_scope: object, _receive: object, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        sent.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with served(application) as url, aiohttp.ClientSession() as http:
        async with http.get(url):
            await sent.wait()
        async with asyncio.timeout(10):
            await cancelled.wait()


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    told = asyncio.Event()

    async def application(_scope: object, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)

        async def pour() -> None:
            while not told.is_set():
                await send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})
                await asyncio.sleep(0)

        pouring = asyncio.create_task(pour())
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()
        await pouring

    async with served(application, write_seconds=0.1) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(20):
            await told.wait()
        writer.close()
