"""Responses over HTTP: whole, streamed, with tools, and what is refused."""

import json
from typing import Any

import aiohttp

from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import small_kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS

TOKEN = {"authorization": f"Bearer {ISSUER_FOR_TESTS.token('planner')}"}


async def asked(url: str, body: Any, **headers: str) -> tuple[int, Any]:
    """Send a request; return status and JSON body, or events."""
    async with (
        aiohttp.ClientSession(headers={**TOKEN, **headers}) as client,
        client.post(f"{url}/v1/responses", json=body) as answer,
    ):
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else events(text)


def events(text: str) -> list[dict[str, Any]]:
    """Read server-sent events; each is named as its type says."""
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


async def test_a_response_is_given_whole_and_streamed() -> None:
    async with small_kernel(Behaviour(tokens=6)) as kernel:
        status, whole = await asked(kernel.door, {"model": "any", "input": "hello", "store": False})
        _, stream = await asked(kernel.door, {"input": "hello", "stream": True, "store": False})
        _, lost = await asked(kernel.door, {"input": "hello"})  # this kernel keeps no conversations

    assert (status, whole["status"], whole["object"]) == (200, "completed", "response")
    assert (lost["status"], lost["store"], lost["output"][0]["content"]) == (
        *("completed", False),
        whole["output"][0]["content"],
    )
    [item] = whole["output"]
    assert item["content"][0]["text"]
    assert [each["sequence_number"] for each in stream] == list(range(len(stream)))
    deltas = [each["delta"] for each in stream if each["type"] == "response.output_text.delta"]
    assert "".join(deltas) == item["content"][0]["text"]
    assert stream[-1]["type"] == "response.completed"
    assert stream[-1]["response"]["output"][0]["content"] == item["content"]
    assert stream[-1]["response"]["usage"] == whole["usage"]


async def test_what_cannot_be_is_refused_by_the_clients_name_of_it() -> None:
    refused: list[tuple[Any, str]] = [
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": "x", "tool_choice": "required"}, "tool_choice"),
        ({"input": "x", "temperature": 3}, "temperature"),
        ({"input": 7}, "input"),
    ]
    async with small_kernel() as kernel:
        for body, param in refused:
            status, told = await asked(kernel.door, body)
            assert (status, told["error"]["param"]) == (400, param), told
