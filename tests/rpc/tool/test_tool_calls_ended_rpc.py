"""How calls end otherwise: cancelled, left by their callers, held for an approval, cut short."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import asyncio
import json
from collections.abc import AsyncIterator

import grpc
import pytest

from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.auth.identity import Scope
from services.chassis.rpc.client import Metadata
from services.tool.config import ToolConfig
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import metadata_of, reason
from tests.fakes.tokens import ISSUER_FOR_TESTS, metadata
from tests.fakes.tool import tool_stub
from tests.fakes.tool_calls import ADMIN, CRITIC, PLANNER, World, tool_calls
from tests.fakes.waiting import until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with tool_calls() as world:
        yield world


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


@pytest.mark.parametrize("joined", [False, True], ids=["alone", "joined by another family"])
async def test_a_detached_call_ends_when_all_tokens_that_asked_for_it_are_revoked(
    world: World, *, joined: bool
) -> None:
    await world.register("job", "slow")
    running = [world.start("job", who=of_family("f1"), request_id="r1", detach=True)]
    await world.gate.entered.wait()
    if joined:
        running.append(world.start("job", who=of_family("f2"), request_id="r1"))
        await until(lambda: world.service.calls.listeners(Scope("acme", "planner"), "r1") == 2)
    world.service.calls.end_revoked(lambda who: who.session_id == "f1")
    if joined:
        assert (await world.stored("r1")).state == resources_pb2.CALL_STATE_RUNNING
        world.service.calls.end_revoked(lambda _who: True)
    for call in running:
        with pytest.raises(grpc.aio.AioRpcError):
            await call

    assert (await world.stored("r1")).state == resources_pb2.CALL_STATE_CANCELLED
    assert world.gate.cancelled.is_set()


def of_family(family: str) -> Metadata:
    """Return the metadata of a call of the planner with a token of a family."""
    return (("authorization", f"Bearer {ISSUER_FOR_TESTS.token('planner', sid=family)}"),)


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


async def test_the_arguments_of_a_call_are_shown_while_it_runs_and_kept_when_it_has_ended(
    world: World,
) -> None:
    await world.register("job", "slow", "reversible")
    running = world.start("job", {"b": 1, "a": "ä"}, request_id="r1")
    await world.gate.entered.wait()
    shown = await world.stored("r1")
    world.gate.opened.set()
    await running
    kept = await world.stored("r1")
    listed = await world.stub.ListCalls(tool_pb2.ListCallsRequest(parent="agents/me"), metadata=PLANNER)

    for found in (shown, kept, *listed.calls):
        assert found.arguments == '{"a":"\\u00e4","b":1}'
        assert (found.arguments_total_bytes, found.arguments_cut) == (len(found.arguments), False)


@pytest.mark.parametrize("most", [0, 10])
async def test_long_arguments_are_cut_and_marked_or_not_kept_as_the_setting_says(most: int) -> None:
    async with tool_calls(ToolConfig(keep_arguments=most)) as world:
        await world.value("calculator", {"expression": "1 + 1"}, request_id="r1")
        kept = await world.stored("r1")

    assert kept.arguments == '{"expressi'[:most]
    assert kept.arguments_total_bytes == (len('{"expression":"1 + 1"}') if most else 0)
    assert kept.arguments_cut == bool(most)


async def test_an_administrator_lists_the_calls_of_its_tenant_and_an_agent_its_own(world: World) -> None:
    await world.value("clock", request_id="p")
    await world.value("clock", request_id="c", who=CRITIC)
    await world.value("clock", request_id="foreign", who=metadata("planner", tenant="globex"))
    everybody = tool_pb2.ListCallsRequest(page_size=1)
    first = await world.stub.ListCalls(everybody, metadata=ADMIN)
    everybody.page_token = first.next_page_token
    rest = await world.stub.ListCalls(everybody, metadata=ADMIN)
    own = await world.stub.ListCalls(tool_pb2.ListCallsRequest(), metadata=CRITIC)
    past = tool_pb2.ListCallsRequest(parent="agents/planner", created_before=first.calls[0].create_time)
    before = await world.stub.ListCalls(past, metadata=ADMIN)

    names = {call.name for call in (*first.calls, *rest.calls)}
    assert names == {"agents/planner/calls/p", "agents/critic/calls/c"}
    assert not rest.next_page_token
    assert [call.name for call in own.calls] == ["agents/critic/calls/c"]
    assert "agents/critic/calls/c" not in {call.name for call in before.calls}
    await refuses_forgeries(world.stub.ListCalls, tool_pb2.ListCallsRequest(), ADMIN)


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


async def test_an_approval_of_a_tool_that_was_registered_anew_meanwhile_runs_nothing(world: World) -> None:
    world.gate.opened.set()
    await world.register("fire", "slow", "pure", requires_approval=True)
    waiting = world.start("fire", request_id="r1", wait_for_approval=True)
    await until(lambda: bool(world.approvals.asked))
    changed = resources_pb2.Tool(
        name="tools/fire",
        description="Another one.",
        parameters_schema_json='{"type": "object"}',
        effect=resources_pb2.TOOL_EFFECT_PURE,
        builtin=resources_pb2.BuiltinDriver(function="slow"),
        requires_approval=True,
        etag="1",
    )
    await world.stub.RegisterTool(tool_pb2.RegisterToolRequest(tool=changed), metadata=PLANNER)
    world.approvals.say = True
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await waiting

    assert reason(refused.value) == "APPROVAL_REQUIRED"
    assert world.builtins.runs["slow"] == 0
    assert world.approvals.spent == []


async def test_an_approval_for_nothing_runs_nothing(world: World) -> None:
    await world.register("fire", "slow", "irreversible")
    world.approvals.say = True
    world.approvals.spent = ["old"]

    assert await world.refused("fire", approval="approvals/old") == "APPROVAL_REQUIRED"
    assert world.builtins.runs["slow"] == 0


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
