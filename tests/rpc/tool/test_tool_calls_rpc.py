"""Calls over a real socket: exactly once, cancelled, bounded, one agent apart from another."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from aios.api.tool.v1 import resources_pb2, tool_pb2
from aios.types.tools import text_of
from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import PermissionDenied
from services.chassis.rpc.status import status_of
from services.chassis.runtime.clock import SystemClock
from services.tool.config import ToolConfig
from tests.fakes import tokens
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import reason
from tests.fakes.stores.tool import InMemoryStore
from tests.fakes.tool import FakeApprovals, Gate, ScriptedBuiltins, tool_service, tool_stub
from tests.fakes.waiting import until

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
ADMIN = tokens.metadata("root", kind="admin")
EFFECTS = {
    "pure": resources_pb2.TOOL_EFFECT_PURE,
    "idempotent": resources_pb2.TOOL_EFFECT_IDEMPOTENT,
    "reversible": resources_pb2.TOOL_EFFECT_REVERSIBLE,
    "irreversible": resources_pb2.TOOL_EFFECT_IRREVERSIBLE,
}


async def crash(_arguments: Mapping[str, Any]) -> Any:
    raise RuntimeError("a secret of the tool")


async def refuse(_arguments: Mapping[str, Any]) -> Any:
    raise PermissionDenied("not yours")


async def nothing_json(_arguments: Mapping[str, Any]) -> Any:
    return {"result": float("nan")}


class World:
    """A tool manager with scripted functions `slow`, `crash`, `refuse` and `junk`, and a stub of it."""

    def __init__(self, config: ToolConfig | None = None) -> None:
        self.gate = Gate()
        self.builtins = ScriptedBuiltins(
            SystemClock(), slow=self.gate, crash=crash, refuse=refuse, junk=nothing_json
        )
        self.store = InMemoryStore()
        self.approvals = FakeApprovals()
        self.config = config or ToolConfig(look_at_approvals_every=timedelta(milliseconds=2))
        self.service = self.booted()
        self.stub: ToolServiceAsyncStub

    def booted(self) -> Any:
        """Wire a manager on this world's store, as a new process would."""
        return tool_service(
            config=self.config,
            store=self.store,
            builtins=self.builtins,
            clock=SystemClock(),
            approvals=self.approvals,
        )

    async def register(self, name: str, function: str, effect: str = "reversible", **fields: Any) -> None:
        """Register a tool that runs a function."""
        tool = resources_pb2.Tool(
            name=f"tools/{name}",
            description="A test.",
            effect=EFFECTS[effect],
            builtin=resources_pb2.BuiltinDriver(function=function),
            parameters_schema_json='{"type": "object"}',
            **fields,
        )
        await self.stub.RegisterTool(tool_pb2.RegisterToolRequest(tool=tool), metadata=PLANNER)

    def start(
        self, tool: str, arguments: Any = None, who: Any = PLANNER, **fields: Any
    ) -> asyncio.Task[list[tool_pb2.CallToolResponse]]:
        """Call a tool in the background."""
        return asyncio.create_task(self.call(tool, arguments, who, **fields))

    async def call(
        self, tool: str, arguments: Any = None, who: Any = PLANNER, **fields: Any
    ) -> list[tool_pb2.CallToolResponse]:
        """Call a tool and return all events."""
        request = tool_pb2.CallToolRequest(
            tool=f"tools/{tool}", arguments_json=json.dumps(arguments or {}), **fields
        )
        stream = self.stub.CallTool(request, metadata=who)
        try:
            return [event async for event in stream]
        finally:
            stream.cancel()

    async def value(self, tool: str, arguments: Any = None, who: Any = PLANNER, **fields: Any) -> Any:
        """Call a tool and return its result."""
        events = await self.call(tool, arguments, who, **fields)
        return json.loads(events[-1].result.result.value_json)

    async def refused(self, tool: str, arguments: Any = None, who: Any = PLANNER, **fields: Any) -> str:
        """Call a tool and return the reason it failed for."""
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await self.call(tool, arguments, who, **fields)
        return reason(failure.value)

    async def stored(self, call: str, who: Any = PLANNER) -> resources_pb2.Call:
        """Return a call of the ledger."""
        request = tool_pb2.GetCallRequest(name=f"agents/me/calls/{call}")
        return (await self.stub.GetCall(request, metadata=who)).call


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with tool_stub(world.service) as world.stub:
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
    world = World(ToolConfig(max_calls=2))
    async with tool_stub(world.service) as world.stub:
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


@pytest.mark.parametrize("effect", ["pure", "reversible"])
async def test_cancelling_stops_the_tool_and_the_caller_hears_it(world: World, effect: str) -> None:
    await world.register("job", "slow", effect, max_concurrency=1)
    running = world.start("job", request_id="r1")
    await world.gate.entered.wait()
    request = tool_pb2.CancelCallRequest(name="agents/me/calls/r1", request_id="x1")
    ended = await world.stub.CancelCall(request, metadata=PLANNER)
    again = await world.stub.CancelCall(request, metadata=PLANNER)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await running

    assert ended.call.state == resources_pb2.CALL_STATE_CANCELLED
    assert ended == again
    assert world.gate.cancelled.is_set()
    assert failure.value.code() is grpc.StatusCode.CANCELLED
    assert reason(failure.value) == "CANCELLED"
    assert await world.refused("job", request_id="r1") == "CANCELLED"
    world.gate.opened.set()
    assert await world.value("job") == {"result": "done"}


async def test_a_call_that_has_ended_stays_as_it_is_when_cancelled(world: World) -> None:
    await world.value("clock", request_id="r1")
    request = tool_pb2.CancelCallRequest(name="agents/me/calls/r1")

    ended = await world.stub.CancelCall(request, metadata=PLANNER)
    assert ended.call.state == resources_pb2.CALL_STATE_SUCCEEDED


async def test_nobody_cancels_or_sees_the_calls_of_another(world: World) -> None:
    await world.value("clock", request_id="r1")
    name = "agents/planner/calls/r1"
    with pytest.raises(grpc.aio.AioRpcError) as seen:
        await world.stub.GetCall(tool_pb2.GetCallRequest(name=name), metadata=CRITIC)
    with pytest.raises(grpc.aio.AioRpcError) as cancelled:
        await world.stub.CancelCall(tool_pb2.CancelCallRequest(name=name), metadata=CRITIC)
    found = await world.stub.GetCall(tool_pb2.GetCallRequest(name=name), metadata=ADMIN)

    assert reason(seen.value) == reason(cancelled.value) == "PERMISSION_DENIED"
    assert found.call.name == name


@pytest.mark.parametrize("effect", ["pure", "reversible"])
async def test_a_caller_that_leaves_stops_its_call_and_frees_its_place(world: World, effect: str) -> None:
    await world.register("job", "slow", effect, max_concurrency=1)
    running = world.start("job", request_id="r1")
    await world.gate.entered.wait()
    running.cancel()
    await world.gate.cancelled.wait()
    await until(lambda: world.service.calls.under_way(Scope("acme", "planner")) == 0)
    world.gate.opened.set()

    stored = (await world.stored("r1")).state
    assert await world.value("job") == {"result": "done"}
    if effect == "pure":  # harmless, so it may simply be sent again
        assert stored == resources_pb2.CALL_STATE_CANCELLED
        assert await world.value("job", request_id="r1") == {"result": "done"}
    else:  # nobody asked for it to be stopped, and it may have run
        assert stored == resources_pb2.CALL_STATE_UNKNOWN
        assert await world.refused("job", request_id="r1") == "UNKNOWN_OUTCOME"


async def test_a_caller_that_leaves_while_it_waits_may_send_the_call_again(world: World) -> None:
    await world.register("job", "slow", max_concurrency=1)
    first = world.start("job")
    await world.gate.entered.wait()
    waiting = world.start("job", request_id="r1")
    await until(lambda: world.service.calls.under_way(Scope("acme", "planner")) == 2)
    waiting.cancel()
    await until(lambda: world.service.calls.under_way(Scope("acme", "planner")) == 1)
    world.gate.opened.set()
    await first

    assert world.builtins.runs["slow"] == 1
    assert await world.value("job", request_id="r1") == {"result": "done"}


async def test_a_detached_call_goes_on_without_its_caller(world: World) -> None:
    await world.register("job", "slow")
    request = tool_pb2.CallToolRequest(tool="tools/job", request_id="r1", detach=True)
    stream = world.stub.CallTool(request, metadata=PLANNER)
    accepted = await anext(aiter(stream))
    await world.gate.entered.wait()
    stream.cancel()
    running = await world.stored("r1")
    world.gate.opened.set()
    await until(lambda: world.service.calls.under_way(Scope("acme", "planner")) == 0)

    assert accepted.accepted.call == "agents/planner/calls/r1"
    assert running.state == resources_pb2.CALL_STATE_RUNNING
    assert (await world.stored("r1")).state == resources_pb2.CALL_STATE_SUCCEEDED
    assert json.loads((await world.stored("r1")).result.value_json) == {"result": "done"}


async def test_calls_are_listed_newest_first_without_results(world: World) -> None:
    for number in range(3):
        await world.value("calculator", {"expression": str(number)}, request_id=f"c{number}")
    await world.value("clock", request_id="t")
    request = tool_pb2.ListCallsRequest(parent="agents/me", tool="tools/calculator", page_size=2)
    first = await world.stub.ListCalls(request, metadata=PLANNER)
    request.page_token = first.next_page_token
    rest = await world.stub.ListCalls(request, metadata=PLANNER)
    request.tool = ""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.stub.ListCalls(request, metadata=PLANNER)

    found = [*first.calls, *rest.calls]
    assert [call.name.rpartition("/")[2] for call in found] == ["c2", "c1", "c0"]
    assert not any(call.HasField("result") for call in found)
    assert rest.next_page_token == ""
    assert reason(refused.value) == "INVALID_PAGE_TOKEN"
    await refuses_forgeries(world.stub.ListCalls, tool_pb2.ListCallsRequest(parent="agents/me"), PLANNER)


async def test_an_irreversible_call_is_refused_until_a_person_approved_it(world: World) -> None:
    world.gate.opened.set()
    await world.register("fire", "slow", "irreversible")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.call("fire", {"n": 1}, request_id="r1")
    ran_before = world.builtins.runs["slow"]
    world.approvals.say = True
    done = await world.call("fire", {"n": 1}, request_id="r1")
    again = await world.refused("fire", {"n": 1})

    assert reason(refused.value) == again == "APPROVAL_REQUIRED"
    assert metadata_of(refused.value)["approval"] == "approvals/a0"
    assert ran_before == 0
    assert done[-1].result.approval == "approvals/a0"
    assert world.approvals.spent == ["a0"]
    assert world.approvals.asked[0] == ("fire", '{"n":1}')


@pytest.mark.parametrize(("say", "end"), [(True, "result"), (False, "APPROVAL_REQUIRED")])
async def test_a_call_waits_for_its_approval_without_holding_a_place(
    world: World, *, say: bool, end: str
) -> None:
    await world.register("fire", "slow", "pure", requires_approval=True, max_concurrency=1)
    waiting = world.start("fire", request_id="r1", wait_for_approval=True)
    await until(lambda: bool(world.approvals.asked))
    async with asyncio.timeout(10):
        while (await world.stored("r1")).state != resources_pb2.CALL_STATE_WAITING_APPROVAL:  # noqa: ASYNC110 - asks over the socket
            await asyncio.sleep(0.002)
    world.approvals.say = say
    world.gate.opened.set()
    try:
        events = [event.WhichOneof("event") for event in await waiting]
    except grpc.aio.AioRpcError as failure:
        events = [reason(failure)]

    assert events[-1] == end
    assert events[:-1] in ([], ["accepted", "waits_for_approval", "started"])
    assert world.approvals.spent == (["a0"] if say else [])


async def test_an_approval_for_nothing_runs_nothing(world: World) -> None:
    await world.register("fire", "slow", "irreversible")
    world.approvals.say = True
    world.approvals.spent = ["old"]

    assert await world.refused("fire", approval="approvals/old") == "APPROVAL_REQUIRED"
    assert world.builtins.runs["slow"] == 0


def metadata_of(failure: grpc.aio.AioRpcError) -> Mapping[str, str]:
    """Return the metadata of an error."""
    info, status = error_details_pb2.ErrorInfo(), status_of(failure)
    assert status is not None
    assert any(detail.Unpack(info) for detail in status.details)
    return dict(info.metadata)


async def test_a_harmless_call_that_the_shutdown_cut_short_runs_again() -> None:
    world = World()
    failure = await cut_short(world, "pure")
    async with tool_stub(world.booted()) as world.stub:
        world.gate.opened.set()

        assert failure == "SERVICE_UNAVAILABLE"
        assert await world.value("job", request_id="r1") == {"result": "done"}
        assert (await world.stored("r1")).attempt_count == 2


async def test_a_call_with_an_effect_that_the_shutdown_cut_short_is_never_repeated() -> None:
    world = World()
    failure = await cut_short(world, "reversible")
    async with tool_stub(world.booted()) as world.stub:
        assert failure == "UNKNOWN_OUTCOME"
        assert await world.refused("job", request_id="r1") == "UNKNOWN_OUTCOME"
        assert (await world.stored("r1")).state == resources_pb2.CALL_STATE_UNKNOWN
    assert world.builtins.runs["slow"] == 1


async def cut_short(world: World, effect: str) -> str:
    """Stop a manager while a detached call runs, and return the reason its caller hears."""
    async with tool_stub(world.service) as world.stub:
        await world.register("job", "slow", effect)
        running = world.start("job", request_id="r1", detach=True)
        await world.gate.entered.wait()
        await world.service.calls.stop()
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await running
    return reason(failure.value)
