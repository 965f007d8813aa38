"""Calls over a real socket: exactly once, bounded, one agent apart from another."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from aios.api.tool.v1 import resources_pb2, tool_pb2
from aios.types.tools import text_of
from services.chassis.auth.identity import Scope
from services.chassis.quotas import Cap
from services.chassis.rpc.status import status_of
from services.tool.config import ToolConfig
from tests.fakes.rpc import reason
from tests.fakes.tool_calls import CRITIC, PLANNER, World, tool_calls
from tests.fakes.waiting import until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with tool_calls() as world:
        yield world


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("calculator", {"expression": "2 + 17"}, "19"),
        ("calculator", {"expression": "7 / 2"}, "3.5"),
        ("convert_units", {"value": 3500, "from": "m", "to": "km"}, "3.5 km"),
        ("search_files", {"query": "notes"}, "notes/todo.txt\nnotes/done.txt"),
        ("search_files", {"query": "unheard-of"}, "nothing found"),
    ],
)
async def test_a_built_in_tool_answers_as_an_agent_reads_it(
    world: World, tool: str, arguments: Any, text: str
) -> None:
    assert text_of(await world.value(tool, arguments)) == text


async def test_a_call_tells_its_events_in_order(world: World) -> None:
    events = await world.call("clock", request_id="c1", tool_call_id="t1")

    assert [event.sequence for event in events] == [1, 2, 3]
    assert [event.WhichOneof("event") for event in events] == ["accepted", "started", "result"]
    assert {event.tool_call_id for event in events} == {"t1"}
    assert events[0].accepted == tool_pb2.CallAccepted(call="agents/planner/calls/c1")
    assert events[1].started.attempt == 1
    assert events[2].result.state == resources_pb2.CALL_STATE_SUCCEEDED
    assert events[2].result == await world.stored("c1")


async def test_exact_and_rounded_results_are_both_sent(world: World) -> None:
    result = (await world.call("calculator", {"expression": "2**100"}))[-1].result.result
    huge = (await world.call("calculator", {"expression": "10**1200"}))[-1].result.result

    assert json.loads(result.value_json) == {"result": 2**100}
    assert result.value.struct_value.fields["result"].number_value == float(2**100)
    assert json.loads(huge.value_json) == {"result": 10**1200}
    assert not huge.HasField("value")


async def test_arguments_come_as_a_struct_or_as_text_but_not_both(world: World) -> None:
    request = tool_pb2.CallToolRequest(tool="tools/calculator")
    request.arguments.update({"expression": "1 + 1"})
    events = [event async for event in world.stub.CallTool(request, metadata=PLANNER)]
    request.arguments_json = "{}"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in world.stub.CallTool(request, metadata=PLANNER):
            pass

    assert json.loads(events[-1].result.result.value_json) == {"result": 2}
    assert reason(refused.value) == "INVALID_REQUEST"


async def test_every_argument_that_breaks_the_schema_is_named(world: World) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.call("convert_units", {"value": "x", "from": 1, "to": "km"}, request_id="bad")
    bad = error_details_pb2.BadRequest()
    status = status_of(refused.value)
    assert status is not None
    found = [detail for detail in status.details if detail.Unpack(bad)]

    assert found
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(refused.value) == "TOOL_ARGUMENTS_INVALID"
    assert {violation.field for violation in bad.field_violations} == {"value", "from"}
    with pytest.raises(grpc.aio.AioRpcError):
        await world.stored("bad")


@pytest.mark.parametrize(
    "text", ["{", "[1]", "NaN", '{"a":' * 5_000, '{"expression": Infinity}', "1" * 5_000]
)
async def test_text_that_is_no_json_object_is_refused(world: World, text: str) -> None:
    request = tool_pb2.CallToolRequest(tool="tools/calculator", arguments_json=text)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in world.stub.CallTool(request, metadata=PLANNER):
            pass

    assert reason(refused.value) == "TOOL_ARGUMENTS_INVALID"


async def test_an_unknown_tool_is_not_found(world: World) -> None:
    assert await world.refused("unheard-of") == "TOOL_NOT_FOUND"


@pytest.mark.parametrize("effect", ["pure", "idempotent", "reversible"])
async def test_the_same_request_again_gets_the_first_result_and_runs_nothing(
    world: World, effect: str
) -> None:
    world.gate.opened.set()
    await world.register("job", "slow", effect)
    first = await world.call("job", {"n": 1}, request_id="r1")
    again = await world.call("job", {"n": 1}, request_id="r1")

    assert world.builtins.runs["slow"] == 1
    assert [event.WhichOneof("event") for event in again] == ["accepted", "result"]
    assert again[0].accepted.joined
    assert again[-1].result == first[-1].result


@pytest.mark.parametrize("effect", ["pure", "reversible"])
async def test_the_same_request_joins_the_call_that_runs(world: World, effect: str) -> None:
    await world.register("job", "slow", effect)
    first = world.start("job", request_id="r1")
    await world.gate.entered.wait()
    second = world.start("job", request_id="r1")
    await until(lambda: world.service.calls.listeners(Scope("acme", "planner"), "r1") == 2)
    world.gate.opened.set()

    assert (await first)[-1].result == (await second)[-1].result
    assert (await second)[0].accepted.joined
    assert world.builtins.runs["slow"] == 1


async def test_another_request_under_the_same_id_is_refused(world: World) -> None:
    await world.register("job", "slow")
    running = world.start("job", {"n": 1}, request_id="r1")
    await world.gate.entered.wait()
    while_running = await world.refused("job", {"n": 2}, request_id="r1")
    world.gate.opened.set()
    await running

    assert while_running == "IDEMPOTENCY_MISMATCH"
    assert await world.refused("job", {"n": 2}, request_id="r1") == "IDEMPOTENCY_MISMATCH"
    assert await world.refused("clock", request_id="r1") == "IDEMPOTENCY_MISMATCH"
    assert await world.value("job", {"n": 1}, request_id="r1") == {"result": "done"}


async def test_ids_of_two_agents_do_not_meet(world: World) -> None:
    await world.value("calculator", {"expression": "1"}, request_id="r1")

    assert await world.value("calculator", {"expression": "2"}, CRITIC, request_id="r1") == {"result": 2}


async def test_a_tool_that_crashes_fails_its_call_and_frees_its_place(world: World) -> None:
    await world.register("broken", "crash", max_concurrency=1)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await world.call("broken", request_id="r1")
    again = await world.refused("broken")

    assert failure.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason(failure.value) == again == "TOOL_FAILED"
    assert "secret" not in (failure.value.details() or "")
    assert (await world.stored("r1")).error.reason == "TOOL_FAILED"


async def test_what_the_tool_is_refused_is_the_error_of_the_call_also_when_repeated(world: World) -> None:
    await world.register("refuse", "refuse")

    assert await world.refused("refuse", request_id="r1") == "PERMISSION_DENIED"
    assert await world.refused("refuse", request_id="r1") == "PERMISSION_DENIED"
    assert world.builtins.runs["refuse"] == 1


async def test_a_result_that_is_no_json_fails_the_call(world: World) -> None:
    await world.register("junk", "junk")

    assert await world.refused("junk") == "TOOL_RESULT_INVALID"


async def test_a_result_is_held_against_the_tools_schema(world: World) -> None:
    world.gate.opened.set()
    await world.register("job", "slow", result_schema_json='{"properties": {"result": {"type": "number"}}}')

    assert await world.refused("job") == "TOOL_RESULT_INVALID"


async def test_a_tool_that_runs_too_long_is_stopped(world: World) -> None:
    await world.register("job", "slow", max_concurrency=1)
    failed = await world.refused("job", timeout=Duration(nanos=100_000_000))

    assert failed == "TOOL_TIMEOUT"
    assert world.gate.cancelled.is_set()
    world.gate.opened.set()
    assert await world.value("job") == {"result": "done"}


async def test_calls_of_different_tools_run_at_once_and_a_stuck_one_stalls_none(world: World) -> None:
    await world.register("stuck", "slow", max_concurrency=1)
    stuck = world.start("stuck")
    await world.gate.entered.wait()

    assert await world.value("calculator", {"expression": "1 + 1"}) == {"result": 2}
    assert await world.value("calculator", {"expression": "1 + 1"}, CRITIC) == {"result": 2}
    assert not stuck.done()
    world.gate.opened.set()
    await stuck


async def test_no_more_calls_run_at_once_than_the_tool_allows(world: World) -> None:
    await world.register("job", "slow", max_concurrency=2)
    calls = [world.start("job") for _ in range(4)]
    await until(lambda: world.gate.inside == 2)
    busy = await world.refused("job", max_wait=Duration(nanos=1_000_000))

    assert busy == "TOOL_BUSY"
    assert world.gate.inside == 2
    world.gate.opened.set()
    await asyncio.gather(*calls)
    assert world.builtins.runs["slow"] == 4


async def test_a_call_refused_because_the_tool_was_busy_may_be_sent_again(world: World) -> None:
    await world.register("job", "slow", max_concurrency=1)
    running = world.start("job")
    await world.gate.entered.wait()
    busy = await world.refused("job", request_id="r1", max_wait=Duration())
    world.gate.opened.set()
    await running

    assert busy == "TOOL_BUSY"
    assert await world.value("job", request_id="r1") == {"result": "done"}


async def test_a_flood_of_one_agent_waits_behind_the_first_call_of_another(world: World) -> None:
    await world.register("job", "slow", max_concurrency=1)
    flood = [world.start("job") for _ in range(20)]
    await until(lambda: world.service.calls.under_way(Scope("acme", "planner")) == 20)
    await world.gate.entered.wait()
    other = world.start("job", who=CRITIC)
    await until(lambda: world.service.calls.under_way(Scope("acme", "critic")) == 1)
    ended: list[str] = []
    other.add_done_callback(lambda _: ended.append("other"))
    for each in flood:
        each.add_done_callback(lambda _: ended.append("flood"))
    world.gate.opened.set()
    await asyncio.gather(other, *flood)

    assert ended.index("other") <= 3


async def test_an_agent_has_a_bounded_number_of_calls_under_way() -> None:
    async with tool_calls(ToolConfig(quota_running_calls=Cap.of(2))) as world:
        await world.register("job", "slow")
        running = [world.start("job") for _ in range(2)]
        await until(lambda: world.gate.inside == 2)

        assert await world.refused("clock") == "TOO_MANY_CALLS"
        assert "result" in await world.value("clock", who=CRITIC)
        world.gate.opened.set()
        await asyncio.gather(*running)
        assert "result" in await world.value("clock")


async def test_calls_that_need_the_same_thing_run_one_after_another(world: World) -> None:
    await world.register("one", "slow", locks=["browser-{profile}"])
    await world.register("two", "slow", locks=["browser-{profile}"])
    first = world.start("one", {"profile": "a"})
    await until(lambda: world.gate.inside == 1)
    same = await world.refused("two", {"profile": "a"}, max_wait=Duration())
    other = world.start("two", {"profile": "b"})
    await until(lambda: world.gate.inside == 2)
    world.gate.opened.set()
    await asyncio.gather(first, other)

    assert same == "TOOL_BUSY"
    assert await world.value("two", {"profile": "a"}) == {"result": "done"}
