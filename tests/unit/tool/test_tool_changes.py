"""A tool's schema does not change under the calls that wait or run, unless whoever changes it says so."""

import asyncio
import json
from typing import Any, Final

import pytest

from services.chassis.auth.identity import Caller, Scope, set_caller
from services.chassis.idempotency import RequestIdentity
from services.chassis.runtime.clock import SystemClock
from services.tool.errors import EtagMismatch, ToolChanged, ToolInUse
from services.tool.model import CallRequest, CallState, Driver, DriverKind, Effect, Tool, ToolCall
from tests.fakes.tool import FakeApprovals, Gate, ScriptedBuiltins, tool_service
from tests.fakes.waiting import until

PLANNER: Final = Scope("acme", "planner")
OLD: Final = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
WIDER: Final = {**OLD, "properties": {"n": {"type": "number"}, "m": {"type": "string"}}}
NARROWER: Final = {**OLD, "required": ["n"]}


class World:
    """A tool manager with a tool that runs until it is let go, two calls at a time."""

    def __init__(self) -> None:
        self.gate, self.approvals, clock = Gate(), FakeApprovals(), SystemClock()
        builtins = ScriptedBuiltins(clock, slow=self.gate)
        self.service = tool_service(clock=clock, builtins=builtins, approvals=self.approvals)
        set_caller(Caller("planner", "acme", owner="planner", trace_id="0" * 32))

    async def register(
        self, schema: Any = None, etag: str = "", request: str = "", *, allow: bool = False, **fields: Any
    ) -> Tool:
        """Register the tool, or change it."""
        tool = Tool(
            id="write",
            description="x",
            driver=Driver(DriverKind.BUILTIN, "slow"),
            parameters_schema=json.dumps(schema or OLD),
            **{"effect": Effect.REVERSIBLE, "max_concurrency": 1, **fields},
        )
        actor = RequestIdentity("planner", "RegisterTool", request, b"same")
        made = await self.service.registry.register(PLANNER, actor, tool, etag, allow_breaking=allow)
        return made.tool

    def start(self, name: str, *, wait_for_approval: bool = False) -> asyncio.Task[ToolCall]:
        """Call the tool in the background."""
        request = CallRequest(
            tool="write", arguments={"n": 1}, call_id=name, wait_for_approval=wait_for_approval
        )
        return asyncio.create_task(self.call(request))

    async def call(self, request: CallRequest) -> ToolCall:
        """Call the tool and return how the call ended."""
        events = [event async for event in self.service.calls.call(PLANNER, request)]
        assert isinstance(events[-1], ToolCall)
        return events[-1]

    def states(self) -> dict[str, CallState]:
        """Return how the calls under way stand."""
        return {run.call.id: run.call.state for run in self.service.calls._runs.every()}

    async def busy(self) -> list[asyncio.Task[ToolCall]]:
        """Let one call run and another wait for its turn."""
        calls = [self.start("runs")]
        await asyncio.wait_for(self.gate.entered.wait(), 5)
        calls.append(self.start("waits"))
        await until(lambda: self.states() == {"runs": CallState.RUNNING, "waits": CallState.QUEUED})
        return calls


async def test_a_change_that_breaks_calls_under_way_is_refused_and_changes_nothing() -> None:
    world = World()
    await world.register()
    calls = await world.busy()

    with pytest.raises(ToolInUse) as refused:
        await world.register(NARROWER, "1")
    world.gate.opened.set()
    ended = await asyncio.gather(*calls)

    assert refused.value.metadata == {
        "tool": "tools/write",
        "calls": "2",
        "field": "tool.parameters_schema",
        "why": "/: required is narrower, or new",
    }
    assert [call.state for call in ended] == [CallState.SUCCEEDED] * 2
    assert (await world.register(NARROWER, "1")).version == 2, "with no calls under way it may break"


async def test_a_change_that_breaks_nothing_passes_while_calls_run() -> None:
    world = World()
    await world.register()
    calls = await world.busy()

    changed = await world.register(WIDER, "1", result_schema="{}")
    world.gate.opened.set()

    assert changed.version == 2
    assert [call.state for call in await asyncio.gather(*calls)] == [CallState.SUCCEEDED] * 2


async def test_results_that_the_old_schema_did_not_allow_break_too() -> None:
    world = World()
    await world.register(result_schema='{"required": ["result"]}')
    calls = await world.busy()

    with pytest.raises(ToolInUse) as refused:
        await world.register(OLD, "1")
    world.gate.opened.set()
    await asyncio.gather(*calls)

    assert refused.value.metadata["field"] == "tool.result_schema"


async def test_who_says_so_breaks_them_and_those_that_wait_are_told() -> None:
    world = World()
    await world.register()
    runs, waits = await world.busy()

    await world.register(NARROWER, "1", allow=True)
    told = await waits
    world.gate.opened.set()

    assert (told.state, told.error and told.error.reason) == (CallState.FAILED, "TOOL_CHANGED")
    assert (await runs).state is CallState.SUCCEEDED
    assert (await world.call(CallRequest(tool="write", arguments={"n": 1}))).state is CallState.SUCCEEDED


async def test_a_call_that_waits_for_a_person_is_under_way() -> None:
    world = World()
    await world.register(effect=Effect.IRREVERSIBLE)
    call = world.start("asks", wait_for_approval=True)
    await until(lambda: world.states() == {"asks": CallState.WAITING_APPROVAL})

    with pytest.raises(ToolInUse):
        await world.register(NARROWER, "1", effect=Effect.IRREVERSIBLE)
    await world.register(NARROWER, "1", allow=True, effect=Effect.IRREVERSIBLE)
    told = await call

    assert told.error is not None
    assert told.error.reason == "TOOL_CHANGED"


async def test_a_call_that_looked_the_tool_up_before_it_broke_does_not_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    old = await world.register()
    await world.register(NARROWER, "1")

    async def as_it_was(scope: Scope, tool_id: str) -> Tool:
        assert (scope, tool_id) == (PLANNER, "write")
        return old

    monkeypatch.setattr(world.service.registry, "get", as_it_was)
    with pytest.raises(ToolChanged):
        await world.call(CallRequest(tool="write", arguments={}))


async def test_a_tool_that_is_registered_anew_begins_anew() -> None:
    world = World()
    await world.register()
    await world.register(NARROWER, "1")
    actor = RequestIdentity("planner", "UnregisterTool")
    await world.service.registry.unregister(PLANNER, actor, "write", "", allow_missing=False)
    await world.register()
    world.gate.opened.set()

    assert (await world.call(CallRequest(tool="write", arguments={}))).state is CallState.SUCCEEDED


async def test_a_repeat_of_a_change_gets_its_answer_while_calls_run() -> None:
    world = World()
    await world.register()
    first = await world.register(NARROWER, "1", "r1")
    calls = await world.busy()

    assert await world.register(NARROWER, "1", "r1") == first
    with pytest.raises(EtagMismatch):
        await world.register(NARROWER, "1", "r2")
    world.gate.opened.set()
    assert [call.state for call in await asyncio.gather(*calls)] == [CallState.SUCCEEDED] * 2
