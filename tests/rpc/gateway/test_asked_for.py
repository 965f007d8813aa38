"""What a call asks for beyond its text, over a socket: room, stop strings, tools, likelihoods, affinity."""

import math
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from aios.api.inference.v1 import inference_pb2 as pb
from tests.fakes.fake_openai import Behaviour as OpenAiBehaviour
from tests.fakes.fake_openai import FakeOpenAi, fake_openai, words
from tests.fakes.fake_tgi import Behaviour, FakeTgi, fake_tgi, word
from tests.fakes.kernel import chat, small_kernel
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata

SCHEMA = '{"type": "object", "properties": {"a": {"type": "integer"}}}'
TOOLS = [{"name": name, "parameters_schema_json": SCHEMA} for name in ("clock", "note")]
REQUIRED = pb.TOOL_CHOICE_REQUIRED


async def on_openai(stack: AsyncExitStack, behaviour: OpenAiBehaviour) -> tuple[Any, FakeOpenAi]:
    """Run a kernel on an OpenAI-speaking server; returns a stub too."""
    server = await stack.enter_async_context(fake_openai(behaviour))
    kernel = await stack.enter_async_context(small_kernel(backends={"AIOS_OPENAI_ENDPOINTS": server.url}))
    return await stack.enter_async_context(kernel.inference()), server


async def refusal(stub: Any, request: pb.GenerateRequest) -> str:
    """Return the reason for which a request is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.Generate(request, metadata=metadata())
    return reason(failure.value)


async def test_a_ceiling_gets_what_the_window_leaves_for_one_look_at_the_prompt() -> None:
    async with small_kernel(Behaviour(tokens=8, window=100)) as kernel, kernel.inference() as stub:
        for asked in (0, 5_000):
            request = chat("one two", max_tokens=asked, fit_max_tokens=True)
            answer = await stub.Generate(request, metadata=metadata())
            prompt = answer.finished.usage.prompt_tokens
            assert kernel.tgi.seen.bodies[-1]["parameters"]["max_new_tokens"] == 100 - prompt
            assert answer.finished.reason == pb.FINISH_REASON_STOP

        assert kernel.tgi.seen.split == 2
        assert await refusal(stub, chat("one two", max_tokens=5_000)) == "PROMPT_TOO_LONG"
        assert await refusal(stub, chat("one " * 200, fit_max_tokens=True)) == "PROMPT_TOO_LONG"


async def test_a_guessed_prompt_near_the_window_is_answered_by_what_the_server_leaves() -> None:
    """A guess of a prompt of short words is too low, and the server refuses a limit beyond its window."""
    async with AsyncExitStack() as stack:
        behaviour = OpenAiBehaviour(owner="sglang", window=1_200, strict_window=True, pieces=words(20))
        stub, server = await on_openai(stack, behaviour)
        request = chat("a " * 800, fit_max_tokens=True)
        answer = await stub.Generate(request, metadata=metadata())

        assert answer.finished.message.content == "".join(words(20))
        assert "max_tokens" not in server.seen.bodies[-1]
        assert await refusal(stub, chat("a " * 800, max_tokens=700)) == "BACKEND_REFUSED"


async def test_the_stop_string_that_was_met_is_told() -> None:
    stops = [f"never{number}" for number in range(15)] + [f"{word(2)}{word(3)[:-2]}"]
    async with small_kernel(Behaviour(tokens=8)) as kernel, kernel.inference() as stub:
        answer = await stub.Generate(chat("hi", stop=stops), metadata=metadata())

        assert answer.finished.message.content == word(0) + word(1)
        assert answer.finished.stop_string == stops[-1]
        assert len(kernel.tgi.seen.bodies[-1]["parameters"]["stop"]) == 4
        assert (await stub.Generate(chat("hi"), metadata=metadata())).finished.stop_string == ""


@pytest.mark.parametrize("owner", ["vllm", "llamacpp"])
@pytest.mark.parametrize("place", [0, 15])
async def test_the_stop_string_is_told_where_the_server_cuts_it_off(owner: str, place: int) -> None:
    stops = [f"never{number}" for number in range(16)]
    stops[place] = "brown fox"
    async with AsyncExitStack() as stack:
        stub, _ = await on_openai(stack, OpenAiBehaviour(owner=owner))
        finished = (await stub.Generate(chat("hi", stop=stops), metadata=metadata())).finished

    assert (finished.message.content, finished.stop_string) == ("The quick ", "brown fox")
    assert finished.reason == pb.FINISH_REASON_STOP


async def test_chosen_tokens_are_told_with_their_log_probabilities() -> None:
    request = pb.StreamGenerateRequest(generation=chat("hi", logprobs=True))
    async with AsyncExitStack() as stack:
        kernel = await stack.enter_async_context(small_kernel(Behaviour(tokens=8)))
        stubs = [await stack.enter_async_context(kernel.inference())]
        stubs.append((await on_openai(stack, OpenAiBehaviour()))[0])
        for stub in stubs:
            events = [each.event async for each in stub.StreamGenerate(request, metadata=metadata())]

            places = [place for event in events for place in event.delta.top_alternatives]
            text = "".join(event.delta.text for event in events)
            assert [place.sequence for place in places] == list(range(1, 9))
            assert "".join(place.chosen.text for place in places) == text
            assert {place.chosen.logprob for place in places} == {-0.25}
            assert not any(place.alternatives for place in places)


async def test_a_tool_is_named_and_calls_are_counted() -> None:
    behaviour = OpenAiBehaviour(pieces=["ok"], tool_calls=[("note", '{"a": 1}'), ("note", '{"a": 2}')])
    named = {"tools": TOOLS, "tool_choice": REQUIRED, "tool_choice_name": "note", "max_tool_calls": 1}
    async with AsyncExitStack() as stack:
        stub, server = await on_openai(stack, behaviour)
        answer = await stub.Generate(chat("hi", **named), metadata=metadata())
        body = server.seen.bodies[-1]

        assert [call.arguments_json for call in answer.finished.message.tool_calls] == ['{"a": 1}']
        assert body["tool_choice"] == {"type": "function", "function": {"name": "note"}}
        assert (body["parallel_tool_calls"], len(body["tools"])) == (False, 2)
        assert await refusal(stub, chat("hi", **named | {"tool_choice_name": "clock"})) == "CONSTRAINT_UNMET"


async def test_on_a_server_without_tools_the_grammar_holds_the_named_one_alone() -> None:
    async with small_kernel() as kernel, kernel.inference() as stub:
        request = chat("hi", tools=TOOLS, tool_choice=REQUIRED, tool_choice_name="note", max_tool_calls=1)
        assert await refusal(stub, request) == "CONSTRAINT_UNMET"  # the fake keeps no grammar
        grammar = kernel.tgi.seen.bodies[-1]["parameters"]["grammar"]["value"]

        assert '"const": "note"' in grammar
        assert '"const": "clock"' not in grammar
        assert '"maxItems": 1' in grammar


OUT_OF_BOUNDS: list[dict[str, Any]] = [
    {"tools": TOOLS, "tool_choice_name": "note"},
    {"tools": TOOLS, "tool_choice": REQUIRED, "tool_choice_name": "other"},
    {"tool_choice": REQUIRED, "tool_choice_name": "note"},
    {"stop": ["x"] * 17},
    {"stop": ["x" * 257]},
    {"stop": [""]},
    {"max_tool_calls": -1},
    {"max_tool_calls": 129},
    {"affinity_key": "k" * 129},
    {"sampling": {"frequency_penalty": 2.01}},
    {"sampling": {"presence_penalty": math.nan}},
    {"sampling": {"presence_penalty": -math.inf}},
    {"tools": [{"name": "t", "description": "d" * 32_769}]},
]


async def test_what_is_out_of_bounds_is_an_invalid_request_and_the_bounds_themselves_are_not() -> None:
    tools = [{"name": f"t{number}", "description": "d" * 32_768} for number in range(40)]
    stops = [f"{number:x}" * 256 for number in range(16)]
    async with small_kernel() as kernel, kernel.inference() as stub:
        for fields in OUT_OF_BOUNDS:
            assert await refusal(stub, chat("hi", **fields)) == "INVALID_REQUEST", fields
        request = chat("hi", tools=tools, stop=stops, affinity_key="k" * 128, fit_max_tokens=True)
        assert request.ByteSize() > 1_300_000
        assert (await stub.Generate(request, metadata=metadata())).finished.message.content


async def test_a_presence_penalty_is_refused_where_there_is_none() -> None:
    penalty = {"sampling": {"presence_penalty": 0.5, "frequency_penalty": 0.5}}
    async with small_kernel(Behaviour(kv_snapshot=False)) as kernel, kernel.inference() as stub:
        assert await refusal(stub, chat("hi", **penalty)) == "CAPABILITY_MISSING"
        assert kernel.tgi.seen.bodies == []
    async with small_kernel() as kernel, kernel.inference() as stub:
        await stub.Generate(chat("hi", **penalty), metadata=metadata())
        told = kernel.tgi.seen.bodies[-1]["parameters"]

    assert (told["presence_penalty"], told["frequency_penalty"]) == (0.5, 0.5)


async def test_calls_with_one_affinity_go_to_one_replica() -> None:
    async with AsyncExitStack() as stack:
        servers: list[FakeTgi] = [await stack.enter_async_context(fake_tgi()) for _ in range(2)]
        backends = {"AIOS_TGI_ENDPOINTS": ",".join(server.url for server in servers)}
        kernel = await stack.enter_async_context(small_kernel(backends=backends))
        stub = await stack.enter_async_context(kernel.inference())
        used = set()
        for number in range(6):
            request = pb.GenerateRequest(prompt=f"{number} " * 200, affinity_key="k")
            answer = await stub.Generate(request, metadata=metadata(f"agent-{number}"))
            used.add(answer.finished.timings.replica)

    assert len(used) == 1
