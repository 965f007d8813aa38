"""No request, whatever it holds, keeps the gateway's event loop from others for long."""

import contextlib
import io
from typing import Any, Final

import aiohttp
import grpc
import pytest

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import small_kernel
from tests.fakes.rpc import connected
from tests.fakes.tokens import ISSUER_FOR_TESTS, metadata
from tests.fuzz.looping import watched_loop

TOKEN: Final = {
    "authorization": f"Bearer {ISSUER_FOR_TESTS.token('planner')}",
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
}
MODERN: Final = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "a"}
SMALL: Final = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{}}}'
MIB: Final = 2**20
MOST_STEPS: Final = 150_000
MOST_ALLOCATED: Final = 48 * MIB
"""A body of 8 MiB is put together once and read once."""


def filled(begin: bytes, piece: bytes, end: bytes, size: int = 8 * MIB - 100) -> bytes:
    return begin + piece * ((size - len(begin) - len(end)) // len(piece)) + end


MESSAGES: Final = filled(b'{"messages":[{"role":"user"}', b',{"role":""}', b"]}")
BRACKETS: Final = filled(b'{"messages":[],"a":[[]', b",[]", b"]}")
STRINGS: Final = filled(b'{"messages":[],"stop":["abc"', b',"abc"', b"]}")
BLOCKS: Final = filled(
    b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"a"}',
    b',{"type":"text","text":"a"}',
    b"]}]}",
    27 * 16_000,
)
ITEMS: Final = filled(
    b'{"input":[{"role":"user","content":"a"}', b',{"role":"user","content":"a"}', b"]}", 30 * 15_000
)
PARTS: Final = filled(
    b'{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}',
    b',{"type":"input_text","text":"a"}',
    b"]}]}",
    32 * 15_000,
)
TEXTS: Final = filled(b'{"input":["a"', b',"a"', b"]}", 4 * 49_000)
PROSE: Final = filled(
    b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"', b"so, it goes on, ", b'"}]}'
)
CALL: Final = filled(
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{},"name":"a","arguments":{"a":[1',
    b",1",
    b"]}}}",
    2 * 49_000,
)


BODIES: Final = {
    "messages without end": ("/v1/chat/completions", MESSAGES),
    "brackets": ("/v1/chat/completions", BRACKETS),
    "short strings": ("/v1/completions", STRINGS),
    "a long text": ("/v1/messages", PROSE),
    "blocks": ("/v1/messages", BLOCKS),
    "items": ("/v1/responses", ITEMS),
    "parts": ("/v1/responses", PARTS),
    "texts to embed": ("/v1/embeddings", TEXTS),
    "arguments of a tool": ("/mcp", CALL),
    "brackets for MCP": ("/mcp", BRACKETS[:MIB]),
}


async def check(path: str, body: bytes) -> None:
    async with small_kernel(Behaviour()) as kernel, aiohttp.ClientSession(headers=TOKEN) as client:
        headers = MODERN if path == "/mcp" else {}
        async with client.post(f"{kernel.door}{path}", data=SMALL, headers=headers) as answer:
            await answer.read()  # what the first request of all imports is not a later one's
        with watched_loop() as longest:
            sent = client.post(f"{kernel.door}{path}", data=io.BytesIO(body), headers=headers)
            async with sent as answer:
                await answer.read()
                assert answer.status < 500 or path == "/mcp", await answer.text()
    assert longest.steps <= MOST_STEPS, longest.stepping
    assert longest.allocated <= MOST_ALLOCATED, longest.allocating


@pytest.mark.torture
@pytest.mark.parametrize(("path", "body"), BODIES.values(), ids=list(BODIES))
async def test_a_hostile_body_is_answered_in_short_turns(path: str, body: bytes) -> None:
    await check(path, body)


CALL_OF_MODEL: Final = chat_pb2.ToolCall(id="c", name="l", arguments_json="{}")


def with_calls(each: int, messages: int = 1024) -> bytes:
    said = chat_pb2.ChatMessage(role=chat_pb2.ROLE_ASSISTANT, tool_calls=[CALL_OF_MODEL] * each)
    return inference_pb2.GenerateRequest(messages=[said] * messages).SerializeToString()


@pytest.mark.torture
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x12\x00" * MIB, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (b"\x22\x00" * MIB, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (with_calls(15), grpc.StatusCode.INVALID_ARGUMENT),
        (with_calls(2), grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["empty messages", "empty tools", "more calls than may be", "as many calls as may be"],
)
async def test_a_hostile_call_is_answered_in_short_turns(raw: bytes, code: grpc.StatusCode) -> None:
    async with small_kernel(Behaviour()) as kernel:
        if kernel.gateway is None:
            raise AssertionError
        async with connected(kernel.gateway) as channel:
            call: Any = channel.unary_unary("/aios.api.inference.v1.InferenceService/Generate")
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call(b"\x12\x00", metadata=metadata("planner"))
            with watched_loop() as longest, pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(raw, metadata=metadata("planner"))
    assert refused.value.code() is code, refused.value.details()
    assert longest.steps <= MOST_STEPS, longest.stepping
    assert longest.allocated <= MOST_ALLOCATED, longest.allocating
