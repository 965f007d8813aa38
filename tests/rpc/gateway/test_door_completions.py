"""Plain completions and embeddings at the door."""

import json
from typing import Any

import aiohttp

from tests.fakes.fake_openai import Behaviour, fake_openai, words
from tests.fakes.kernel import SmallKernel, small_kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS

TOKEN = {"authorization": f"Bearer {ISSUER_FOR_TESTS.token('planner')}"}


async def post(kernel: SmallKernel, path: str, body: Any) -> tuple[int, Any]:
    """Send a request; return status and body."""
    async with (
        aiohttp.ClientSession(headers=TOKEN) as client,
        client.post(f"{kernel.door}{path}", json=body) as answer,
    ):
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


async def test_prompts_are_completed_whole_and_as_a_stream() -> None:
    async with (
        fake_openai(Behaviour(pieces=words(3), slots=4)) as server,
        small_kernel(backends={"AIOS_OPENAI_ENDPOINTS": server.url}) as kernel,
    ):
        status, told = await post(kernel, "/v1/completions", {"prompt": ["One", "Two"], "model": "any"})
        assert status == 200, told
        assert [each["text"] for each in told["choices"]] == ["The quick brown"] * 2
        assert {each["prompt"] for each in server.seen.bodies} == {"One", "Two"}
        assert told["usage"]["completion_tokens"] == 6

        status, text = await post(
            kernel, "/v1/completions", {"prompt": "One", "stream": True, "max_tokens": 2}
        )
        lines = text.split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
        assert "".join(each["choices"][0]["text"] for each in chunks) == "The quick"
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"

        status, told = await post(kernel, "/v1/completions", {"prompt": "One", "echo": True})
        assert (status, told["error"]["param"]) == (400, "echo")


async def test_texts_are_embedded_however_many_there_are() -> None:
    async with small_kernel() as kernel:
        texts = [f"text number {number}" for number in range(130)]
        status, told = await post(
            kernel,
            "/v1/embeddings",
            {"input": texts, "model": "text-embedding-3-small", "encoding_format": "base64"},
        )
        assert status == 200, told
        assert told["object"] == "list"
        assert [each["index"] for each in told["data"]] == list(range(130))
        assert told["usage"] == {"prompt_tokens": 520, "total_tokens": 520}

        _, one = await post(kernel, "/v1/embeddings", {"input": texts[77], "model": "text-embedding-3-small"})
        assert one["data"][0]["embedding"] == told["data"][77]["embedding"]
        assert one["model"] == told["model"]

        own = len(one["data"][0]["embedding"])
        for asked, expected in ((own, 200), (own + 1, 400)):
            status, told = await post(kernel, "/v1/embeddings", {"input": "a", "dimensions": asked})
            assert status == expected
        assert told["error"]["param"] == "dimensions"

        status, told = await post(kernel, "/v1/embeddings", {"input": [1, 2]})
        assert (status, told["error"]["code"]) == (400, "unsupported_parameter")
        status, _ = await post(kernel, "/v1/embeddings", {"input": "a", "model": "fake"})
        assert status == 200
