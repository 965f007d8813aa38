"""The HTTP door below its dialects: heads that are no HTTP, packed bodies, clients that take nothing."""

import asyncio
import gzip
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.http.dialect import Dialect, Route, tell_openai
from gateway.http.fittings import Fittings
from gateway.http.server import _AT_ONCE
from gateway.http.visit import Visit
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import small_kernel
from tests.fakes.waiting import until
from tests.rpc.gateway.test_door import TOKEN, door, plain

AUTHORIZED = b"authorization: " + TOKEN["authorization"].encode()
HELLO = b'{"text": "hello"}'


NO_HTTP = (
    b"FOO /v1/plain HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST /v1/plain HTTP/9.9\r\nhost: x\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    b"POST /v1/plain HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n",
    b"POST /v1/plain HTTP/1.1\r\nhost: x\r\na: b\x00c\r\n\r\n",
    b"POST /v1/plain HTTP/1.1\r\nhost: x\r\na: " + b"b" * 40_000 + b"\r\n\r\n",
    b"POST /v1/plain HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
    b"POST /v1/plain HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"POST /v1/plain HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
)


async def test_what_is_no_http_is_refused_in_the_doors_words_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with small_kernel() as kernel, door(kernel) as (opened, _):
        caplog.clear()
        for request in NO_HTTP:
            await _closed_with(400, opened.port, request)

    assert _complaints(caplog) == []


async def test_a_body_that_cannot_be_unpacked_ends_its_connection_and_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with small_kernel() as kernel, door(kernel) as (opened, _):
        caplog.clear()
        for encoding, status in ((b"br", 415), (b"zstd", 415), (b"gzip", 400), (b"deflate", 400)):
            await _closed_with(status, opened.port, _post(b"not packed", b"content-encoding: " + encoding))

    assert _complaints(caplog) == []


async def test_the_rest_of_a_packed_body_that_nobody_reads_is_not_unpacked() -> None:
    packed = gzip.compress(b" " * 20_000_000)
    async with small_kernel() as kernel, door(kernel, body_bytes="1000000") as (opened, _):
        for head, status in ((b"authorization: Basic x", 401), (AUTHORIZED, 413)):
            request = b"POST /v1/plain HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\n" + head
            request += b"\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
            # To keep the connection open, all that is left would have to be read.
            await _closed_with(status, opened.port, request)


async def test_what_a_client_expects_besides_is_ignored() -> None:
    async with small_kernel() as kernel, door(kernel) as (opened, _):
        got, _, _ = await _answer(opened.port, _post(HELLO, b"expect: nonsense"))

    assert got == 200


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with small_kernel() as kernel, door(kernel) as (opened, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        request = _post(HELLO, b"expect: 100-continue")
        writer.write(request.removesuffix(HELLO))
        async with asyncio.timeout(10):
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            writer.write(HELLO)
            await reader.readline()
            assert (await reader.readline()).split()[1] == b"200"
        writer.close()


async def test_who_does_not_take_a_whole_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def large(_visit: Visit) -> web.StreamResponse:
        return web.Response(body=b"x" * 2**24)

    def dialects(fittings: Fittings) -> list[Dialect]:
        return [*plain(fittings), Dialect("large", [Route("GET", "/v1/large", large, tell_openai)])]

    monkeypatch.setattr("gateway.http.protocol._SLOWEST", 2**30)
    monkeypatch.setattr("tests.rpc.gateway.test_door.plain", dialects)
    async with small_kernel() as kernel, door(kernel, write_seconds="0.2") as (opened, _):
        _, writer = await asyncio.open_connection("127.0.0.1", opened.port, limit=2**10)
        writer.write(b"GET /v1/large HTTP/1.1\r\nhost: x\r\n" + AUTHORIZED + b"\r\n\r\n")
        await until(lambda: opened._connections == 1)

        await until(lambda: opened._connections == 0)
        writer.close()


async def test_a_body_of_untold_length_is_counted_as_what_it_is_once_it_is_there() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield HELLO

    slow = Behaviour(tokens=1, token_delay=5)
    async with (
        small_kernel(slow) as kernel,
        door(kernel, hold_seconds="30") as (opened, url),
        aiohttp.ClientSession() as client,
    ):
        asking = asyncio.ensure_future(client.post(f"{url}/v1/plain", data=pieces(), headers=TOKEN))
        await until(lambda: opened._bodies.held > 0)
        await until(lambda: opened._bodies.held == len(HELLO))
        asking.cancel()
        await asyncio.wait({asking})
        await until(lambda: opened._bodies.held == 0)


async def _closed_with(status: int, port: int, request: bytes) -> None:
    got, headers, body = await _answer(port, request)
    assert (got, headers["connection"]) == (status, "close"), request[:80]
    assert headers["server"] == "aios"
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


def _complaints(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what the door logged; gRPC complains of streams that end with their test's kernel."""
    records = (record for record in caplog.records if not record.name.startswith("grpc"))
    return [record for record in records if record.levelno >= logging.WARNING]


def _post(body: bytes, head: bytes) -> bytes:
    lines = [b"POST /v1/plain HTTP/1.1", b"host: x", AUTHORIZED, b"content-length: %d" % len(body), head]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def _answer(port: int, request: bytes) -> tuple[int, Any, bytes]:
    """Send bytes as they are; return status, headers and body of the first answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        if head[0].startswith("HTTP/1.0"):
            headers.setdefault("connection", "close")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    writer.close()
    return int(head[0].split()[1]), headers, body


async def test_connections_are_taken_a_few_in_a_turn_and_many_may_wait() -> None:
    async with small_kernel() as kernel, door(kernel) as (opened, _):
        taken: list[int] = []
        raw = [socket.socket() for _ in range(200)]
        for each in raw:
            each.setblocking(False)  # noqa: FBT003 - as the library names it
            each.connect_ex(("127.0.0.1", opened.port))
        while opened._connections < 200:
            taken.append(opened._connections)
            await asyncio.sleep(0)
        for each in raw:
            each.close()

    assert (
        max(after - before for before, after in zip([0, *taken], [*taken, 200], strict=True)) <= 2 * _AT_ONCE
    )
