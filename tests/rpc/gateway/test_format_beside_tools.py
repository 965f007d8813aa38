"""A format and tools in one request, over both drivers, at every door: calls, or an answer in the format."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc
import pytest

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.fake_openai import Behaviour, FakeOpenAi, fake_openai
from tests.fakes.gguf_model import write_random_model
from tests.fakes.kernel import SmallKernel, chat, small_kernel
from tests.fakes.rpc import reason
from tests.fakes.tgi_local import tgi_local
from tests.fakes.tokens import ISSUER_FOR_TESTS, metadata

FORM: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PARAMETERS: Final = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOLS: Final = [{"name": "clock", "parameters_schema_json": json.dumps(PARAMETERS)}]
FUNCTION: Final = {"name": "clock", "parameters": PARAMETERS}
CALLED: Final = '{"tool_calls": [{"name": "clock", "arguments": {"a": 1}}]}'
ANSWERED: Final = '{"city": "Rome"}'
TOKEN: Final = {"authorization": f"Bearer {ISSUER_FOR_TESTS.token('planner')}"}

CHAT: Final = {
    "messages": [{"role": "user", "content": "hi"}],
    "tools": [{"type": "function", "function": FUNCTION}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "trip", "schema": FORM}},
}
RESPONSE: Final = {
    "input": "hi",
    "store": False,
    "tools": [{"type": "function", **FUNCTION}],
    "text": {"format": {"type": "json_schema", "name": "trip", "schema": FORM}},
}
MESSAGE: Final = {
    "model": "any",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
    "tools": [{"name": "clock", "input_schema": PARAMETERS}],
    "output_config": {"format": {"type": "json_schema", "schema": FORM}},
}


@dataclass
class Served:
    """A kernel on one server, whose next answer a test says."""

    kernel: SmallKernel
    openai: FakeOpenAi | None = None
    engine: FakeEngine | None = None

    def will_say(self, text: str) -> None:
        if self.openai is not None:
            self.openai.behaviour.tool_calls = [("clock", '{"a": 1}')]  # where tools are offered natively
            self.openai.behaviour.pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
        if self.engine is not None:
            self.engine.script.output = text.encode()

    async def post(self, path: str, body: Any) -> Any:
        """Send a request; return the JSON of the answer, or of each event."""
        async with (
            aiohttp.ClientSession(headers=TOKEN) as client,
            client.post(self.kernel.door + path, json=body) as answer,
        ):
            text = await answer.text()
            assert answer.status == 200, text
        if not body.get("stream"):
            return json.loads(text)
        data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
        return [json.loads(each) for each in data if each != "[DONE]"]


@asynccontextmanager
async def served_by(driver: str, directory: Path) -> AsyncIterator[Served]:
    async with AsyncExitStack() as stack:
        if driver == "openai":
            server = await stack.enter_async_context(fake_openai(Behaviour()))
            backends = {"AIOS_OPENAI_ENDPOINTS": server.url}
            kernel = await stack.enter_async_context(small_kernel(backends=backends))
            yield Served(kernel, openai=server)
            return
        engine = FakeEngine(directory / "data" / "snapshots")
        model = write_random_model(directory / "random.gguf")
        local = await stack.enter_async_context(tgi_local(model, directory / "data", engine, ctx=4096))
        backends = {"AIOS_TGI_ENDPOINTS": f"http://127.0.0.1:{local.port}"}
        kernel = await stack.enter_async_context(small_kernel(backends=backends))
        yield Served(kernel, engine=engine)


@pytest.fixture(params=["openai", "tgi_local"])
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_by(request.param, tmp_path) as made:
        yield made


def asking(**fields: Any) -> pb.GenerateRequest:
    return chat("hi", tools=TOOLS, constraint={"json_schema": json.dumps(FORM)}, **fields)


async def test_an_agent_gets_calls_or_an_answer_in_its_format_and_nothing_else(served: Served) -> None:
    async with served.kernel.inference() as stub:
        served.will_say(CALLED)
        called = (await stub.Generate(asking(), metadata=metadata())).finished
        served.will_say(ANSWERED)
        answered = (await stub.Generate(asking(), metadata=metadata())).finished
        served.will_say(CALLED)
        required = await stub.Generate(asking(tool_choice=pb.TOOL_CHOICE_REQUIRED), metadata=metadata())
        served.will_say('{"city": 1}')
        with pytest.raises(grpc.aio.AioRpcError) as neither:
            await stub.Generate(asking(), metadata=metadata())

    [call] = called.message.tool_calls
    assert (call.name, json.loads(call.arguments_json)) == ("clock", {"a": 1})
    assert (called.reason, called.message.content) == (pb.FINISH_REASON_TOOL_CALLS, "")
    assert (answered.reason, answered.message.content) == (pb.FINISH_REASON_STOP, ANSWERED)
    assert not answered.message.tool_calls
    assert len(required.finished.message.tool_calls) == 1
    # tgi-local sees for itself that the output breaks its grammar.
    assert reason(neither.value) == ("CONSTRAINT_UNMET" if served.openai else "CONSTRAINT_INVALID")


async def test_a_stream_at_each_door_shows_the_answer_and_never_the_text_of_a_call(served: Served) -> None:
    served.will_say(CALLED)
    chats = await served.post("/v1/chat/completions", {**CHAT, "stream": True})
    responses = await served.post("/v1/responses", {**RESPONSE, "stream": True})
    messages = await served.post("/v1/messages", {**MESSAGE, "stream": True})

    told = [each["choices"][0]["delta"] for each in chats]
    assert not any(delta.get("content") for delta in told)
    pieces = [piece for delta in told for piece in delta.get("tool_calls", ())]
    assert "".join(piece["function"].get("arguments", "") for piece in pieces) == '{"a": 1}'
    assert chats[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert not [each for each in responses if "output_text" in each["type"]]
    [item] = responses[-1]["response"]["output"]
    assert (item["type"], item["name"], item["arguments"]) == ("function_call", "clock", '{"a": 1}')
    blocks = [each["content_block"] for each in messages if each["type"] == "content_block_start"]
    assert [(block["type"], block["name"]) for block in blocks] == [("tool_use", "clock")]

    served.will_say(ANSWERED)
    chats = await served.post("/v1/chat/completions", {**CHAT, "stream": True})
    responses = await served.post("/v1/responses", {**RESPONSE, "stream": True})
    messages = await served.post("/v1/messages", {**MESSAGE, "stream": True})

    grown = [each["choices"][0]["delta"].get("content") for each in chats]
    assert "".join(filter(None, grown)) == ANSWERED
    grown = [each["delta"] for each in responses if each["type"] == "response.output_text.delta"]
    assert "".join(grown) == ANSWERED
    assert responses[-1]["response"]["output"][0]["content"][0]["text"] == ANSWERED
    grown = [each["delta"].get("text", "") for each in messages if each["type"] == "content_block_delta"]
    assert "".join(grown) == ANSWERED


async def test_the_answers_of_the_doors_hold_calls_or_the_answer(served: Served) -> None:
    served.will_say(CALLED)
    [choice] = (await served.post("/v1/chat/completions", CHAT))["choices"]
    [block] = (await served.post("/v1/messages", MESSAGE))["content"]
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "clock"
    assert (block["type"], block["input"]) == ("tool_use", {"a": 1})

    served.will_say(ANSWERED)
    [choice] = (await served.post("/v1/chat/completions", CHAT))["choices"]
    [item] = (await served.post("/v1/responses", RESPONSE))["output"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (ANSWERED, "stop")
    assert item["content"][0]["text"] == ANSWERED


async def test_a_server_with_tools_of_its_own_is_shown_them_as_text_and_the_history_as_it_is() -> None:
    request = asking()
    request.messages.add(
        role=chat_pb2.ROLE_ASSISTANT, tool_calls=[{"id": "1", "name": "clock", "arguments_json": "{}"}]
    )
    request.messages.add(role=chat_pb2.ROLE_TOOL, content="12", tool_call_id="1")
    async with fake_openai(Behaviour(pieces=[ANSWERED])) as server:
        async with (
            small_kernel(backends={"AIOS_OPENAI_ENDPOINTS": server.url}) as kernel,
            kernel.inference() as stub,
        ):
            await stub.Generate(request, metadata=metadata())
        [body] = server.seen.bodies

    assert "tools" not in body
    assert [each["role"] for each in body["messages"]] == ["system", "user", "assistant", "tool"]
    assert 'Reply with {"tool_calls"' in body["messages"][0]["content"]
    assert body["messages"][2]["tool_calls"][0]["id"] == body["messages"][3]["tool_call_id"] == "1"
    choices = body["response_format"]["json_schema"]["schema"]["anyOf"]
    assert [list(each["properties"]) for each in choices] == [["tool_calls"], ["city"]]


async def test_plain_tgi_keeps_no_choice_and_the_refusal_says_so() -> None:
    async with small_kernel() as kernel, kernel.inference() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Generate(asking(), metadata=metadata())

    assert reason(refused.value) == "CAPABILITY_MISSING"
    assert "beside tools" in str(refused.value.details())
