"""Anthropic's Messages through the door of a small kernel."""

import json
from typing import Any

import aiohttp

from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import SmallKernel, small_kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS

HEADERS = {"x-api-key": ISSUER_FOR_TESTS.token("planner"), "anthropic-version": "2023-06-01"}
HI = {"model": "claude-any", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}


async def post(kernel: SmallKernel, path: str, body: Any, **headers: str) -> tuple[int, str, Any]:
    async with (
        aiohttp.ClientSession(headers={**HEADERS, **headers}) as client,
        client.post(kernel.door + path, json=body) as answer,
    ):
        return answer.status, await answer.text(), answer.headers


async def test_a_message_whole_streamed_counted_retried_and_refused() -> None:
    async with small_kernel(Behaviour(tokens=6)) as kernel:
        status, text, headers = await post(kernel, "/v1/messages?beta=true", HI)
        whole = json.loads(text)
        assert status == 200
        assert whole["type"] == "message"
        assert whole["stop_reason"] in ("end_turn", "max_tokens")
        assert headers["aios-replica"]

        _, streamed, _ = await post(kernel, "/v1/messages", {**HI, "stream": True})
        events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: ")]
        grown = "".join(
            event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta"
        )
        assert grown == whole["content"][0]["text"]
        assert events[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]

        status, text, _ = await post(kernel, "/v1/messages/count_tokens", HI)
        assert (status, json.loads(text)["input_tokens"]) == (200, whole["usage"]["input_tokens"])

        before = kernel.tgi.seen.finished
        key = {"idempotency-key": "once"}
        first = json.loads((await post(kernel, "/v1/messages", HI, **key))[1])
        again = json.loads((await post(kernel, "/v1/messages", HI, **key))[1])
        assert first["id"] == again["id"]
        assert kernel.tgi.seen.finished == before + 1
        status, text, headers = await post(kernel, "/v1/messages", {**HI, "max_tokens": 3}, **key)
        assert (status, json.loads(text)["error"]["type"]) == (409, "conflict_error")
        assert headers["x-should-retry"] == "false"

        long = {**HI, "messages": [{"role": "user", "content": "word " * 30_000}]}
        status, text, _ = await post(kernel, "/v1/messages", long)
        error = json.loads(text)["error"]
        assert (status, error["type"]) == (400, "invalid_request_error")
        assert error["message"].startswith("prompt is too long: ")

        status, text, _ = await post(kernel, "/v1/messages", {"messages": []})
        assert (status, json.loads(text)["type"]) == (400, "error")
