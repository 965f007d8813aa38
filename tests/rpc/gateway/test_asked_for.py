"""What a call asks for beyond its text, over a socket: room, stop strings, tools, likelihoods, affinity."""

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio

from aios.api.inference.v1 import inference_pb2 as pb
from tests.fakes.fake_openai import Behaviour as OpenAiBehaviour
from tests.fakes.fake_openai import FakeOpenAi, fake_openai, words
from tests.fakes.fake_tgi import Behaviour, FakeTgi, fake_tgi, word
from tests.fakes.kernel import chat, small_kernel
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = '{"type": "object", "properties": {"a": {"type": "integer"}}}'
TOOLS = [{"name": name, "parameters_schema_json": SCHEMA} for name in ("clock", "note")]
REQUIRED = pb.TOOL_CHOICE_REQUIRED


@dataclass
class Kernel:
    """A kernel that a test asks, and the server that it runs on."""

    stub: Any
    tgi: FakeTgi
    openai: FakeOpenAi | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The last request for a generation that the server saw."""
        seen: dict[str, Any] = (self.openai or self.tgi).seen.bodies[-1]
        return seen


@asynccontextmanager
async def on_openai(behaviour: OpenAiBehaviour) -> AsyncIterator[Kernel]:
    """Run a kernel on a server that speaks the OpenAI protocol."""
    async with fake_openai(behaviour) as server:
        backends = {"AIOS_OPENAI_ENDPOINTS": server.url}
        async with small_kernel(backends=backends) as kernel, kernel.inference() as stub:
            yield Kernel(stub, kernel.tgi, server)


@asynccontextmanager
async def on_tgi(behaviour: Behaviour) -> AsyncIterator[Kernel]:
    """Run a kernel on a server shaped like TGI."""
    async with small_kernel(behaviour) as kernel, kernel.inference() as stub:
        yield Kernel(stub, kernel.tgi)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tgi() -> AsyncIterator[Kernel]:
    """One kernel on tgi-local's like, for all tests that can do with it."""
    async with on_tgi(Behaviour(tokens=8)) as kernel:
        yield kernel


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vllm() -> AsyncIterator[Kernel]:
    """One kernel on vLLM's like."""
    calls = [("note", '{"a": 1}'), ("note", '{"a": 2}')]
    async with on_openai(OpenAiBehaviour(tool_calls=calls)) as kernel:
        yield kernel


async def refusal(stub: Any, request: pb.GenerateRequest) -> str:
    """Return the reason for which a request is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.Generate(request, metadata=metadata())
    return reason(failure.value)


async def test_a_ceiling_gets_what_the_window_leaves_for_one_look_at_the_prompt(tgi: Kernel) -> None:
    looks = tgi.tgi.seen.split
    for asked in (0, 5_000):
        request = chat("one two", max_tokens=asked, fit_max_tokens=True)
        finished = (await tgi.stub.Generate(request, metadata=metadata())).finished
        assert tgi.body["parameters"]["max_new_tokens"] == 4096 - finished.usage.prompt_tokens
        assert finished.reason == pb.FINISH_REASON_STOP

    assert tgi.tgi.seen.split == looks + 2
    assert await refusal(tgi.stub, chat("one two", max_tokens=5_000)) == "PROMPT_TOO_LONG"
    assert await refusal(tgi.stub, chat("one " * 5_000, fit_max_tokens=True)) == "PROMPT_TOO_LONG"


async def test_a_guessed_prompt_near_the_window_is_answered_by_what_the_server_leaves() -> None:
    """A guess of a prompt of short words is too low, and the server refuses a limit beyond its window."""
    behaviour = OpenAiBehaviour(owner="sglang", window=1_200, strict_window=True, pieces=words(20))
    async with on_openai(behaviour) as kernel:
        request = chat("a " * 800, fit_max_tokens=True)
        answer = await kernel.stub.Generate(request, metadata=metadata())

        assert answer.finished.message.content == "".join(words(20))
        assert "max_tokens" not in kernel.body
        assert await refusal(kernel.stub, chat("a " * 800, max_tokens=700)) == "PROMPT_TOO_LONG"


async def test_the_stop_string_that_was_met_is_told(tgi: Kernel) -> None:
    stops = [f"never{number}" for number in range(15)] + [f"{word(2)}{word(3)[:-2]}"]
    finished = (await tgi.stub.Generate(chat("hi", stop=stops), metadata=metadata())).finished
    stops_sent = tgi.body["parameters"]["stop"]
    plain = (await tgi.stub.Generate(chat("hi"), metadata=metadata())).finished

    assert (finished.message.content, finished.stop_string) == (word(0) + word(1), stops[-1])
    assert len(stops_sent) == 4
    assert plain.stop_string == ""


async def met_among_many(kernel: Kernel) -> None:
    """Ask with a stop string that is met as the first and as the last of sixteen."""
    for place in (0, 15):
        stops = [f"never{number}" for number in range(16)]
        stops[place] = "brown fox"
        finished = (await kernel.stub.Generate(chat("hi", stop=stops), metadata=metadata())).finished

        assert (finished.message.content, finished.stop_string) == ("The quick ", "brown fox")
        assert finished.reason == pb.FINISH_REASON_STOP


async def test_the_stop_string_is_told_where_the_server_cuts_it_off_and_says_so(vllm: Kernel) -> None:
    await met_among_many(vllm)


async def test_the_stop_string_is_told_where_the_server_would_cut_it_off_in_silence() -> None:
    async with on_openai(OpenAiBehaviour(owner="llamacpp")) as kernel:
        await met_among_many(kernel)


async def test_chosen_tokens_are_told_with_their_log_probabilities(tgi: Kernel, vllm: Kernel) -> None:
    request = pb.StreamGenerateRequest(generation=chat("hi", logprobs=True))
    for kernel in (tgi, vllm):
        events = [each.event async for each in kernel.stub.StreamGenerate(request, metadata=metadata())]

        places = [place for event in events for place in event.delta.top_alternatives]
        assert [place.sequence for place in places] == list(range(1, 9))
        assert "".join(place.chosen.text for place in places) == "".join(each.delta.text for each in events)
        assert {place.chosen.logprob for place in places} == {-0.25}
        assert not any(place.alternatives for place in places)


async def test_a_tool_is_named_and_calls_are_counted(vllm: Kernel) -> None:
    named = {"tools": TOOLS, "tool_choice": REQUIRED, "tool_choice_name": "note", "max_tool_calls": 1}
    answer = await vllm.stub.Generate(chat("hi", **named), metadata=metadata())
    body = vllm.body

    assert [call.arguments_json for call in answer.finished.message.tool_calls] == ['{"a": 1}']
    assert body["tool_choice"] == {"type": "function", "function": {"name": "note"}}
    assert (body["parallel_tool_calls"], len(body["tools"])) == (False, 2)
    assert await refusal(vllm.stub, chat("hi", **named | {"tool_choice_name": "clock"})) == "CONSTRAINT_UNMET"


async def test_on_a_server_without_tools_the_grammar_holds_the_named_one_alone(tgi: Kernel) -> None:
    request = chat("hi", tools=TOOLS, tool_choice=REQUIRED, tool_choice_name="note", max_tool_calls=1)
    assert await refusal(tgi.stub, request) == "CONSTRAINT_UNMET"  # the fake keeps no grammar
    grammar = tgi.body["parameters"]["grammar"]["value"]

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


async def test_what_is_out_of_bounds_is_an_invalid_request_and_the_bounds_themselves_are_not(
    tgi: Kernel,
) -> None:
    tools = [{"name": f"t{number}", "description": "d" * 32_768} for number in range(40)]
    stops = [f"{number:x}" * 256 for number in range(16)]
    for fields in OUT_OF_BOUNDS:
        assert await refusal(tgi.stub, chat("hi", **fields)) == "INVALID_REQUEST", fields
    request = chat("hi", tools=tools, stop=stops, affinity_key="k" * 128, fit_max_tokens=True)

    assert request.ByteSize() > 1_300_000
    assert (await tgi.stub.Generate(request, metadata=metadata())).finished.message.content


async def test_a_presence_penalty_is_refused_where_there_is_none(tgi: Kernel) -> None:
    penalties = {"presence_penalty": 0.5, "frequency_penalty": 0.5}
    await tgi.stub.Generate(chat("hi", sampling=penalties), metadata=metadata())
    async with on_tgi(Behaviour(kv_snapshot=False)) as plain:
        assert await refusal(plain.stub, chat("hi", sampling=penalties)) == "CAPABILITY_MISSING"
        assert plain.tgi.seen.bodies == []

    assert tgi.body["parameters"].items() >= penalties.items()


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
