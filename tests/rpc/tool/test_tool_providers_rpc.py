"""Tools that other processes run: taking calls, leases, and what happens when a provider is lost."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.auth.identity import Scope
from tests.fakes.rpc import reason
from tests.fakes.tool_providers import CRITIC, LEASE, PLANNER, WORKER, World, tool_with_providers
from tests.fakes.waiting import until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with tool_with_providers() as world:
        yield world


def value(events: list[tool_pb2.CallToolResponse]) -> Any:
    return json.loads(events[-1].result.result.value_json)


async def lost(attempt: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await attempt
    return reason(failure.value)


async def test_a_provider_runs_a_call_and_its_caller_gets_the_result(world: World) -> None:
    await world.register()
    stream = await world.stream()
    calling = world.call(arguments_json='{"b": 1, "a": "ö"}', request_id="r1")
    taken = await stream.take()
    state = await stream.complete(taken, {"answer": [1, "ö"]})
    events = await calling

    assert (taken.tool, taken.agent, taken.attempt) == ("tools/job", "agents/planner", 1)
    assert taken.call == "agents/planner/calls/r1"
    assert json.loads(taken.arguments_json) == {"b": 1, "a": "ö"}
    assert state == resources_pb2.CALL_STATE_SUCCEEDED
    assert value(events) == {"answer": [1, "ö"]}
    assert events[-1].result.provider == "w1"


async def test_progress_reaches_the_caller_and_prolongs_the_lease(world: World) -> None:
    await world.register()
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    world.clock.advance(LEASE - 1)
    report = await stream.beat(taken, tool_pb2.CallProgress(progress=1, total=2, message="half"))
    world.clock.advance(LEASE - 1)
    await world.service.leases.expire()
    await stream.complete(taken)
    events = await calling

    assert report.lease_expire_time.ToDatetime() > taken.lease_expire_time.ToDatetime()
    assert [event.WhichOneof("event") for event in events] == ["accepted", "started", "progress", "result"]
    assert events[2].progress.message == "half"


async def test_a_failure_of_the_provider_is_the_calls(world: World) -> None:
    await world.register()
    stream = await world.stream()
    calling = world.call(request_id="r1")
    taken = await stream.take()
    error = resources_pb2.CallError(reason="WHATEVER", message="no ink")
    error.details.update({"ink": 0})
    request = tool_pb2.CompleteCallRequest(call=taken.call, lease_id=taken.lease_id, error=error)
    state = (await stream.stub.CompleteCall(request, metadata=WORKER)).state
    stored = await world.stub.GetCall(tool_pb2.GetCallRequest(name=taken.call), metadata=PLANNER)

    assert state == resources_pb2.CALL_STATE_FAILED
    assert await world.failure(calling) == "TOOL_FAILED"
    assert stored.call.error.message == "no ink"
    assert stored.call.error.details.fields["ink"].number_value == 0


async def test_a_result_that_breaks_the_schema_is_taken_and_fails_the_call(world: World) -> None:
    await world.register(result_schema_json='{"type": "string"}')
    stream = await world.stream()
    calling = world.call()
    state = await stream.complete(await stream.take(), 5)

    assert state == resources_pb2.CALL_STATE_FAILED
    assert await world.failure(calling) == "TOOL_RESULT_INVALID"


async def test_pieces_that_are_no_json_arrive_too(world: World) -> None:
    await world.register(returns_untrusted=True)
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    result = resources_pb2.CallResult(
        content=[
            resources_pb2.Content(data=b"\x00\xff", media_type="image/png"),
            resources_pb2.Content(text="t"),
        ]
    )
    request = tool_pb2.CompleteCallRequest(call=taken.call, lease_id=taken.lease_id, result=result)
    await stream.stub.CompleteCall(request, metadata=WORKER)
    got = (await calling)[-1].result.result

    assert [piece.data for piece in got.content] == [b"\x00\xff", b""]
    assert got.content[1].text == "t"
    assert got.untrusted


async def test_the_same_outcome_again_changes_nothing_and_another_is_refused(world: World) -> None:
    await world.register()
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    first = await stream.complete(taken, 1)
    again = await stream.complete(taken, 1)

    assert first == again == resources_pb2.CALL_STATE_SUCCEEDED
    assert await lost(stream.complete(taken, 2)) == "IDEMPOTENCY_MISMATCH"
    assert value(await calling) == 1


async def test_only_the_holder_of_the_lease_ends_the_call(world: World) -> None:
    await world.register()
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    forged = tool_pb2.TakenCall(call=taken.call, lease_id="0" * 32)
    renamed = tool_pb2.TakenCall(call="agents/critic/calls/x", lease_id=taken.lease_id)

    assert await lost(stream.complete(forged)) == "CALL_LEASE_LOST"
    assert await lost(stream.complete(renamed)) == "CALL_LEASE_LOST"
    assert await lost(stream.complete(taken, who=CRITIC)) == "CALL_LEASE_LOST"
    await stream.complete(taken)
    assert value(await calling) == 1


async def test_a_tool_without_a_provider_cannot_be_called_now(world: World) -> None:
    await world.register()
    calling = world.call(request_id="r1")

    assert await world.failure(calling) == "TOOL_PROVIDER_LOST"
    stream = await world.stream()
    again = world.call(request_id="r1")
    await stream.complete(await stream.take())
    assert value(await again) == 1


@pytest.mark.parametrize("how", ["stream ends", "process hangs"])
async def test_a_call_with_an_effect_whose_provider_is_lost_has_an_unknown_outcome(
    world: World, how: str
) -> None:
    await world.register("reversible")
    stream, spare = await world.stream(), await world.stream(instance="w2")
    calling = world.call(request_id="r1")
    first, second = asyncio.create_task(stream.next()), asyncio.create_task(spare.next())
    await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
    holder, event = (stream, first) if first.done() else (spare, second)
    taken = (await event).call
    if how == "stream ends":
        holder.stream.cancel()
    await world.lose_leases()
    failed = await world.failure(calling)

    assert failed == "UNKNOWN_OUTCOME"
    assert await world.failure(world.call(request_id="r1")) == "UNKNOWN_OUTCOME"
    assert await lost(stream.complete(taken)) == "CALL_LEASE_LOST"
    assert await lost(stream.beat(taken)) == "CALL_LEASE_LOST"
    for task in (first, second):
        task.cancel()


async def test_a_harmless_call_whose_provider_is_lost_goes_to_another(world: World) -> None:
    await world.register("pure")
    stream = await world.stream()
    calling = world.call(request_id="r1")
    old = await stream.take()
    spare = await world.stream(instance="w2")
    await world.lose_leases()
    revoked = await stream.next()
    stream.stream.cancel()
    new = await spare.take()
    late = await lost(stream.complete(old, "old"))
    await spare.complete(new, "new")
    events = await calling

    assert revoked.revoked == tool_pb2.RevokedCall(
        call=old.call, lease_id=old.lease_id, reason="CALL_LEASE_LOST"
    )
    assert late == "CALL_LEASE_LOST"
    assert (old.attempt, new.attempt) == (1, 2)
    assert value(events) == "new"
    assert [event.started.attempt for event in events if event.HasField("started")] == [1, 2]
    assert events[-1].result.attempt_count == 2


async def test_a_call_that_brings_its_providers_down_is_given_up(world: World) -> None:
    await world.register("pure")
    stream = await world.stream(capacity=5)
    calling = world.call()
    attempts = []
    for number in range(3):
        attempts.append((await stream.take()).attempt)
        spare = await world.stream(capacity=5, instance=f"spare{number}")
        stream.stream.cancel()
        await until(lambda: len(world.service.leases.places(Scope("acme", "worker"))) == 1)
        await world.lose_leases()
        stream = spare

    assert attempts == [1, 2, 3]
    assert await world.failure(calling) == "TOOL_PROVIDER_LOST"


@pytest.mark.parametrize("how", ["cancelled", "left", "timed out"])
async def test_a_provider_is_told_to_stop_when_its_call_ends_otherwise(world: World, how: str) -> None:
    await world.register(timeout=Duration(nanos=200_000_000) if how == "timed out" else None)
    stream = await world.stream()
    calling = world.call(request_id="r1")
    taken = await stream.take()
    if how == "cancelled":
        await world.stub.CancelCall(tool_pb2.CancelCallRequest(name=taken.call), metadata=PLANNER)
    elif how == "left":
        calling.cancel()
    revoked = (await stream.next()).revoked
    after = world.call(request_id="r2")
    await stream.complete(await stream.take())
    await asyncio.gather(calling, return_exceptions=True)

    assert revoked.lease_id == taken.lease_id
    assert revoked.reason == ("TOOL_TIMEOUT" if how == "timed out" else "CANCELLED")
    assert await lost(stream.complete(taken)) == "CALL_LEASE_LOST"
    assert value(await after) == 1


async def test_a_provider_never_holds_more_than_it_has_room_for(world: World) -> None:
    await world.register()
    stream = await world.stream(capacity=2)
    calls = [world.call() for _ in range(3)]
    one, two = await stream.take(), await stream.take()
    await until(lambda: world.service.calls.under_way(Scope("acme", "planner")) == 3)
    third = asyncio.create_task(stream.next())
    await asyncio.sleep(0)
    waiting = not third.done()
    await stream.complete(one)
    await stream.complete((await third).call)
    await stream.complete(two)

    assert waiting
    assert [value(await call) for call in calls] == [1, 1, 1]


async def test_a_call_for_which_no_provider_has_room_is_busy(world: World) -> None:
    await world.register()
    stream = await world.stream(capacity=1)
    running = world.call()
    taken = await stream.take()
    busy = await world.failure(world.call(max_wait=Duration(nanos=1_000_000)))
    await stream.complete(taken)
    await running

    assert busy == "TOOL_BUSY"


async def test_only_its_owner_provides_a_tool(world: World) -> None:
    await world.register()

    async def take(tool: str, who: Any) -> str:
        stream = world.stub.TakeCalls(tool_pb2.TakeCallsRequest(tools=[tool]), metadata=who)
        return await lost(anext(aiter(stream)))

    assert await take("tools/job", CRITIC) == "PERMISSION_DENIED"
    assert await take("tools/unheard-of", WORKER) == "TOOL_NOT_FOUND"
    assert await take("tools/clock", WORKER) == "TOOL_NOT_FOUND"


async def test_a_tool_is_available_while_a_provider_is_connected(world: World) -> None:
    await world.register()
    request = tool_pb2.GetToolRequest(name="tools/job")
    stream = await world.stream()
    connected = await world.stub.GetTool(request, metadata=PLANNER)
    stream.stream.cancel()
    tool = await world.service.registry.get(Scope("acme", "planner"), "job")
    await until(lambda: not world.service.leases.connected("acme", tool))
    lost_again = await world.stub.GetTool(request, metadata=PLANNER)

    assert connected.tool.available
    assert not lost_again.tool.available


async def test_a_process_may_have_as_much_in_hand_as_a_request_can_name(world: World) -> None:
    await world.register()
    held = [
        tool_pb2.HeldCall(call=f"agents/{'a' * 63}/calls/{n:064d}", lease_id=f"{n:032d}" * 2)
        for n in range(1024)
    ]
    request = tool_pb2.TakeCallsRequest(tools=["tools/job"], capacity=256, process_id="x1", held=held)
    stream = world.stub.TakeCalls(request, metadata=WORKER)
    first = await anext(aiter(stream))
    stream.cancel()

    assert first.HasField("heartbeat")


async def test_a_process_that_is_known_by_its_instance_completes_after_it_came_back(world: World) -> None:
    await world.register()
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    stream.stream.cancel()
    await until(lambda: not world.service.leases.places(Scope("acme", "worker")))
    again = await world.stream()
    await again.beat(taken)
    state = await again.complete(taken)

    assert state == resources_pb2.CALL_STATE_SUCCEEDED
    assert value(await calling) == 1


async def test_what_is_left_is_told_besides_the_kernels_clock(world: World) -> None:
    await world.register(timeout=Duration(seconds=40))
    stream = await world.stream()
    calling = world.call()
    taken = await stream.take()
    world.clock.advance(5)
    prolonged = await stream.beat(taken)
    await stream.complete(taken)
    await calling

    assert taken.lease_left.ToSeconds() == prolonged.lease_left.ToSeconds() == LEASE
    assert taken.time_left.ToSeconds() == 40
