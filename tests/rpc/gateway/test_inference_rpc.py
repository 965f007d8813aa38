"""Inference through real gateway and scheduler, against a TGI-shaped server."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import grpc
import pytest

from aios.api.common.v1 import quotas_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from services.chassis.auth.rules import RulesChanged
from services.chassis.auth.tokens import Revocations
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import chat, small_kernel
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until


async def collect(call: Any) -> list[Any]:
    return [response.event async for response in call]


async def ended(call: Any) -> grpc.StatusCode:
    """Read a stream to its end; gRPC gives the status only after the messages that came before it."""
    with suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass
    code: grpc.StatusCode = await call.code()
    return code


def text_of(events: list[Any]) -> str:
    return "".join(event.delta.text for event in events)


async def test_a_stream_is_admitted_then_delivered_then_finished() -> None:
    async with small_kernel(Behaviour(tokens=20)) as kernel, kernel.inference() as stub:
        request = pb.StreamGenerateRequest(generation=chat("hello there", max_tokens=20))

        events = await collect(stub.StreamGenerate(request, metadata=metadata()))

        kinds = [event.WhichOneof("event") for event in events]
        assert kinds[0] == "admitted"
        assert kinds[-1] == "finished"
        assert set(kinds[1:-1]) == {"delta"}
        assert text_of(events) == events[-1].finished.message.content
        assert events[-1].finished.usage.completion_tokens == 20
        assert events[-1].sequence == 20


async def test_deltas_tell_the_likeliest_tokens_at_each_place() -> None:
    async with small_kernel(Behaviour(tokens=20)) as kernel, kernel.inference() as stub:
        request = pb.StreamGenerateRequest(generation=chat("hello", max_tokens=20, top_alternatives=2))
        events = await collect(stub.StreamGenerate(request, metadata=metadata()))

    places = [place for event in events for place in event.delta.top_alternatives]
    assert [place.sequence for place in places] == list(range(1, 21))
    assert [each.logprob for place in places for each in place.alternatives] == [-0.25, -1.25] * 20
    assert "".join(place.alternatives[0].text for place in places) == text_of(events)


async def test_a_unary_call_returns_the_same_text_as_the_stream() -> None:
    async with small_kernel() as kernel, kernel.inference() as stub:
        streamed = await collect(
            stub.StreamGenerate(pb.StreamGenerateRequest(generation=chat("one two")), metadata=metadata())
        )
        answer = await stub.Generate(chat("one two"), metadata=metadata())

        assert answer.finished.message.content == text_of(streamed)


async def test_a_repeated_request_id_gives_the_same_answer_without_a_second_run() -> None:
    async with small_kernel() as kernel, kernel.inference() as stub:
        first = await stub.Generate(chat("hi", request_id="r1"), metadata=metadata())
        again = await stub.Generate(chat("hi", request_id="r1"), metadata=metadata())

        assert again.finished.message.content == first.finished.message.content
        assert kernel.tgi.seen.finished == 1
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("other", request_id="r1"), metadata=metadata())
        assert reason(failure.value) == "IDEMPOTENCY_MISMATCH"


async def test_cancelling_frees_the_backend_at_once() -> None:
    async with small_kernel(Behaviour(tokens=500, token_delay=0.05)) as kernel, kernel.inference() as stub:
        call = stub.StreamGenerate(
            pb.StreamGenerateRequest(generation=chat("long", max_tokens=500)), metadata=metadata()
        )
        await call.read()
        await until(lambda: kernel.tgi.seen.running == 1)
        call.cancel()

        await until(lambda: kernel.tgi.seen.running == 0)
        assert kernel.tgi.seen.dropped == 1


async def test_a_generation_ends_with_the_stream_of_its_last_caller_when_the_credential_is_revoked() -> None:
    async with small_kernel(Behaviour(tokens=500, token_delay=0.05)) as kernel, kernel.inference() as stub:
        request = pb.StreamGenerateRequest(generation=chat("long", max_tokens=500))
        call = stub.StreamGenerate(request, metadata=metadata())
        await call.read()
        await until(lambda: kernel.tgi.seen.running == 1)
        assert kernel.gateway is not None
        streams, revoked = kernel.gateway._pipeline.streams, Revocations()
        [stream] = streams._streams
        assert stream.principal is not None
        revoked.revoke_token(stream.principal.token_id, forget_at=stream.principal.expires_at)
        streams.learn(RulesChanged(revoked))

        assert await ended(call) is grpc.StatusCode.UNAUTHENTICATED
        await until(lambda: kernel.tgi.seen.running == 0)
        assert kernel.tgi.seen.dropped == 1


async def test_a_second_reader_sees_the_rest_and_a_cancel_ends_both() -> None:
    async with small_kernel(Behaviour(tokens=500, token_delay=0.02)) as kernel, kernel.inference() as stub:
        request = pb.StreamGenerateRequest(generation=chat("long", max_tokens=500, request_id="g1"))
        first = stub.StreamGenerate(request, metadata=metadata())
        opening: Any = await first.read()
        while _event(await first.read()).sequence < 5:
            pass
        name = opening.name
        watch = pb.WatchGenerationRequest(name=name, after_sequence=3)
        second = stub.WatchGeneration(watch, metadata=metadata())
        await second.read()
        seen = _event(await second.read())
        with pytest.raises(grpc.aio.AioRpcError) as denied:
            await stub.CancelGeneration(pb.CancelGenerationRequest(name=name), metadata=metadata("other"))
        cancel = pb.CancelGenerationRequest(name=name.replace("planner", "me"))
        answers = [await stub.CancelGeneration(cancel, metadata=metadata()) for _ in range(2)]
        codes = [await ended(call) for call in (first, second)]

        assert name == "agents/planner/generations/g1"
        assert seen.sequence > 3
        assert reason(denied.value) == "PERMISSION_DENIED"
        assert [answer.cancelled for answer in answers] == [True, False]
        assert codes == [grpc.StatusCode.CANCELLED] * 2
        await until(lambda: kernel.tgi.seen.running == 0)


async def test_no_more_calls_run_than_the_backend_has_slots() -> None:
    async with small_kernel(Behaviour(tokens=2, latency=0.05, slots=3)) as kernel, kernel.inference() as stub:
        await asyncio.gather(*(stub.Generate(chat(f"q{n}"), metadata=metadata(f"a{n}")) for n in range(12)))

        assert kernel.tgi.seen.most_running == 3


async def test_a_prompt_that_cannot_fit_is_refused_with_the_numbers() -> None:
    async with small_kernel() as kernel, kernel.inference() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("word " * 150_000, max_tokens=5), metadata=metadata())

        assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason(failure.value) == "PROMPT_TOO_LONG"


async def test_a_prompt_that_cannot_fit_is_not_even_split_and_neither_is_a_chat_to_count() -> None:
    async with small_kernel(Behaviour(window=2048)) as kernel, kernel.inference() as stub:
        too_long = chat("word " * 60_000)
        count = pb.CountTokensRequest(messages=too_long.messages)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Generate(too_long, metadata=metadata())
        with pytest.raises(grpc.aio.AioRpcError) as uncounted:
            await stub.CountTokens(count, metadata=metadata())
        texts = pb.CountTokensRequest(texts=["word " * 10_000, "a b"])
        counted = await stub.CountTokens(texts, metadata=metadata())

        assert reason(refused.value) == reason(uncounted.value) == "PROMPT_TOO_LONG"
        assert list(counted.text_token_counts) == [10_000, 2]
        assert kernel.tgi.seen.split == 2  # the two texts


async def test_a_prompt_with_more_tokens_than_the_window_is_told_so_whatever_the_answer_s_size() -> None:
    async with small_kernel(Behaviour(window=2048)) as kernel, kernel.inference() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("a " * 100_000), metadata=metadata())

        assert reason(failure.value) == "PROMPT_TOO_LONG"
        assert kernel.tgi.seen.split == 1


async def test_an_unknown_model_is_not_found() -> None:
    async with small_kernel() as kernel, kernel.inference() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("hi", model="gpt-99"), metadata=metadata())

        assert reason(failure.value) == "MODEL_NOT_FOUND"


def rooted(inner: dict[str, Any], **beside: Any) -> str:
    return json.dumps({"type": "object", "properties": {"a": inner}, "required": ["a"], **beside})


MANY = {
    "type": "array",
    "items": {"type": "object", "properties": {"b": {"type": "string"}}},
    "maxItems": 1_000_000_000,
}


@pytest.mark.parametrize(
    "constraint",
    [
        pb.Constraint(json_schema='{"type": "object"}'),
        pb.Constraint(json_schema="{"),
        pb.Constraint(json_schema='{"properties": {"a": {"type": "nonsense"}}}'),
        pb.Constraint(regex="("),
        pb.Constraint(regex="a)|(?:.*"),
        pb.Constraint(regex="(?=a)b"),
        pb.Constraint(regex="((a{100}){100}){100}"),
        pb.Constraint(json_schema=rooted(MANY)),
        pb.Constraint(json_schema=rooted({"$ref": "#/$defs/m"}, **{"$defs": {"m": MANY}})),
        pb.Constraint(json_schema=rooted({"anyOf": [{"type": "string"}, MANY]})),
        pb.Constraint(json_schema=rooted({"items": {"items": {"maxItems": 2_000}, "maxItems": 2_000}})),
        pb.Constraint(json_schema=rooted({"items": {"maxItems": 1_000}, "minItems": 1_000})),
        pb.Constraint(json_schema=rooted({"maxItems": 1e308})),
        pb.Constraint(json_schema=rooted({"allOf": [{"pattern": f"a.{{{n}}}b"} for n in range(30)]})),
        pb.Constraint(json_schema=rooted({"type": "string"}, **{"x-guidance": {"lenient": True}})),
    ],
)
async def test_a_bad_constraint_never_reaches_the_backend(constraint: pb.Constraint) -> None:
    async with small_kernel() as kernel, kernel.inference() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("hi", constraint=constraint), metadata=metadata())

        assert reason(failure.value) == "CONSTRAINT_INVALID"
        assert kernel.tgi.seen.bodies == []


@pytest.mark.parametrize("choice", [pb.TOOL_CHOICE_UNSPECIFIED, pb.TOOL_CHOICE_REQUIRED])
async def test_tools_that_stand_for_too_much_never_reach_the_backend(choice: Any) -> None:
    tools = [{"name": "t", "description": "d", "parameters_schema_json": rooted(MANY)}]
    async with small_kernel() as kernel, kernel.inference() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("hi", tools=tools, tool_choice=choice), metadata=metadata())
        counting = pb.CountTokensRequest(messages=chat("hi").messages, tools=tools)
        with pytest.raises(grpc.aio.AioRpcError) as counted:
            await stub.CountTokens(counting, metadata=metadata())

        assert reason(failure.value) == reason(counted.value) == "CONSTRAINT_INVALID"
        assert kernel.tgi.seen.bodies == []


@pytest.mark.parametrize(
    "told",
    [
        (422, "Input validation error: grammar is not valid: Unimplemented keys", "validation"),
        (422, "Input validation error: grammar is not supported: too complex", "validation"),
        (424, "Request failed during generation: the output does not satisfy the grammar", "generation"),
    ],
)
async def test_a_constraint_that_the_backend_cannot_keep_is_refused_and_not_tried_again(
    told: tuple[int, str, str],
) -> None:
    async with small_kernel(Behaviour(error=told)) as kernel, kernel.inference() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("hi", constraint=pb.Constraint(regex="a+")), metadata=metadata())

        assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason(failure.value) == "CONSTRAINT_INVALID"
        assert len(kernel.tgi.seen.bodies) == 1


async def test_a_backend_that_dies_mid_stream_costs_no_token() -> None:
    async with small_kernel(Behaviour(tokens=30, die_after=11)) as kernel, kernel.inference() as stub:
        call = stub.StreamGenerate(
            pb.StreamGenerateRequest(generation=chat("a b c", max_tokens=30)), metadata=metadata()
        )
        collecting = asyncio.create_task(collect(call))
        await until(lambda: len(kernel.tgi.seen.bodies) >= 1)
        kernel.tgi.behaviour.die_after = None
        events = await collecting

        assert events[-1].finished.usage.completion_tokens == 30
        assert text_of(events) == events[-1].finished.message.content


async def test_a_restarted_scheduler_gets_every_call_back() -> None:
    behaviour = Behaviour(tokens=4, latency=0.3, slots=2)
    async with small_kernel(behaviour) as kernel, kernel.inference() as stub:
        calls = [asyncio.create_task(_generate(stub, f"q{n}", f"a{n}")) for n in range(8)]
        await until(lambda: kernel.tgi.seen.running == 2)
        await kernel.stop("scheduler")
        await kernel.start_scheduler()
        answers = await asyncio.gather(*calls)

        assert len(answers) == 8
        assert kernel.tgi.seen.finished == 8


async def test_a_generation_goes_on_through_another_gateway_where_its_caller_stands() -> None:
    behaviour = Behaviour(tokens=60, token_delay=0.01)
    async with small_kernel(behaviour) as kernel:
        request = chat("count", max_tokens=60, request_id="g1")
        async with kernel.inference() as stub:
            whole = await collect(
                stub.StreamGenerate(
                    pb.StreamGenerateRequest(generation=chat("count", max_tokens=60)), metadata=metadata()
                )
            )
            call = stub.StreamGenerate(pb.StreamGenerateRequest(generation=request), metadata=metadata())
            seen: list[Any] = []
            while not seen or seen[-1].sequence < 20:
                seen.append(_event(await call.read()))
            await kernel.stop("gateway")
        await kernel.start_gateway()
        await kernel.ready()
        request.resume.after_sequence = seen[-1].sequence
        request.resume.received_text = text_of(seen)
        for event in seen:
            request.resume.received_token_ids.extend(event.delta.token_ids)
        async with kernel.inference() as stub:
            rest = await collect(
                stub.StreamGenerate(pb.StreamGenerateRequest(generation=request), metadata=metadata())
            )

        assert text_of(seen) + text_of(rest) == text_of(whole)
        assert rest[-1].finished.message.content == text_of(whole)


def _event(message: Any) -> Any:
    return message.event


async def _generate(stub: Any, text: str, agent: str) -> pb.GenerateResponse:
    response: pb.GenerateResponse = await stub.Generate(chat(text, max_tokens=4), metadata=metadata(agent))
    return response


async def test_usage_tells_the_generations_and_watches_that_are_open_at_the_gateway() -> None:
    async with small_kernel(Behaviour(tokens=20, stall_after=1)) as kernel, kernel.inference() as stub:
        request = pb.StreamGenerateRequest(generation=chat("hello"))
        running = stub.StreamGenerate(request, metadata=metadata())
        await running.read()
        usage = pb.GetUsageRequest(name="agents/me")
        own = await stub.GetUsage(usage, metadata=metadata())
        other = await stub.GetUsage(usage, metadata=metadata("other"))
        running.cancel()

    used = {one.quota: one.used for one in own.quotas if one.level == quotas_pb2.QUOTA_LEVEL_AGENT}
    names = ("generations", "background_responses", "body_bytes", "mcp_sessions", "unread_answers", "watches")
    assert used.keys() >= set(names)
    assert (used["generations"], used["watches"]) == (1, 0)
    assert {one.used for one in other.quotas} == {0}
