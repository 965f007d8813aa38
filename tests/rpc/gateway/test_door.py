"""The HTTP door: who comes in, what is refused how, and what happens to a stream's two ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.config import DoorConfig
from gateway.http.core.aliases import Served
from gateway.http.dialect import Dialect, Route, tell_openai
from gateway.http.fittings import Fittings
from gateway.http.server import Door
from gateway.http.streaming import send
from gateway.http.visit import Visit
from services.chassis.rpc.errors import KernelError
from services.chassis.rpc.local import LocalChannel
from services.chassis.runtime.clock import SystemClock
from services.chassis.runtime.config import load
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import SmallKernel, chat, small_kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS
from tests.fakes.waiting import until

TOKEN = {"authorization": f"Bearer {ISSUER_FOR_TESTS.token('planner')}"}


class Body(msgspec.Struct):
    text: str


class Plain:
    """A dialect of this test's own: each event by its name."""

    def start(self, first: Any | None) -> bytes:
        return b"start\n" + (self.event(first) if first is not None else b"")

    def event(self, event: Any) -> bytes:
        kind = event.event.WhichOneof("event")
        return f"{kind} {event.event.delta.text}\n".encode()

    def alive(self) -> bytes:
        return b"alive\n"

    def failed(self, error: KernelError) -> bytes:
        return f"failed {error.reason}\n".encode()


def plain(fittings: Fittings) -> list[Dialect]:
    async def work(visit: Visit) -> Any:
        text = (await visit.body(Body)).text
        request = pb.StreamGenerateRequest(generation=chat(text, max_tokens=200))
        call = fittings.kernel.inference.StreamGenerate(
            request, metadata=visit.main_metadata, timeout=visit.stream_seconds
        )
        return await send(visit, call, Plain())

    return [Dialect("plain", [Route("POST", "/v1/plain", work, tell_openai)])]


@asynccontextmanager
async def door(kernel: SmallKernel, **settings: str) -> AsyncIterator[tuple[Door, str]]:
    """Open a second door of the kernel's gateway, with the test's dialect."""
    assert kernel.gateway is not None
    opened = Door(
        load(DoorConfig, {f"D_{name.upper()}": value for name, value in settings.items()}, "D_"),
        plain,
        authenticator=ISSUER_FOR_TESTS.verifier(),
        clock=SystemClock(),
        registry=CollectorRegistry(),
        served=lambda: Served(frozenset({"fake"}), "fake"),
        room=lambda _tenant, _agent: (256, 255),
        host="127.0.0.1",
        port=0,
    )
    await opened.start(LocalChannel(kernel.gateway._pipeline))
    try:
        yield opened, f"http://127.0.0.1:{opened.port}"
    finally:
        await opened.stop(0)


async def asked(url: str, body: Any = None, **options: Any) -> tuple[int, Any, Any]:
    """Send a request; return status, JSON body (or text) and headers."""
    options.setdefault("headers", TOKEN)
    data = body if isinstance(body, bytes) else json.dumps(body or {"text": "hello"}).encode()
    async with aiohttp.ClientSession() as client, client.post(url, data=data, **options) as answer:
        text = await answer.text()
        found = json.loads(text) if answer.content_type == "application/json" else text
        return answer.status, found, answer.headers


async def test_the_models_are_told_in_each_vendors_shape() -> None:
    async with small_kernel() as kernel, aiohttp.ClientSession(headers=TOKEN) as client:
        async with client.get(f"{kernel.door}/v1/models") as answer:
            openai = await answer.json()
            assert answer.headers["x-request-id"] == answer.headers["request-id"]
        async with client.get(
            f"{kernel.door}/v1/models", headers={"anthropic-version": "2023-06-01"}
        ) as answer:
            anthropic = await answer.json()
        async with client.get(f"{kernel.door}/v1/models/gpt-anything") as answer:
            alias = await answer.json()

    assert openai["object"] == "list"
    assert openai["data"][0]["id"] == anthropic["data"][0]["id"]
    assert anthropic["data"][0]["lifecycle"] == "active"
    assert alias["id"] == "gpt-anything"


async def test_a_stream_is_sent_as_it_comes() -> None:
    async with small_kernel(Behaviour(tokens=20)) as kernel, door(kernel) as (_, url):
        status, text, headers = await asked(f"{url}/v1/plain")

    lines = text.splitlines()
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    assert lines[:2] == ["start", "admitted "]
    assert lines[-1].startswith("finished")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "invalid_api_key"),
        ({"authorization": "Basic abc"}, 401, "invalid_api_key"),
        ({"authorization": "Bearer a.b.c"}, 401, "invalid_api_key"),
        ({**TOKEN, "x-api-key": "other"}, 401, "invalid_api_key"),
    ],
)
async def test_who_cannot_be_told_is_refused(headers: dict[str, str], status: int, code: str) -> None:
    async with small_kernel() as kernel, door(kernel) as (_, url):
        got, body, answered = await asked(f"{url}/v1/plain", headers=headers)

    assert (got, body["error"]["code"]) == (status, code)
    assert answered["x-request-id"]
    assert answered["www-authenticate"] == "Bearer"


async def test_a_web_page_can_neither_show_a_key_nor_read_an_answer() -> None:
    """A key is a header, which a page may send and read about only where the answer allows its origin."""
    page = {"origin": "http://evil.example", "host": "evil.example"}
    wish = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    async with small_kernel() as kernel, door(kernel) as (_, url), aiohttp.ClientSession() as client:
        async with client.options(f"{url}/v1/plain", headers=page | wish) as preflight:
            pass
        async with client.post(f"{url}/v1/plain", data=b"{}", headers=page) as simple:
            pass

    assert preflight.status >= 400
    assert simple.status == 401
    for answer in (preflight, simple):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("body", "headers", "status", "param"),
    [
        (b'{"text": 1}', {}, 400, "text"),
        (b'{"text": "a"', {}, 400, None),
        (b"", {}, 400, None),
        (b'{"text": "\xff"}', {}, 400, None),
        (b'{"text": "\\ud83d"}', {}, 400, None),
        (b'{"text": "' + b"x" * 300_000 + b'"}', {}, 413, None),
        (b"[" * 20_000, {}, 400, None),
        (b"[" * 200_000, {}, 413, None),
        (b'{"text": "a"}', {"content-encoding": "rot13"}, 415, None),
        (b"no gzip", {"content-encoding": "gzip"}, 400, None),
    ],
)
async def test_bad_bodies_are_told_in_the_dialects_words(
    body: bytes, headers: dict[str, str], status: int, param: str | None
) -> None:
    async with small_kernel() as kernel, door(kernel, body_bytes="250000") as (_, url):
        got, told, _ = await asked(f"{url}/v1/plain", body, headers={**TOKEN, **headers})

    assert got == status, told
    assert set(told["error"]) == {"message", "type", "param", "code"}
    assert told["error"]["param"] == param or param is None


async def test_a_path_that_is_not_there_and_a_wrong_method_are_told() -> None:
    async with small_kernel() as kernel, door(kernel) as (_, url):
        status, body, _ = await asked(f"{url}/v1/nothing")
        assert (status, body["error"]["code"]) == (404, "unknown_url")
        assert "with /v1 for OpenAI clients" in body["error"]["message"]
        status, body, _ = await asked(
            f"{url}/v1/nothing", headers={**TOKEN, "anthropic-version": "2023-06-01"}
        )
        assert (status, body["error"]["type"]) == (404, "not_found_error")
        async with aiohttp.ClientSession() as client, client.get(f"{url}/v1/plain") as answer:
            assert answer.status == 405


async def test_a_refusal_before_the_first_event_keeps_its_status() -> None:
    async with small_kernel() as kernel, door(kernel) as (_, url):
        status, body, _ = await asked(f"{url}/v1/plain", {"text": "word " * 20_000})

    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")


async def test_an_agent_whose_prompts_never_fit_is_told_to_stop_at_the_third() -> None:
    async with small_kernel() as kernel, door(kernel) as (_, url):
        answers = [await asked(f"{url}/v1/plain", {"text": "word " * 20_000}) for _ in range(3)]

    assert [status for status, _, _ in answers] == [400, 400, 403]
    assert answers[2][2]["x-should-retry"] == "false"


async def test_a_client_that_leaves_ends_its_generation() -> None:
    async with (
        small_kernel(Behaviour(tokens=500, token_delay=0.05)) as kernel,
        door(kernel) as (_, url),
        aiohttp.ClientSession() as client,
    ):
        async with client.post(f"{url}/v1/plain", json={"text": "long"}, headers=TOKEN) as answer:
            await answer.content.readline()
            await until(lambda: kernel.tgi.seen.running == 1)
            answer.close()

            await until(lambda: kernel.tgi.seen.running == 0)
        assert kernel.tgi.seen.dropped == 1


async def test_a_silent_stream_shows_signs_of_life() -> None:
    slow = Behaviour(tokens=3, token_delay=0.3)
    async with small_kernel(slow) as kernel, door(kernel, keep_alive_seconds="0.05") as (_, url):
        _, text, _ = await asked(f"{url}/v1/plain")

    assert "alive" in text.splitlines()


async def test_the_status_leaves_without_an_event_when_the_wait_is_long() -> None:
    stalled = Behaviour(tokens=3, stall_after=1, slots=1)
    async with (
        small_kernel(stalled) as kernel,
        door(kernel, hold_seconds="0.05") as (_, url),
        aiohttp.ClientSession(headers=TOKEN) as client,
        client.post(f"{url}/v1/plain", json={"text": "takes the only place"}) as first,
    ):
        begun = await first.content.readany()
        await until(lambda: kernel.tgi.seen.running == 1)
        async with asyncio.timeout(10), client.post(f"{url}/v1/plain", json={"text": "waits"}) as waiting:
            told = await waiting.content.readany()

    assert begun.startswith(b"start\nadmitted ")
    assert waiting.status == 200
    assert told == b"start\n"


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with small_kernel() as kernel, door(kernel, read_seconds="0.1") as (opened, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(b"POST /v1/plain HTTP/1.1\r\nhost: x\r\n")
        async with asyncio.timeout(10):
            assert await _rest(reader) == b""
        writer.close()


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async with small_kernel() as kernel, door(kernel, read_seconds="0.2") as (opened, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        head = f"POST /v1/plain HTTP/1.1\r\nhost: x\r\nauthorization: {TOKEN['authorization']}\r\n"
        writer.write(head.encode() + b"content-length: 100\r\n\r\n{")
        async with asyncio.timeout(10):
            assert (await reader.readline()).split()[1] == b"408"
        writer.close()


async def test_more_connections_than_allowed_are_closed_unread() -> None:
    async with small_kernel() as kernel, door(kernel, connections="2") as (opened, _):
        lines = [await asyncio.open_connection("127.0.0.1", opened.port) for _ in range(3)]
        async with asyncio.timeout(10):
            assert await _rest(lines[2][0]) == b""
        for _, writer in lines:
            writer.close()


async def test_a_head_that_is_no_text_is_refused() -> None:
    async with small_kernel() as kernel, door(kernel) as (opened, _):
        for head in (b"idempotency-key: \xff", b"x-session-id: \xff", b"x-anything: a\xc3"):
            assert await _raw(opened.port, b"/v1/plain", head) == b"400"
        assert await _raw(opened.port, b"/v1/models/\xff", b"x: y") == b"400"
        assert await _raw(opened.port, b"/v1/plain", "idempotency-key: é".encode()) == b"200"


async def _raw(port: int, path: bytes, head: bytes) -> bytes:
    """Send a request byte by byte as it is; return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"text": "hello"}'
    lines = [
        b"POST " + path + b" HTTP/1.1",
        b"host: x",
        b"connection: close",
        b"authorization: " + TOKEN["authorization"].encode(),
        b"content-length: %d" % len(body),
        head,
    ]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    async with asyncio.timeout(10):
        answer = await _rest(reader)
    writer.close()
    return answer.split(b" ")[1]


async def test_a_draining_door_refuses_new_requests_and_finishes_old_ones() -> None:
    async with small_kernel(Behaviour(tokens=20, token_delay=0.02)) as kernel, door(kernel) as (opened, url):
        old = asyncio.create_task(asked(f"{url}/v1/plain"))
        await until(lambda: kernel.tgi.seen.running == 1)
        await opened.drain()
        status, body, headers = await asked(f"{url}/v1/plain")
        _, text, _ = await old

    assert (status, body["error"]["code"], headers["retry-after"]) == (503, "draining", "1")
    assert text.splitlines()[-1].startswith("finished")


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""
