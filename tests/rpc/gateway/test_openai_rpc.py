"""Inference through real gateway and scheduler, against servers that speak the OpenAI protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.inference.core.conversation import NO_RESULT
from tests.fakes.fake_openai import Behaviour, FakeOpenAi, fake_openai, words
from tests.fakes.fake_tgi import fake_tgi, word
from tests.fakes.kernel import SmallKernel, chat, served_by_tgi, small_kernel
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

SCHEMA = '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}'
TOOLS = [{"name": "clock", "description": "Tells the time.", "parameters_schema_json": SCHEMA}]


@asynccontextmanager
async def kernel_on(
    *behaviours: Behaviour, scheduler: dict[str, str] | None = None
) -> AsyncIterator[tuple[Any, SmallKernel, list[FakeOpenAi]]]:
    """Run a kernel on servers of these behaviours."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(fake_openai(each)) for each in behaviours]
        backends = {"AIOS_OPENAI_ENDPOINTS": ",".join(each.url for each in servers)}
        kernel = await stack.enter_async_context(small_kernel(backends=backends, scheduler=scheduler))
        yield await stack.enter_async_context(kernel.inference()), kernel, servers


async def read_into(events: list[Any], call: Any) -> list[Any]:
    async for response in call:
        events.append(response.event)  # noqa: PERF401 - what came before a failure must stay
    return events


async def stream(stub: Any, request: pb.GenerateRequest) -> list[Any]:
    return await read_into(
        [], stub.StreamGenerate(pb.StreamGenerateRequest(generation=request), metadata=metadata())
    )


def text_of(events: list[Any]) -> str:
    return "".join(event.delta.text for event in events)


async def test_a_chat_is_answered_and_streamed() -> None:
    async with kernel_on(Behaviour(pieces=words(20))) as (stub, _, [server]):
        events = await stream(stub, chat("hello there", max_tokens=40))
        answer = await stub.Generate(chat("hello there", max_tokens=40), metadata=metadata())

        finished = events[-1].finished
        assert text_of(events) == finished.message.content == "".join(words(20))
        assert answer.finished.message.content == finished.message.content
        assert finished.reason == pb.FINISH_REASON_STOP
        assert (finished.usage.completion_tokens, events[-1].sequence) == (20, 20)
        assert finished.model == "fake-chat"
        assert server.seen.bodies[0]["messages"] == [{"role": "user", "content": "hello there"}]


async def test_a_raw_prompt_is_completed() -> None:
    async with kernel_on(Behaviour()) as (stub, _, [server]):
        answer = await stub.Generate(pb.GenerateRequest(prompt="Once", max_tokens=3), metadata=metadata())

        assert answer.finished.message.content == "The quick brown"
        assert answer.finished.reason == pb.FINISH_REASON_LENGTH
        assert server.seen.paths[-1] == "/v1/completions"


async def test_native_tool_calls_come_back_as_calls() -> None:
    behaviour = Behaviour(pieces=["Let me", " see."], tool_calls=[("clock", '{"a": 1}'), ("clock", "")])
    async with kernel_on(behaviour) as (stub, _, [server]):
        events = await stream(stub, chat("what time is it", tools=TOOLS))

        finished = events[-1].finished
        calls = [(call.id, call.name, call.arguments_json) for call in finished.message.tool_calls]
        assert finished.reason == pb.FINISH_REASON_TOOL_CALLS
        assert text_of(events) == finished.message.content == "Let me see."
        assert calls == [("tool-0", "clock", '{"a": 1}'), ("tool-1", "clock", "{}")]
        assert server.seen.bodies[0]["tools"][0]["function"]["name"] == "clock"
        assert server.seen.bodies[0]["tool_choice"] == "auto"


async def test_a_required_call_is_the_server_s_business_and_checked() -> None:
    async with kernel_on(Behaviour()) as (stub, _, [server]):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(
                chat("hi", tools=TOOLS, tool_choice=pb.TOOL_CHOICE_REQUIRED), metadata=metadata()
            )

        assert reason(failure.value) == "CONSTRAINT_UNMET"
        assert server.seen.bodies[0]["tool_choice"] == "required"
        assert "response_format" not in server.seen.bodies[0]


@pytest.mark.parametrize(
    "called",
    [
        ("clock", '{"a": "x"}'),
        ("clock", "{}"),
        ("clock", ""),
        ("other", '{"a": 1}'),
    ],
)
async def test_a_required_call_that_breaks_the_tool_s_schema_is_not_passed_on(
    called: tuple[str, str],
) -> None:
    request = chat("hi", tools=TOOLS, tool_choice=pb.TOOL_CHOICE_REQUIRED)
    async with kernel_on(Behaviour(tool_calls=[called])) as (stub, _, [server]):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(request, metadata=metadata())
        server.behaviour.tool_calls = [("clock", '{"a": 1}')]
        answer = await stub.Generate(request, metadata=metadata())

        assert reason(failure.value) == "CONSTRAINT_UNMET"
        assert answer.finished.message.tool_calls[0].arguments_json == '{"a": 1}'


@pytest.mark.parametrize("choice", [pb.TOOL_CHOICE_AUTO, pb.TOOL_CHOICE_REQUIRED])
async def test_arguments_that_give_a_name_twice_are_handed_on_as_they_were_checked(choice: Any) -> None:
    request = chat("hi", tools=TOOLS, tool_choice=choice)
    async with kernel_on(Behaviour(tool_calls=[("clock", '{"a": "x", "a": 1}')])) as (stub, _, _):
        answer = await stub.Generate(request, metadata=metadata())

        assert answer.finished.message.tool_calls[0].arguments_json == '{"a": 1}'


async def test_a_tool_without_parameters_is_shown_and_called_without_any() -> None:
    request = chat("hi", tools=[{"name": "clock"}], tool_choice=pb.TOOL_CHOICE_REQUIRED)
    async with kernel_on(Behaviour(tool_calls=[("clock", '{"a": 1}')])) as (stub, _, [server]):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(request, metadata=metadata())
        server.behaviour.tool_calls = [("clock", "{}")]
        answer = await stub.Generate(request, metadata=metadata())

        shown = server.seen.bodies[0]["tools"][0]["function"]["parameters"]
        assert reason(failure.value) == "CONSTRAINT_UNMET"
        assert answer.finished.message.tool_calls[0].arguments_json == "{}"
        assert shown == {"type": "object", "properties": {}, "additionalProperties": False}


async def test_a_server_is_shown_no_pattern_whose_cost_cannot_be_judged() -> None:
    odd = r'{"p\u0061ttern": "^(?!x)(a{900}){900}$", "minLength": 1}'
    schema = f'{{"properties": {{"a": {odd}, "b": {{"pattern": "^b"}}}}}}'
    async with kernel_on(Behaviour()) as (stub, _, [server]):
        await stub.Generate(
            chat("hi", tools=[{"name": "t", "parameters_schema_json": schema}]), metadata=metadata()
        )

        shown = server.seen.bodies[0]["tools"][0]["function"]["parameters"]
        assert shown == {"properties": {"a": {"minLength": 1}, "b": {"pattern": "^b"}}}


async def test_a_root_that_is_no_object_is_asked_for_where_a_server_takes_it() -> None:
    request = chat("list some", constraint=pb.Constraint(json_schema='{"type": "array"}'))
    async with kernel_on(Behaviour(pieces=["[1, ", "2]"])) as (stub, _, [server]):
        answer = await stub.Generate(request, metadata=metadata())

        asked = server.seen.bodies[0]["response_format"]["json_schema"]["schema"]
        assert (answer.finished.message.content, asked) == ("[1, 2]", {"type": "array"})


def said(role: str, content: str = "", **fields: Any) -> chat_pb2.ChatMessage:
    return chat_pb2.ChatMessage(role=f"ROLE_{role}", content=content, **fields)


CALL = said("ASSISTANT", tool_calls=[chat_pb2.ToolCall(id="c1", name="clock", arguments_json='{"a": 1}')])


async def test_a_server_is_sent_results_behind_their_calls_whatever_the_conversation_is_like() -> None:
    dangling = [said("SYSTEM", "Be kind."), said("USER", "The time?"), CALL, said("USER", "Hurry.")]
    late = [*dangling, said("TOOL", "12:00", tool_call_id="c1")]
    async with kernel_on(Behaviour()) as (stub, _, [server]):
        for messages in (dangling, late):
            await stub.Generate(pb.GenerateRequest(messages=messages), metadata=metadata())
            await stub.CountTokens(pb.CountTokensRequest(messages=messages), metadata=metadata())

        sent = [body["messages"] for body in server.seen.bodies]
        assert [[message["role"] for message in each] for each in sent] == [
            ["system", "user", "assistant", "tool", "user"]
        ] * 2
        assert [each[3]["tool_call_id"] for each in sent] == ["c1", "c1"]
        assert [each[3]["content"] for each in sent] == [NO_RESULT, "12:00"]


async def test_a_result_without_a_call_reaches_no_server() -> None:
    orphan = [said("USER", "The time?"), said("TOOL", "12:00", tool_call_id="c1")]
    async with kernel_on(Behaviour()) as (stub, _, [server]):
        with pytest.raises(grpc.aio.AioRpcError) as asked:
            await stub.Generate(pb.GenerateRequest(messages=orphan), metadata=metadata())
        with pytest.raises(grpc.aio.AioRpcError) as counted:
            await stub.CountTokens(pb.CountTokensRequest(messages=orphan), metadata=metadata())

        assert reason(asked.value) == reason(counted.value) == "ORPHAN_TOOL_RESULT"
        assert not server.seen.bodies


async def test_tools_that_stand_for_too_much_are_shown_to_no_server() -> None:
    many = '{"properties": {"a": {"items": {"maxItems": 5000}, "maxItems": 5000}}}'
    tools = [{"name": "t", "description": "d", "parameters_schema_json": many}]
    async with kernel_on(Behaviour()) as (stub, _, [server]):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("hi", tools=tools), metadata=metadata())

        assert reason(failure.value) == "CONSTRAINT_INVALID"
        assert server.seen.bodies == []


async def test_without_native_tools_they_are_shown_and_called_as_text() -> None:
    behaviour = Behaviour(pieces=['<tool_call>{"name": "clock", ', '"arguments": {"a": 1}}</tool_call>'])
    async with fake_openai(behaviour) as server:
        backends = {"AIOS_OPENAI_ENDPOINTS": server.url, "AIOS_OPENAI_NATIVE_TOOLS": "false"}
        async with small_kernel(backends=backends) as kernel, kernel.inference() as stub:
            answer = await stub.Generate(chat("hi", tools=TOOLS), metadata=metadata())

            [call] = answer.finished.message.tool_calls
            assert (call.name, call.arguments_json) == ("clock", '{"a": 1}')
            assert "tools" not in server.seen.bodies[0]
            assert "clock(a: integer)" in server.seen.bodies[0]["messages"][0]["content"]


async def test_structured_output_is_asked_for_and_checked() -> None:
    async with kernel_on(Behaviour(pieces=['{"a":', " 7}"])) as (stub, _, [server]):
        request = chat("hi", constraint=pb.Constraint(json_schema=SCHEMA))
        answer = await stub.Generate(request, metadata=metadata())
        server.behaviour.pieces = ["seven"]
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(request, metadata=metadata())

        assert answer.finished.message.content == '{"a": 7}'
        assert server.seen.bodies[0]["response_format"]["json_schema"]["schema"]["required"] == ["a"]
        assert reason(failure.value) == "CONSTRAINT_UNMET"


async def test_a_constraint_that_the_server_lacks_is_told() -> None:
    async with kernel_on(Behaviour(owner="library")) as (stub, _, [server]):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("hi", constraint=pb.Constraint(regex="[0-9]+")), metadata=metadata())

        assert reason(failure.value) == "CAPABILITY_MISSING"
        assert server.seen.bodies == []


@pytest.mark.parametrize("owner", ["vllm", "sglang", "llamacpp", "library", "openai"])
@pytest.mark.parametrize("constrained", [False, True])
async def test_a_death_mid_stream_costs_no_token(owner: str, *, constrained: bool) -> None:
    """A server that cannot go on, or not within a grammar, starts over; what is known is skipped."""
    pieces = ['{"a"', ": 1", "2", "3", "4", "5", "6", "}"] if constrained else words(8)
    fields = {"constraint": pb.Constraint(json_schema=SCHEMA)} if constrained else {}
    async with kernel_on(Behaviour(owner=owner, pieces=pieces, die_after=5)) as (stub, _, _):
        events = await stream(stub, chat("go on", max_tokens=30, **fields))

        assert text_of(events) == events[-1].finished.message.content == "".join(pieces)
        assert events[-1].finished.timings.recovery_count == 1
        assert [event.WhichOneof("event") for event in events].count("suspended") == 1


async def test_a_server_that_answers_differently_afterwards_fails_the_call() -> None:
    behaviour = Behaviour(owner="library", die_after=5, pieces_after_death=["Another", " answer"])
    async with kernel_on(behaviour) as (stub, _, _):
        call = stub.StreamGenerate(pb.StreamGenerateRequest(generation=chat("hi")), metadata=metadata())
        seen: list[Any] = []
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await read_into(seen, call)

        assert reason(failure.value) == "BACKEND_FAILED"
        assert text_of(seen) == "".join(words(5))


async def test_a_dead_server_s_generations_go_on_at_another() -> None:
    slow = [Behaviour(pieces=words(40), token_delay=0.01) for _ in range(2)]
    async with kernel_on(*slow) as (stub, kernel, servers):
        await until(lambda: replicas_up(kernel) == 2)
        collecting = asyncio.create_task(stream(stub, chat("count", max_tokens=60)))
        await until(lambda: any(each.seen.running for each in servers))
        await next(each for each in servers if each.seen.running).stop()
        events = await collecting

        assert text_of(events) == "".join(words(40))
        assert events[-1].finished.timings.recovery_count >= 1


async def test_preempted_chats_go_on_from_their_text() -> None:
    behaviour = Behaviour(owner="llamacpp", slots=1, pieces=words(120), token_delay=0.01)
    turns = {"policy": "rr", "quantum_tokens": "16"}
    async with kernel_on(behaviour, scheduler=turns) as (stub, _, _):
        both = await asyncio.gather(*(stream(stub, chat("count", max_tokens=200)) for _ in range(2)))

        assert [text_of(events) for events in both] == ["".join(words(120))] * 2
        assert sum(events[-1].finished.timings.preemption_count for events in both) >= 1


async def test_a_server_that_cannot_go_on_is_never_preempted() -> None:
    behaviour = Behaviour(owner="library", slots=1, pieces=words(120), token_delay=0.001)
    turns = {"policy": "rr", "quantum_tokens": "16"}
    async with kernel_on(behaviour, scheduler=turns) as (stub, _, [server]):
        both = await asyncio.gather(*(stream(stub, chat("count", max_tokens=200)) for _ in range(2)))

        assert [text_of(events) for events in both] == ["".join(words(120))] * 2
        assert len(server.seen.bodies) == 2


async def test_a_chat_goes_on_through_another_gateway_where_its_caller_stands() -> None:
    async with kernel_on(Behaviour(pieces=words(60), token_delay=0.01)) as (stub, kernel, _):
        request = chat("count", max_tokens=80, request_id="g1")
        call = stub.StreamGenerate(pb.StreamGenerateRequest(generation=request), metadata=metadata())
        seen: list[Any] = []
        while not seen or seen[-1].sequence < 20:
            seen.append((await call.read()).event)
        await kernel.stop("gateway")
        await kernel.start_gateway()
        await kernel.ready()
        request.resume.after_sequence = seen[-1].sequence
        request.resume.received_text = text_of(seen)
        for event in seen:
            request.resume.received_token_ids.extend(event.delta.token_ids)
        async with kernel.inference() as again:
            rest = await stream(again, request)

        assert text_of(seen) + text_of(rest) == "".join(words(60))
        assert rest[-1].finished.message.content == "".join(words(60))


async def test_cancelling_frees_the_server_at_once() -> None:
    async with kernel_on(Behaviour(pieces=words(400), token_delay=0.05)) as (stub, _, [server]):
        call = stub.StreamGenerate(
            pb.StreamGenerateRequest(generation=chat("long", max_tokens=500)), metadata=metadata()
        )
        await call.read()
        await until(lambda: server.seen.running == 1)
        call.cancel()

        await until(lambda: server.seen.running == 0)
        assert server.seen.dropped == 1


async def test_an_estimated_prompt_is_admitted_and_the_server_judges_its_length() -> None:
    async with kernel_on(Behaviour(owner="library")) as (stub, _, [server]):
        events = await stream(stub, chat("word " * 5000, max_tokens=5))
        server.behaviour.error = (400, {"error": {"message": "the context is too long", "code": 400}})
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("word " * 5000, max_tokens=5), metadata=metadata())

        assert events[0].admitted.prompt_tokens == 4096 - 5
        assert events[-1].finished.usage.prompt_tokens == 5002
        assert reason(failure.value) == "BACKEND_REFUSED"
        assert "too long" in str(failure.value.details())


async def test_the_model_s_name_decides_between_servers_of_both_kinds() -> None:
    async with fake_openai(Behaviour()) as openai, fake_tgi() as tgi:
        backends = {**served_by_tgi(tgi), "AIOS_OPENAI_ENDPOINTS": openai.url}
        async with small_kernel(backends=backends) as kernel, kernel.inference() as stub:
            await until(lambda: replicas_up(kernel) == 2)
            first = await stub.Generate(chat("hi", model="fake"), metadata=metadata())
            second = await stub.Generate(chat("hi", model="fake-chat"), metadata=metadata())

            assert first.finished.message.content == "".join(word(n) for n in range(8))
            assert second.finished.message.content == "".join(words(8))
            assert (len(tgi.seen.bodies), len(openai.seen.bodies)) == (1, 1)


def replicas_up(kernel: SmallKernel) -> float:
    """Return how many replicas the gateway finds up."""
    assert kernel.gateway is not None
    return kernel.gateway.registry.get_sample_value("aios_backend_replicas_up") or 0.0
