"""Every route of every dialect under bad input: always the dialect's own refusal, never a defect."""

import copy
import json
import logging
import random
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from services.chassis.runtime.clock import SystemClock
from tests.fakes.context import context_service
from tests.fakes.examples import examples
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import small_kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS

TOOL = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":"b"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "description": "d", "parameters": TOOL}}],
    "tool_choice": "auto",
    "max_tokens": 3,
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 1,
    "stop": ["x"],
    "stream": False,
    "stream_options": {"include_usage": True},
    "service_tier": "flex",
}
FORMATTED = {
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 3,
    "n": 1,
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": TOOL}},
}
MESSAGE = {
    "model": "m",
    "max_tokens": 3,
    "system": [{"type": "text", "text": "be brief"}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"a": "b"}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "search_result", "content": [{"type": "text", "text": "x"}]}],
                }
            ],
        },
    ],
    "tools": [{"name": "look", "description": "d", "input_schema": TOOL}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "stop_sequences": ["x"],
    "temperature": 0.5,
    "stream": False,
}
RESPONSE = {
    "model": "m",
    "instructions": "be brief",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a":"b"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "seen"},
    ],
    "tools": [
        {"type": "function", "name": "look", "parameters": TOOL},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f", "parameters": TOOL}]},
    ],
    "tool_choice": "auto",
    "text": {"format": {"type": "text"}},
    "max_output_tokens": 3,
    "metadata": {"a": "b"},
    "include": ["message.output_text.logprobs"],
    "truncation": "auto",
    "stream": False,
    "store": False,
    "background": False,
    "previous_response_id": None,
}
ITEMS = {"items": [{"type": "message", "role": "user", "content": "hello"}], "metadata": {"a": "b"}}
MCP = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "by hand", "version": "1"},
    },
}
ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/v1/chat/completions", CHAT),
    ("POST", "/v1/chat/completions", FORMATTED),
    ("POST", "/v1/chat/completions", {**FORMATTED, "stream": True}),
    ("POST", "/v1/completions", {"prompt": ["a", "b"], "max_tokens": 3, "n": 2, "logprobs": 1, "stop": "x"}),
    ("POST", "/v1/embeddings", {"input": ["a", "b"], "model": "m", "dimensions": None}),
    ("POST", "/v1/messages", MESSAGE),
    ("POST", "/v1/messages", {**MESSAGE, "stream": True}),
    ("POST", "/v1/messages/count_tokens", MESSAGE),
    ("POST", "/v1/responses", RESPONSE),
    ("POST", "/v1/responses", {**RESPONSE, "stream": True}),
    ("POST", "/v1/responses/input_tokens", RESPONSE),
    ("POST", "/v1/responses/compact", {"model": "m", "input": RESPONSE["input"]}),
    ("POST", "/v1/conversations", ITEMS),
    ("POST", "/v1/conversations/{}", ITEMS),
    ("POST", "/v1/conversations/{}/items", ITEMS),
    ("GET", "/v1/conversations/{}", None),
    ("GET", "/v1/conversations/{}/items", None),
    ("GET", "/v1/conversations/{}/items/{}", None),
    ("DELETE", "/v1/conversations/{}", None),
    ("GET", "/v1/responses/{}", None),
    ("GET", "/v1/responses/{}/input_items", None),
    ("POST", "/v1/responses/{}/cancel", None),
    ("DELETE", "/v1/responses/{}", None),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/{}", None),
    ("GET", "/v1/chat/completions/{}", None),
    ("POST", "/mcp", MCP),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, -(2**70), 10**400, 1e308, -0.0, 0.1),
    *(
        "",
        "x",
        "\0\x01\x1b",
        "é\u2028\U0001f600",
        "a" * 5000,
        "x\r\n\r\ndata: y",
        "__proto__",
        "../..",
        "%00",
    ),
    *([], {}, [None], [[]], ["a", 1], {"type": "text"}, {"__proto__": {}}, {"": ""}, {"type": "object"}),
    *({"$ref": "#"}, [{}] * 200, {"type": "input_image"}, "auto", "required", "json_object", 10**30),
)
IDS = (
    "x",
    "%00",
    "%ff",
    "..",
    "a%2fb",
    "resp_x",
    "resp-x",
    "conv_" + "a" * 300,
    "%C3%A9",
    "a" * 4000,
    "%0d%0aa:b",
    "*",
)
QUERIES = (
    "",
    "?limit=-1",
    "?after=%00&order=zz",
    "?stream=true&starting_after=9" + "9" * 30,
    "?limit=%C3%A9&limit=2",
)
HEADERS = (
    *(("aios-class", "é"), ("aios-weight", "1e9"), ("aios-priority", "-99999999999"), ("aios-step", "x")),
    *(
        ("aios-max-wait", "nan"),
        ("aios-deadline", "inf"),
        ("aios-deadline", "9" * 300),
        ("aios-gang", "a/99"),
    ),
    *(("aios-request-id", "../x"), ("idempotency-key", "é" * 200), ("idempotency-key", "k" * 300)),
    *(("traceparent", "é"), ("traceparent", "00-" + "0" * 32), ("x-stainless-timeout", "nan")),
    *(("x-session-affinity", "é" * 200), ("content-type", "text/plain; charset=none"), ("accept", "é")),
    *(("content-encoding", "gzip"), ("content-encoding", "x"), ("anthropic-version", "é")),
    *(("mcp-session-id", "é"), ("mcp-protocol-version", "é"), ("mcp-method", "tools/call"), ("host", "é")),
    *(("origin", "http://[::1"), ("user-agent", "é/"), ("last-event-id", "x"), ("if-match", "*")),
)
PIECES = (b"\xff", b"\\ud800", b"[" * 3000, b'{"a":', b"\0", b",", b'"', b"1e999", b"NaN", b"//", b"\\u0000")
MAY = frozenset({200, 202, 400, 403, 404, 405, 406, 409, 413, 415, 429})
"""Statuses that bad input may bring; none of a defect, and none for a part of the kernel that is away."""
UNMET = "constraint_unmet"
"""The fake model writes no JSON, whatever is asked of it."""


@pytest.mark.hypothesis  # so that the long run tries more of it
async def test_bad_input_is_refused_in_each_dialects_words(caplog: pytest.LogCaptureFixture) -> None:
    behaviour = Behaviour(tokens=3, window=2048)
    async with (
        small_kernel(behaviour, context=context_service(clock=SystemClock())) as kernel,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
    ):
        caplog.clear()
        for seed in range(examples(8) * len(ROUTES)):
            method, url, body, headers = _request(seed)
            token = ISSUER_FOR_TESTS.token(f"fuzz-{seed % 7}")
            async with client.request(
                method,
                URL(kernel.door + url, encoded=True),
                data=body,
                headers={"authorization": f"Bearer {token}", **headers},
                chunked=bool(seed % 3 == 0 and body) or None,
            ) as answer:
                text = await answer.text()
            asked = f"seed {seed}: {method} {url[:80]} {headers} {(body or b'')[:3000]!r}"
            assert answer.status in MAY or UNMET in text, f"{asked}: {answer.status} {text[:300]}"
            _check(url, answer, text, asked)
            assert not [*_defects(caplog)], asked


def _request(seed: int) -> tuple[str, str, bytes | None, dict[str, str]]:
    """Make a request of a route that is valid but for some of its parts."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    method, path, valid = ROUTES[seed % len(ROUTES)]
    while "{}" in path:
        path = path.replace("{}", chance.choice(IDS), 1)
    url = path + chance.choice(QUERIES)
    headers = dict(chance.sample(HEADERS, chance.choice((0, 0, 1, 2))))
    if path == "/mcp":
        headers |= {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if valid is None:
        return method, url, None, headers
    body = copy.deepcopy(valid)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        _change(body, chance)
    return method, url, _spoilt(json.dumps(body, ensure_ascii=False).encode(), chance), headers


def _change(body: Any, chance: random.Random) -> None:
    """Put something else into one place of a body, take it out, or repeat it."""
    places = [*_places(body)]
    inside, key = chance.choice(places) if places else (body, "a")
    kind = chance.random()
    if kind < 0.1:
        del inside[key]
    elif kind < 0.2 and isinstance(inside[key], list):
        inside[key] = inside[key] * chance.choice((2, 200))
    else:
        inside[key] = copy.deepcopy(chance.choice(VALUES))


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key in [*tree] if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


def _spoilt(text: bytes, chance: random.Random) -> bytes:
    """Now and then spoil the text itself."""
    at = chance.randrange(len(text))
    match chance.randrange(12):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + chance.choice(PIECES) + text[at:]
        case 2:
            return text.replace(b'":', b'":' + chance.choice(PIECES), 1)
        case _:
            return text


def _check(url: str, answer: aiohttp.ClientResponse, text: str, asked: str) -> None:
    """See that a refusal has its dialect's form, and that a stream tells of no defect."""
    if answer.content_type == "text/event-stream":
        assert "internal error" not in text, f"{asked}: {text[:300]}"
        return
    if answer.status in {200, 202} or (url.startswith("/mcp") and answer.content_type != "application/json"):
        return
    told = json.loads(text)
    if url.startswith("/mcp"):
        assert told["jsonrpc"] == "2.0", asked
        assert told["error"]["message"], asked
    elif "request_id" in told:
        assert (told["type"], set(told["error"])) == ("error", {"type", "message"}), asked
    else:
        assert set(told["error"]) == {"message", "type", "param", "code"}, f"{asked}: {text[:300]}"


def _defects(caplog: pytest.LogCaptureFixture) -> Iterator[logging.LogRecord]:
    for record in caplog.records:
        if record.name.startswith("grpc"):  # streams that end with their test's kernel
            continue
        if record.levelno >= logging.ERROR or record.exc_info:
            yield record
