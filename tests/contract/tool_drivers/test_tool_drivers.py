"""What every driver of tools does, whatever its tools do: the same suite on each of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from services.chassis.auth.identity import Caller, Scope, set_caller
from services.chassis.idempotency import RequestIdentity
from services.chassis.runtime.clock import SystemClock
from services.tool.model import (
    CallEvent,
    CallRequest,
    CallState,
    Effect,
    Progress,
    Started,
    ToolCall,
)
from services.tool.service.facade import ToolService
from tests.fakes.stores.tool import InMemoryStore
from tests.fakes.tool import tool_service
from tests.fakes.tool_drivers import DRIVERS, SECRET, Behaviour, Harness
from tests.fakes.waiting import until

PLANNER = Scope("acme", "planner")


@pytest.fixture(params=list(DRIVERS))
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    """Every driver in turn."""
    async with DRIVERS[request.param]() as made:
        yield made


class World:
    """A tool manager with one driver."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.store = InMemoryStore()
        self.service = self.booted()

    def booted(self) -> ToolService:
        """Wire a manager on this world's store, as a new process would."""
        drivers = {self.harness.kind: self.harness.driver}
        return tool_service(store=self.store, drivers=drivers, clock=SystemClock())

    async def made(self, behaviour: Behaviour, **fields: Any) -> str:
        """Register a tool that behaves so and return its id; skip where a driver's tools cannot."""
        tool = self.harness.tool(behaviour)
        if tool is None:
            pytest.skip(f"tools of the driver {self.harness.kind.value} cannot do that")
        tool = replace(tool, id=tool.id.replace(" ", "-"), **fields)
        actor = RequestIdentity("planner", "RegisterTool", admin=True)  # who may send secrets
        return (await self.service.registry.register(PLANNER, actor, tool, "")).tool.id

    async def events(self, tool: str, text: str = "", **fields: Any) -> list[CallEvent]:
        """Call a tool and return everything that is told."""
        set_caller(Caller("planner", "acme", owner="planner", trace_id="0" * 32))
        request = CallRequest(tool=tool, arguments={"text": text} if text else {}, **fields)
        async with aclosing(self.service.calls.call(PLANNER, request)) as stream:
            return [event async for event in stream]

    async def ended(self, tool: str, text: str = "", **fields: Any) -> ToolCall:
        """Call a tool and return how it ended."""
        last = (await self.events(tool, text, **fields))[-1]
        assert isinstance(last, ToolCall)
        return last


@pytest.fixture
async def world(harness: Harness) -> AsyncIterator[World]:
    """Wire a tool manager with one driver; nothing may be left of its calls."""
    made = World(harness)
    yield made
    await made.service.calls.stop()
    await until(lambda: not harness.left())


async def test_a_result_comes_back_as_json(world: World) -> None:
    call = await world.ended(await world.made(Behaviour.ECHOES), "hello \u2028 \U0001f600")

    assert call.state is CallState.SUCCEEDED
    assert json.loads(call.result_json) == {"result": "hello \u2028 \U0001f600"}


async def test_a_tools_failure_is_its_own_and_says_why(world: World) -> None:
    call = await world.ended(await world.made(Behaviour.FAILS))

    assert (call.state, call.error and call.error.reason) == (CallState.FAILED, "TOOL_FAILED")
    assert call.error is not None
    assert "out of paper" in call.error.message


async def test_a_tool_that_hangs_is_ended_at_its_time(world: World) -> None:
    tool = await world.made(Behaviour.HANGS)

    call = await world.ended(tool, run_seconds=0.3)

    assert call.error is not None
    assert call.error.reason == "TOOL_TIMEOUT"
    await until(lambda: not world.harness.left())


async def test_a_call_that_is_cancelled_leaves_nothing(world: World) -> None:
    tool = await world.made(Behaviour.HANGS)
    calling = asyncio.create_task(world.events(tool, call_id="c1", detach=True))
    await until(lambda: bool(world.harness.left()))

    ended = await world.service.calls.cancel(PLANNER, RequestIdentity("planner", "CancelCall"), "c1")
    await calling

    assert ended.state in {CallState.CANCELLED, CallState.UNKNOWN}
    await until(lambda: not world.harness.left())


@pytest.mark.parametrize(
    ("behaviour", "reasons"),
    [
        (Behaviour.DIES, {"UNKNOWN_OUTCOME", "TOOL_FAILED", "MCP_SERVER_FAILED"}),
        (
            Behaviour.FLOODS,
            {
                "UNKNOWN_OUTCOME",
                "TOOL_FAILED",
                "TOOL_RESULT_INVALID",
                "MCP_SERVER_FAILED",
                "TOOL_TIMEOUT",
                "",
            },
        ),
        (
            Behaviour.BABBLES,
            {"UNKNOWN_OUTCOME", "TOOL_FAILED", "TOOL_RESULT_INVALID", "MCP_SERVER_FAILED", "TOOL_TIMEOUT"},
        ),
        (Behaviour.HUGE, {"UNKNOWN_OUTCOME", "TOOL_FAILED", "TOOL_RESULT_INVALID", "MCP_SERVER_FAILED"}),
    ],
)
async def test_what_misbehaves_ends_its_own_call_with_a_type_and_the_next_call_works(
    world: World, behaviour: Behaviour, reasons: set[str]
) -> None:
    good = await world.made(Behaviour.ECHOES)
    bad = await world.made(behaviour)

    call = await world.ended(bad, run_seconds=3.0)
    after = await world.ended(good, "still here")

    assert call.state.ended
    assert (call.error.reason if call.error is not None else "") in reasons
    assert json.loads(after.result_json) == {"result": "still here"}


async def test_progress_is_told_before_the_end(world: World) -> None:
    told = await world.events(await world.made(Behaviour.TELLS))

    kinds = [type(one) for one in told]
    assert kinds.index(Started) < kinds.index(Progress) < kinds.index(ToolCall)
    assert any("half" in f"{one.message}{one.partial_output}" for one in told if isinstance(one, Progress))


async def test_calls_run_side_by_side_and_each_gets_its_own_answer(world: World) -> None:
    tool = await world.made(Behaviour.ECHOES, max_concurrency=4)

    calls = await asyncio.gather(*(world.ended(tool, f"call {number}") for number in range(12)))

    assert [json.loads(call.result_json)["result"] for call in calls] == [f"call {n}" for n in range(12)]


@pytest.mark.parametrize("effect", [Effect.REVERSIBLE, Effect.IDEMPOTENT])
async def test_what_ran_when_the_process_was_lost_is_never_repeated_by_itself(
    world: World, effect: Effect
) -> None:
    tool = await world.made(Behaviour.HANGS, effect=effect)
    calling = asyncio.create_task(world.events(tool, call_id="c1", detach=True))
    await until(lambda: bool(world.harness.left()))

    successor = world.booted()  # on the same ledger: the first one's process is as good as gone
    await successor.calls.recover()
    found = await successor.calls.get(PLANNER, "c1")

    assert found.state is (CallState.FAILED if found.repeatable else CallState.UNKNOWN)
    assert found.repeatable is found.effect.repeatable
    await world.service.calls.stop()
    await asyncio.gather(calling, return_exceptions=True)


@pytest.mark.parametrize("behaviour", [Behaviour.LEAKS, Behaviour.LEAKS_FAILING])
async def test_a_secret_is_redacted_wherever_a_tool_says_it(world: World, behaviour: Behaviour) -> None:
    told = await world.events(await world.made(behaviour))

    assert SECRET not in repr(told)
