"""Chat completions at the door: whole, as a stream, several at once, with tools, refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from tests.fakes.fake_openai import Behaviour, FakeOpenAi, fake_openai, words
from tests.fakes.fake_tgi import Behaviour as TgiBehaviour
from tests.fakes.kernel import SmallKernel, small_kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS, metadata
from tests.fakes.waiting import until

TOKEN = {"authorization": f"Bearer {ISSUER_FOR_TESTS.token('planner')}"}
CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "Tells the time.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "strict": True,
    },
}
HELLO = [{"role": "user", "content": "hello there"}]


@asynccontextmanager
async def kernel_on(behaviour: Behaviour) -> AsyncIterator[tuple[SmallKernel, FakeOpenAi]]:
    """Run a kernel on a server that calls tools natively."""
    async with (
        fake_openai(behaviour) as server,
        small_kernel(backends={"AIOS_OPENAI_ENDPOINTS": server.url}) as kernel,
    ):
        yield kernel, server


async def post(kernel: SmallKernel, body: Any, path: str = "/v1/chat/completions", **headers: str) -> Any:
    """Send a request; return status, body (JSON, or text of a stream) and headers."""
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{kernel.door}{path}", json=body, headers={**TOKEN, **headers}) as answer,
    ):
        text = await answer.text()
        found = json.loads(text) if answer.content_type == "application/json" else text
        return answer.status, found, answer.headers


def chunks(text: str) -> list[Any]:
    """Read the data of a stream's events, which must end with the mark."""
    lines = [line for line in text.split("\n\n") if line and not line.startswith(":")]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def choice(index: int, delta: Any, finish: str | None = None) -> Any:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


async def test_a_chat_is_answered_whole_and_as_a_stream() -> None:
    async with kernel_on(Behaviour(pieces=words(3))) as (kernel, server):
        status, body, headers = await post(
            kernel,
            {
                "model": "gpt-6-astra",
                "messages": [
                    {"role": "developer", "content": "be brief"},
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "hello"}, {"type": "text", "text": "you"}],
                    },
                ],
                "max_tokens": 7,
                "max_completion_tokens": 32_000,
                "reasoning_effort": "low",
                "store": True,
                "metadata": {"a": "b"},
                "service_tier": "flex",
                "unknown": {"x": 1},
            },
            **{"aios-request-id": "first"},
        )
        assert status == 200, body
        created = body.pop("created")
        assert isinstance(created, int)
        assert body == {
            "id": "chatcmpl-first",
            "object": "chat.completion",
            "model": "fake-chat",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "The quick brown",
                        "refusal": None,
                        "annotations": [],
                    },
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": body["usage"]["prompt_tokens"],
                "completion_tokens": 3,
                "total_tokens": body["usage"]["prompt_tokens"] + 3,
                "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 0,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
            "service_tier": "flex",
        }
        assert headers["aios-generation"] == "agents/planner/generations/first"
        assert headers["aios-wait-ms"].isdigit()
        assert headers["aios-replica"]
        sent = server.seen.bodies[0]
        assert [each["role"] for each in sent["messages"]] == ["system", "user"]
        assert sent["messages"][1]["content"] == "hello\nyou"

        status, text, headers = await post(
            kernel,
            {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}},
            **{"aios-request-id": "second"},
        )
        assert status == 200
        assert headers["aios-generation"] == "agents/planner/generations/second"
        told = chunks(text)
        created = told[0]["created"]
        head = {
            "id": "chatcmpl-second",
            "object": "chat.completion.chunk",
            "created": created,
            "model": "fake-chat",
        }
        assert told[0] == {
            **head,
            "choices": [choice(0, {"role": "assistant", "content": "", "refusal": None})],
            "usage": None,
        }
        texts = told[1:-2]
        assert "".join(each["choices"][0]["delta"]["content"] for each in texts) == "The quick brown"
        assert all(each == {**head, "choices": each["choices"], "usage": None} for each in texts)
        assert told[-2] == {**head, "choices": [choice(0, {}, "stop")], "usage": None}
        assert told[-1]["choices"] == []
        assert told[-1]["usage"]["completion_tokens"] == 3

        _, text, _ = await post(kernel, {"messages": HELLO, "stream": True})
        assert all("usage" not in each for each in chunks(text))


async def test_tool_calls_are_told_in_pieces_and_taken_back() -> None:
    behaviour = Behaviour(pieces=["Let me", " see."], tool_calls=[("clock", '{"a": 1}'), ("clock", "")])
    async with kernel_on(behaviour) as (kernel, server):
        _, body, _ = await post(kernel, {"messages": HELLO, "tools": [CLOCK]})
        message = body["choices"][0]["message"]
        assert body["choices"][0]["finish_reason"] == "tool_calls"
        assert message["content"] == "Let me see."
        assert [each["function"] for each in message["tool_calls"]] == [
            {"name": "clock", "arguments": '{"a": 1}'},
            {"name": "clock", "arguments": "{}"},
        ]
        ids = [each["id"] for each in message["tool_calls"]]
        assert len(set(ids)) == 2

        _, text, _ = await post(kernel, {"messages": HELLO, "tools": [CLOCK], "stream": True})
        deltas = [each["choices"][0]["delta"] for each in chunks(text)]
        assert "".join(each.get("content", "") for each in deltas) == "Let me see."
        pieces = [each["tool_calls"][0] for each in deltas if "tool_calls" in each]
        assert [each["index"] for each in pieces] == [0, 0, 1, 1]
        first, then = pieces[:2]
        assert first["type"] == "function"
        assert first["function"] == {"name": "clock", "arguments": ""}
        assert then == {"index": 0, "function": {"arguments": '{"a": 1}'}}

        again = [
            *HELLO,
            message,
            *(
                {"role": "tool", "tool_call_id": each, "content": [{"type": "text", "text": "9"}]}
                for each in ids
            ),
        ]
        server.behaviour.tool_calls = []
        status, body, _ = await post(kernel, {"messages": again, "tools": [CLOCK]})
        assert (status, body["choices"][0]["finish_reason"]) == (200, "stop")
        sent = server.seen.bodies[-1]["messages"]
        assert [each["role"] for each in sent] == ["user", "assistant", "tool", "tool"]
        assert [each["tool_call_id"] for each in sent[2:]] == ids


async def test_parallel_calls_can_be_forbidden_and_a_tool_can_be_named() -> None:
    async with kernel_on(Behaviour(pieces=[], tool_calls=[("clock", "{}"), ("clock", "{}")])) as (
        kernel,
        server,
    ):
        other = {"type": "function", "function": {"name": "other"}}
        body = {
            "messages": HELLO,
            "tools": [CLOCK, other],
            "parallel_tool_calls": False,
            "tool_choice": {"type": "function", "function": {"name": "clock"}},
        }
        status, told, _ = await post(kernel, body)

        assert status == 200, told
        assert len(told["choices"][0]["message"]["tool_calls"]) == 1
        assert told["choices"][0]["message"]["content"] is None
        assert server.seen.bodies[-1]["tool_choice"] == {"type": "function", "function": {"name": "clock"}}


async def test_several_answers_come_together_as_one_stream_and_as_one_body() -> None:
    async with kernel_on(Behaviour(pieces=words(4), token_delay=0.01, slots=4)) as (kernel, server):
        body = {"messages": HELLO, "n": 3, "seed": -5, "temperature": 1, "max_tokens": 10}
        status, whole, headers = await post(kernel, body, **{"idempotency-key": "a b"})
        assert status == 200, whole
        assert [each["index"] for each in whole["choices"]] == [0, 1, 2]
        assert {each["message"]["content"] for each in whole["choices"]} == {"The quick brown fox"}
        assert whole["usage"]["completion_tokens"] == 12
        assert whole["usage"]["prompt_tokens"] < 12
        assert len(headers["aios-generation"].split(", ")) == 3
        seeds = {each["seed"] for each in server.seen.bodies}
        assert seeds == {2**32 - 5, 2**32 - 4, 2**32 - 3}

        _, again, _ = await post(kernel, body, **{"idempotency-key": "a b"})
        assert again["choices"] == whole["choices"]
        assert len(server.seen.bodies) == 3

        _, text, _ = await post(kernel, {**body, "stream": True, "stream_options": {"include_usage": True}})
        told = chunks(text)
        texts = ["", "", ""]
        ends = []
        for each in told[:-1]:
            [one] = each["choices"]
            texts[one["index"]] += one["delta"].get("content", "")
            ends += [one["index"]] if one["finish_reason"] else []
        assert texts == ["The quick brown fox"] * 3
        assert sorted(ends) == [0, 1, 2]
        assert told[-1]["usage"]["completion_tokens"] == 12


async def test_more_answers_than_the_backends_hold_at_once_start_one_by_one() -> None:
    async with small_kernel(TgiBehaviour(slots=2, tokens=4)) as kernel:
        body = {"messages": HELLO, "n": 5, "max_tokens": 4}
        status, told, _ = await post(kernel, body, **{"aios-request-id": "five"})
        assert status == 200, told
        assert len(told["choices"]) == 5
        _, again, _ = await post(kernel, body, **{"aios-request-id": "five"})
        assert again["choices"] == told["choices"]
        assert len(kernel.tgi.seen.runs) == 5


async def test_one_failed_answer_ends_all_of_them_with_its_error() -> None:
    behaviour = Behaviour(pieces=words(400), token_delay=0.02)
    async with kernel_on(behaviour) as (kernel, server):
        body = {"messages": HELLO, "n": 2, "max_tokens": 400, "stream": True}
        asking = asyncio.create_task(post(kernel, body, **{"aios-request-id": "two"}))
        await until(lambda: server.seen.running == 2)
        async with kernel.inference() as stub:
            await stub.CancelGeneration(
                pb.CancelGenerationRequest(name="agents/planner/generations/two-1"), metadata=metadata()
            )
        _, text, _ = await asking
        await until(lambda: server.seen.running == 0)
        assert (server.seen.finished, server.seen.dropped) == (0, 2)

    last = text.rstrip().rpartition("\n\n")[2]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "cancelled"
    assert "[DONE]" not in text


async def test_a_client_that_leaves_ends_all_answers() -> None:
    async with kernel_on(Behaviour(pieces=words(400), token_delay=0.02)) as (kernel, server):
        for stream in (True, False):
            body = {"messages": HELLO, "n": 2, "max_tokens": 400, "stream": stream}
            asking = asyncio.create_task(post(kernel, body))
            await until(lambda: server.seen.running == 2)
            asking.cancel()
            await until(lambda: server.seen.running == 0)

        assert (server.seen.finished, server.seen.dropped) == (0, 4)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_refused_names_the_clients_own_field(*, stream: bool) -> None:
    cases: list[tuple[dict[str, Any], str | None, str]] = [
        ({"messages": []}, "messages", "invalid_request"),
        ({"messages": [{"role": "king", "content": "a"}]}, "messages[0].role", "invalid_request"),
        ({"n": 17}, "n", "invalid_request"),
        ({"audio": {"voice": "a"}}, "audio", "unsupported_parameter"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "unsupported_parameter"),
        ({"top_logprobs": 6, "logprobs": True}, "top_logprobs", "unsupported_parameter"),
        ({"temperature": "hot"}, "temperature", "invalid_request"),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
            "invalid_request",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0]",
            "unsupported_content",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "array"}},
                }
            },
            "response_format.json_schema.schema",
            "constraint_invalid",
        ),
    ]
    async with small_kernel(TgiBehaviour(kv_snapshot=False)) as kernel:
        for fields, param, code in cases:
            status, told, _ = await post(kernel, {"messages": HELLO, "stream": stream, **fields})
            assert status == 400, (fields, told)
            assert told["error"]["code"] == code, (fields, told)
            assert param is None or told["error"]["param"] == param, (fields, told)
        status, told, _ = await post(kernel, {"messages": HELLO, "stream": stream}, **{"aios-weight": "many"})
        assert (status, told["error"]["param"]) == (400, "aios-weight")
        status, told, _ = await post(kernel, {"messages": HELLO, "stream": stream, "presence_penalty": 1})
        assert (status, told["error"]["param"]) == (400, "presence_penalty")


async def test_json_is_promised_and_kept() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    async with kernel_on(Behaviour(pieces=['{"a":', " 1}"])) as (kernel, server):
        form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
        status, told, _ = await post(kernel, {"messages": HELLO, "response_format": form})
        assert (status, told["choices"][0]["message"]["content"]) == (200, '{"a": 1}')
        assert json.dumps(schema) in json.dumps(server.seen.bodies[-1])

        status, told, _ = await post(kernel, {"messages": HELLO, "response_format": {"type": "json_object"}})
        assert status == 200, told


async def test_a_tier_above_the_agents_caps_is_lowered_and_a_class_above_them_is_refused() -> None:
    async with kernel_on(Behaviour(pieces=words(2))) as (kernel, _):
        kernel.agents.caps["modest"] = agent_pb2.SchedulingCaps(
            highest_class=agent_pb2.SCHEDULING_CLASS_NORMAL
        )
        modest = {"authorization": f"Bearer {ISSUER_FOR_TESTS.token('modest')}"}
        body = {"messages": HELLO, "service_tier": "priority"}

        _, told, _ = await post(kernel, body)
        assert told["service_tier"] == "priority"
        _, told, _ = await post(kernel, body, **modest)
        assert told["service_tier"] == "default"
        _, text, _ = await post(kernel, {**body, "stream": True, "n": 2}, **modest)
        assert {each["service_tier"] for each in chunks(text)} == {"default"}
        status, told, _ = await post(kernel, body, **modest, **{"aios-class": "interactive"})
        assert (status, told["error"]["type"]) == (403, "permission_error")


async def test_a_prompt_that_is_too_long_and_a_wrong_route_keep_their_status() -> None:
    behaviour = TgiBehaviour(tokens=4)
    async with small_kernel(behaviour) as kernel, aiohttp.ClientSession(headers=TOKEN) as client:
        long = {"messages": [{"role": "user", "content": "word " * 20_000}], "stream": True}
        status, told, _ = await post(kernel, long)
        assert (status, told["error"]["code"]) == (400, "context_length_exceeded")
        behaviour.error = (422, "`inputs` must have less than 9 tokens. Given: at least 12", "validation")
        status, told, _ = await post(kernel, {"messages": HELLO})
        assert (status, told["error"]["code"]) == (400, "context_length_exceeded")
        assert "Given: at least 12: shorten the prompt" in told["error"]["message"]
        behaviour.error = None

        for method, path, expected in (
            ("GET", "/v1/chat/completions/x", 404),
            ("POST", "/v1/chat/completions/x", 404),
            ("DELETE", "/v1/chat/completions/x", 404),
            ("GET", "/v1/chat/completions/x/messages", 404),
            ("GET", "/v1/chat/completions", 200),
            ("DELETE", "/v1/models/fake", 405),
            ("DELETE", "/v1/chat/completions", 405),
        ):
            async with client.request(method, f"{kernel.door}{path}") as answer:
                assert answer.status == expected, (method, path)
