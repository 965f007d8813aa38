"""What providers report is taken as it was checked, or ends the call: it is not believed."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest
from google.protobuf import struct_pb2

from aios.api.tool.v1 import resources_pb2, tool_pb2
from tests.fakes.rpc import metadata_of, reason
from tests.fakes.tool_providers import WORKER, World, tool_with_providers


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with tool_with_providers() as world:
        yield world


@pytest.mark.parametrize(
    "text", ["NaN", "-Infinity", "1e999", '"\\ud83d"', "{", "[" * 100 + "]" * 100, "1" * 5_000]
)
async def test_a_result_that_is_no_json_ends_the_call_at_once_with_that_reason(
    world: World, text: str
) -> None:
    await world.register("pure")
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    request = tool_pb2.CompleteCallRequest(
        call=taken.call, lease_id=taken.lease_id, result=resources_pb2.CallResult(value_json=text)
    )
    await world.stub.CompleteCall(request, metadata=WORKER)
    await world.stub.CompleteCall(request, metadata=WORKER)  # the same outcome again changes nothing

    assert await world.failure(calling) == "TOOL_RESULT_INVALID"


MIB = 1_048_576
BEYOND_ITS_LIMITS: Final[dict[str, dict[str, Any]]] = {
    "a long text": {"result": resources_pb2.CallResult(value_json=json.dumps("x" * MIB))},
    "many pieces": {"result": resources_pb2.CallResult(content=[resources_pb2.Content(text="x")] * 33)},
    "a long piece": {
        "result": resources_pb2.CallResult(content=[resources_pb2.Content(text="x" * (MIB + 1))])
    },
    "a long type": {
        "result": resources_pb2.CallResult(content=[resources_pb2.Content(text="x", media_type="x" * 128)])
    },
    "two values": {
        "result": resources_pb2.CallResult(value_json="1", value=struct_pb2.Value(number_value=1)),
    },
    "no number": {"result": resources_pb2.CallResult(value=struct_pb2.Value(number_value=float("nan")))},
    "nothing": {},
}


@pytest.mark.parametrize("report", BEYOND_ITS_LIMITS.values(), ids=BEYOND_ITS_LIMITS.keys())
async def test_a_report_that_breaks_a_rule_ends_the_call_at_once(
    world: World, report: dict[str, Any]
) -> None:
    await world.register()
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    request = tool_pb2.CompleteCallRequest(call=taken.call, lease_id=taken.lease_id, **report)
    state = (await world.stub.CompleteCall(request, metadata=WORKER)).state

    assert state == resources_pb2.CALL_STATE_FAILED
    assert await world.failure(calling) == "TOOL_RESULT_INVALID"


async def test_a_long_error_of_a_provider_is_cut_and_ends_the_call(world: World) -> None:
    await world.register()
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    error = resources_pb2.CallError(reason="R" * 99, message="m" * 9_999)
    request = tool_pb2.CompleteCallRequest(call=taken.call, lease_id=taken.lease_id, error=error)
    await world.stub.CompleteCall(request, metadata=WORKER)

    assert await world.failure(calling) == "TOOL_FAILED"


async def test_a_result_arrives_as_it_was_checked(world: World) -> None:
    await world.register(result_schema_json='{"properties": {"n": {"type": "integer"}}}')
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    result = resources_pb2.CallResult(value_json='{"n": "x", "n": 3}')
    request = tool_pb2.CompleteCallRequest(call=taken.call, lease_id=taken.lease_id, result=result)
    await world.stub.CompleteCall(request, metadata=WORKER)

    assert (await calling)[-1].result.result.value_json == '{"n": 3}'


@pytest.mark.parametrize(
    "arguments",
    [
        {"arguments_json": '{"n": "x", "n": 3}'},
        {"arguments_json": '{"n": [{"a": 1, "a": 1}]}'},
        {"arguments_json": '{"n": 1e999}'},
        {"arguments": struct_pb2.Struct(fields={"n": struct_pb2.Value(number_value=float("nan"))})},
    ],
)
async def test_arguments_that_readers_understand_differently_are_refused(
    world: World, arguments: dict[str, Any]
) -> None:
    await world.register()
    await world.stream()

    assert await world.failure(world.call(**arguments)) == "TOOL_ARGUMENTS_INVALID"


async def test_what_a_tool_returned_is_not_logged_as_a_defect_of_the_kernel(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.register()
    stream = await world.stream()
    calling = world.call()
    await stream.complete(await stream.take(), float("nan"))
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await calling

    assert reason(failure.value) == "TOOL_RESULT_INVALID"
    assert "error_id" not in metadata_of(failure.value)
    assert not caplog.records
