"""Tools that other processes run: taking calls, leases, and what happens when a provider is lost."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest
from google.protobuf import struct_pb2
from google.protobuf.duration_pb2 import Duration

from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.auth.identity import Scope
from tests.fakes import tokens
from tests.fakes.clock import FakeClock
from tests.fakes.rpc import metadata_of, reason
from tests.fakes.tool import tool_service, tool_stub
from tests.fakes.waiting import until

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

WORKER = tokens.metadata("worker")
PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
LEASE = 30
EFFECTS = {"pure": resources_pb2.TOOL_EFFECT_PURE, "reversible": resources_pb2.TOOL_EFFECT_REVERSIBLE}


class Station:
    """One provider process, driven by a test."""

    def __init__(self, stub: ToolServiceAsyncStub, capacity: int, instance: str) -> None:
        self.stub = stub
        request = tool_pb2.TakeCallsRequest(
            parent="agents/me", tools=["tools/job"], capacity=capacity, instance=instance
        )
        self.stream = stub.TakeCalls(request, metadata=WORKER)
        self._events = aiter(self.stream)

    async def next(self) -> tool_pb2.TakeCallsResponse:
        """Return the next event."""
        async with asyncio.timeout(10):
            return await anext(self._events)

    async def take(self) -> tool_pb2.TakenCall:
        """Return the next call."""
        event = await self.next()
        assert event.WhichOneof("event") == "call", event
        return event.call

    async def complete(self, call: tool_pb2.TakenCall, value: Any = 1, who: Any = WORKER) -> int:
        """End a call with a result."""
        result = resources_pb2.CallResult(value_json=json.dumps(value))
        request = tool_pb2.CompleteCallRequest(call=call.call, lease_id=call.lease_id, result=result)
        return (await self.stub.CompleteCall(request, metadata=who)).state

    async def beat(self, call: tool_pb2.TakenCall, progress: tool_pb2.CallProgress | None = None) -> Any:
        """Show a sign of life."""
        request = tool_pb2.ReportCallProgressRequest(
            call=call.call, lease_id=call.lease_id, progress=progress
        )
        return await self.stub.ReportCallProgress(request, metadata=WORKER)


class World:
    """A tool manager on a clock that stands still, and a tool `job` that belongs to the worker."""

    def __init__(self, stub: ToolServiceAsyncStub, clock: FakeClock, service: Any) -> None:
        self.stub = stub
        self.clock = clock
        self.service = service

    async def register(self, effect: str = "reversible", **fields: Any) -> None:
        """Register the tool."""
        job = resources_pb2.Tool(
            name="tools/job",
            description="A job.",
            effect=EFFECTS[effect],
            provider=resources_pb2.ProviderDriver(lease=Duration(seconds=LEASE)),
            parameters_schema_json='{"type": "object"}',
            **fields,
        )
        await self.stub.RegisterTool(tool_pb2.RegisterToolRequest(tool=job), metadata=WORKER)

    async def stream(self, capacity: int = 1, instance: str = "w1") -> Station:
        """Connect a provider."""
        stream = Station(self.stub, capacity, instance)
        assert (await stream.next()).WhichOneof("event") == "heartbeat"
        return stream

    def call(self, who: Any = PLANNER, **fields: Any) -> asyncio.Task[list[tool_pb2.CallToolResponse]]:
        """Call the tool in the background."""

        async def events() -> list[tool_pb2.CallToolResponse]:
            stream = self.stub.CallTool(tool_pb2.CallToolRequest(tool="tools/job", **fields), metadata=who)
            try:
                return [event async for event in stream]
            finally:
                stream.cancel()

        return asyncio.create_task(events())

    async def failure(self, call: asyncio.Task[list[tool_pb2.CallToolResponse]]) -> str:
        """Return the reason a call failed for."""
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call
        return reason(failure.value)

    async def lose_leases(self) -> None:
        """Let all leases run out."""
        self.clock.advance(LEASE + 1)
        await self.service.leases.expire()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = FakeClock()
    service = tool_service(clock=clock)
    async with tool_stub(service) as stub:
        yield World(stub, clock, service)


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
