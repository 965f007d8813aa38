"""Requests at the edges of their fields, in any combination: an answer that keeps them, or a typed error."""

import asyncio
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios.api.inference.v1 import inference_pb2 as pb
from tests.fakes.examples import examples
from tests.fakes.fake_openai import fake_openai
from tests.fakes.fake_tgi import FakeTgi, fake_tgi
from tests.fakes.kernel import served_by_tgi, small_kernel
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata

TOGETHER = 6
NAMES = st.sampled_from([["t"], ["t", "u"], ["t", "t"], [f"t{number}" for number in range(128)]])
SCHEMAS = st.sampled_from(["", "{}", '{"type":"object","properties":{"a":{"type":"integer"}}}'])
TOOLS = st.builds(
    lambda names, schema: [{"name": each, "parameters_schema_json": schema} for each in names], NAMES, SCHEMAS
)
SAMPLING = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0.0, 1e-12, 5.0]),
        "top_p": st.sampled_from([0.0, 1e-9, 1.0]),
        "top_k": st.sampled_from([0, 1, 1000]),
        "repetition_penalty": st.sampled_from([0.0, 0.1, 1.0, 10.0]),
        "frequency_penalty": st.sampled_from([-2.0, 0.0, 2.0]),
        "presence_penalty": st.sampled_from([-2.0, 0.0, 2.0]),
    },
)
STOPS = st.sampled_from(
    [[], [" "], ["e"], ["\n", "\x00"], ["o", "ow", "own"], [f"{number:x}" * 256 for number in range(16)]]
)
IDS = st.sampled_from("abc")
CALLS = st.lists(IDS, max_size=3).map(
    lambda ids: [{"id": each, "name": "t", "arguments_json": "{}"} for each in ids]
)
MESSAGES = st.lists(
    st.one_of(
        st.builds(
            lambda role, text: {"role": role, "content": text},
            st.sampled_from(["ROLE_SYSTEM", "ROLE_USER", "ROLE_ASSISTANT"]),
            st.sampled_from(["", "hi", "<tool_call>", "\x00", "\U0001f917"]),
        ),
        CALLS.map(lambda calls: {"role": "ROLE_ASSISTANT", "tool_calls": calls}),
        IDS.map(lambda id_: {"role": "ROLE_TOOL", "tool_call_id": id_, "content": ""}),
    ),
    max_size=6,
)
REQUESTS = st.fixed_dictionaries(
    {"messages": MESSAGES},
    optional={
        "tools": TOOLS,
        "tool_choice": st.sampled_from(pb.ToolChoice.values()),
        "tool_choice_name": st.sampled_from(["", "t", "nope", "x" * 128]),
        "max_tool_calls": st.sampled_from([0, 1, 128]),
        "max_tokens": st.sampled_from([0, 1, 7, 4096, 131_072]),
        "fit_max_tokens": st.booleans(),
        "affinity_key": st.sampled_from(["k" * 128, "\x00", "\U0001f917" * 64]),
        "logprobs": st.booleans(),
        "top_alternatives": st.sampled_from([0, 5]),
        "stop": STOPS,
        "sampling": SAMPLING,
        "constraint": st.sampled_from([{"json_schema": "{}"}, {"regex": "[a-z ]*"}, {"regex": ""}]),
        "step": st.sampled_from([0, 2**31 - 1]),
        "request_id": st.sampled_from(["r0", "r1"]),
    },
)
TYPED = {
    "",
    "INVALID_REQUEST",
    "PROMPT_TOO_LONG",
    "CONSTRAINT_INVALID",
    "CONSTRAINT_UNMET",
    "CAPABILITY_MISSING",
    "ORPHAN_TOOL_RESULT",
    "IDEMPOTENCY_MISMATCH",
}


async def _answered(stub: Any, request: pb.GenerateRequest) -> str:
    """Ask; returns the reason of a refusal, nothing for an answer, which must keep what was asked for."""
    try:
        response = await stub.Generate(request, metadata=metadata("a"), timeout=20)
    except grpc.aio.AioRpcError as error:
        return reason(error)
    finished = response.finished
    calls = finished.message.tool_calls
    assert len(calls) <= (request.max_tool_calls or 128)
    assert len({call.id for call in calls}) == len(calls)
    assert not any(stop in finished.message.content for stop in request.stop)
    assert finished.stop_string in {"", *request.stop}
    return ""


@pytest.mark.parametrize("driver", ["openai", "tgi"])
@settings(max_examples=examples(3))
@given(requests=st.lists(REQUESTS, min_size=4 * TOGETHER, max_size=4 * TOGETHER))
def test_any_request_is_answered_as_it_asks_or_refused_with_a_reason(
    driver: str, requests: list[dict[str, Any]]
) -> None:
    async def ask() -> None:
        async with fake_openai() if driver == "openai" else fake_tgi() as server:
            backends = {"AIOS_OPENAI_ENDPOINTS": server.url}
            if isinstance(server, FakeTgi):
                backends = served_by_tgi(server)
            else:
                server.behaviour.tool_calls = [("t", '{"a":1}'), ("t", '{"a":2}')]
            async with small_kernel(backends=backends) as kernel, kernel.inference() as stub:
                waiting = [pb.GenerateRequest(**each) for each in requests]
                while waiting:
                    ends = await asyncio.gather(*(_answered(stub, each) for each in waiting[:TOGETHER]))
                    assert set(ends) <= TYPED
                    del waiting[:TOGETHER]
                plain = pb.GenerateRequest(messages=[{"role": "ROLE_USER", "content": "hi"}])
                assert await _answered(stub, plain) == ""

    asyncio.run(ask())
