"""The ledger's rules, and how many durable writes a call costs."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.auth.identity import Caller, Scope, set_caller
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import (
    DiskFull,
    IdempotencyMismatch,
    PermissionDenied,
    QuotaExceeded,
    ServiceUnavailable,
)
from services.chassis.runtime.clock import SystemClock
from services.tool.config import ToolConfig
from services.tool.core import ledger
from services.tool.errors import CallNotFound, SandboxLost, SandboxUnavailable
from services.tool.model import CallEvent, CallRequest, CallState, Driver, DriverKind, Effect, Tool, ToolCall
from services.tool.ports import Transaction
from services.tool.service.facade import ToolService
from tests.fakes.clock import FakeClock
from tests.fakes.stores.tool import InMemoryStore
from tests.fakes.tool import Gate, ScriptedBuiltins, tool_service
from tests.fakes.waiting import until

T = TypeVar("T")
NOW = FakeClock().now()
PLANNER = Scope("acme", "planner")
SUM = {"expression": "1 + 1"}


class CountingStore(InMemoryStore):
    """Counts writes, and can refuse them."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.full = False

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Count and write."""
        if self.full:
            raise DiskFull("the disk is full")
        self.writes += 1
        return await super().write(scope, work)


def reserved(effect: Effect = Effect.REVERSIBLE, *, sha: str = "0", tool: str = "job") -> ToolCall:
    return ToolCall(id="c1", tool=tool, arguments_sha256=sha, effect=effect, created_at=NOW)


async def events(service: ToolService, request: CallRequest) -> list[CallEvent]:
    set_caller(Caller("planner", "acme", owner="planner", trace_id="0" * 32))
    async with aclosing(service.calls.call(PLANNER, request)) as stream:
        return [event async for event in stream]


async def register(service: ToolService, effect: Effect, **fields: Any) -> None:
    driver = Driver(DriverKind.BUILTIN, "slow")
    tool = Tool(id="job", description="x", effect=effect, driver=driver, **fields)
    await service.registry.register(PLANNER, RequestIdentity("planner", "RegisterTool"), tool, "")


def test_only_the_same_tool_and_arguments_are_the_same_request() -> None:
    ledger.same_request(reserved(), reserved(Effect.PURE))
    for other in (reserved(sha="1"), reserved(tool="other")):
        with pytest.raises(IdempotencyMismatch):
            ledger.same_request(reserved(), other)


@given(st.sampled_from(Effect))
def test_a_call_that_may_have_had_an_effect_is_never_repeated(effect: Effect) -> None:
    running = ledger.started(reserved(effect), NOW)
    ends = [
        ledger.interrupted(running, NOW),
        ledger.cancelled(running, NOW, left=True),
        ledger.failed(running, ServiceUnavailable("away"), NOW),
    ]

    assert all(end.repeatable == effect.repeatable for end in ends)
    assert not ledger.cancelled(running, NOW, left=False).repeatable
    assert not ledger.failed(running, PermissionDenied("no"), NOW).repeatable
    if not effect.repeatable:
        for end in ends[:2]:
            assert (end.state, end.error.reason if end.error else "") == (
                CallState.UNKNOWN,
                "UNKNOWN_OUTCOME",
            )


@given(st.sampled_from(Effect), st.sampled_from([CallState.QUEUED, CallState.WAITING_APPROVAL]))
def test_a_call_that_never_began_can_always_be_sent_again(effect: Effect, state: CallState) -> None:
    waiting = replace(reserved(effect), state=state)

    assert ledger.interrupted(waiting, NOW).repeatable
    assert ledger.cancelled(waiting, NOW, left=True).repeatable
    assert ledger.failed(waiting, PermissionDenied("no"), NOW).repeatable


@given(st.sampled_from(Effect))
def test_a_call_that_the_sandbox_refused_never_began(effect: Effect) -> None:
    running = ledger.started(reserved(effect), NOW)

    assert ledger.failed(running, SandboxUnavailable("it restarts", retry_after=1.0), NOW).repeatable


@pytest.mark.parametrize(
    ("effect", "state"), [(Effect.PURE, CallState.FAILED), (Effect.REVERSIBLE, CallState.UNKNOWN)]
)
async def test_a_call_whose_sandbox_was_lost_has_an_unknown_outcome_unless_it_is_harmless(
    effect: Effect, state: CallState
) -> None:
    async def lost(_arguments: object) -> None:
        raise SandboxLost("the sandbox was lost while the program ran")

    builtins = ScriptedBuiltins(SystemClock(), slow=lost)
    service = tool_service(builtins=builtins)
    await register(service, effect)
    for _ in range(2):
        done = await events(service, CallRequest(tool="job", arguments={}, call_id="r1"))
        await until(lambda: service.calls.under_way(PLANNER) == 0)

    assert isinstance(done[-1], ToolCall)
    assert done[-1].state is state
    assert builtins.runs["slow"] == (2 if effect is Effect.PURE else 1)


def test_the_order_of_arguments_makes_no_other_call() -> None:
    assert ledger.canonical({"a": 1, "b": "\ud800"}) == ledger.canonical({"b": "\ud800", "a": 1})
    assert ledger.digest(ledger.canonical({"b": "\ud800"}))


async def test_a_harmless_built_in_call_costs_one_durable_write() -> None:
    store = CountingStore()
    service = tool_service(store=store)
    await events(service, CallRequest(tool="calculator", arguments=SUM, call_id="r1"))

    assert store.writes == 1


async def test_a_call_with_an_effect_is_entered_before_it_runs() -> None:
    store, gate = CountingStore(), Gate()
    service = tool_service(store=store, builtins=ScriptedBuiltins(SystemClock(), slow=gate))
    await register(service, Effect.REVERSIBLE)
    before = store.writes
    calling = asyncio.create_task(events(service, CallRequest(tool="job", arguments={}, call_id="r1")))
    await gate.entered.wait()
    entered = await store.read(PLANNER, lambda tx: tx.call("r1"))
    gate.opened.set()
    await calling

    assert entered is not None
    assert entered.state is CallState.RUNNING
    assert store.writes - before == 2


async def test_nothing_runs_when_the_call_cannot_be_entered() -> None:
    store, gate = CountingStore(), Gate()
    builtins = ScriptedBuiltins(SystemClock(), slow=gate)
    service = tool_service(store=store, builtins=builtins)
    await register(service, Effect.REVERSIBLE)
    store.full = True
    with pytest.raises(DiskFull):
        await events(service, CallRequest(tool="job", arguments={}, call_id="r1"))
    store.full = False
    gate.opened.set()
    done = await events(service, CallRequest(tool="job", arguments={}, call_id="r1"))

    assert builtins.runs["slow"] == 1
    assert isinstance(done[-1], ToolCall)
    assert done[-1].state is CallState.SUCCEEDED


async def test_a_harmless_call_that_the_ledger_has_no_room_for_does_not_run() -> None:
    gate = Gate()
    builtins = ScriptedBuiltins(SystemClock(), slow=gate)
    service = tool_service(config=ToolConfig(quota_calls=Cap.of(2)), builtins=builtins)
    await register(service, Effect.PURE)
    asked = [CallRequest(tool="job", arguments={}, call_id=f"r{number}") for number in range(3)]
    running = [asyncio.create_task(events(service, request)) for request in asked[:2]]
    await until(lambda: builtins.runs["slow"] == 2)
    for _ in range(2):
        with pytest.raises(QuotaExceeded):
            await events(service, asked[2])
        gate.opened.set()
        await asyncio.gather(*running)
    again = await events(service, asked[1])

    assert builtins.runs["slow"] == 2
    assert isinstance(again[-1], ToolCall)
    assert again[-1].state is CallState.SUCCEEDED


async def test_a_call_whose_end_could_not_be_kept_has_an_unknown_outcome() -> None:
    store, gate = CountingStore(), Gate()
    service = tool_service(store=store, builtins=ScriptedBuiltins(SystemClock(), slow=gate))
    await register(service, Effect.REVERSIBLE)
    calling = asyncio.create_task(events(service, CallRequest(tool="job", arguments={}, call_id="r1")))
    await gate.entered.wait()
    store.full = True
    gate.opened.set()
    with pytest.raises(DiskFull):
        await calling
    store.full = False

    assert (await service.calls.get(PLANNER, "r1")).state is CallState.UNKNOWN
    again = await events(service, CallRequest(tool="job", arguments={}, call_id="r1"))
    assert isinstance(again[-1], ToolCall)
    assert again[-1].state is CallState.UNKNOWN


async def test_what_a_dead_process_left_is_settled_when_the_next_one_starts() -> None:
    store = InMemoryStore()
    left = [
        replace(ledger.started(reserved(Effect.REVERSIBLE), NOW), id="effect"),
        replace(ledger.started(reserved(Effect.PURE), NOW), id="harmless"),
        replace(reserved(Effect.IRREVERSIBLE), id="waiting"),
    ]
    for call in left:
        await store.write(PLANNER, lambda tx, call=call: tx.put_call(call))  # type: ignore[misc]
    service = tool_service(store=store)
    count = await service.calls.recover()

    found = {call.id: await service.calls.get(PLANNER, call.id) for call in left}
    assert count == 3
    assert await store.unfinished(limit=9) == []
    assert {id_: (call.state, call.repeatable) for id_, call in found.items()} == {
        "effect": (CallState.UNKNOWN, False),
        "harmless": (CallState.FAILED, True),
        "waiting": (CallState.FAILED, True),
    }


async def test_calls_are_forgotten_when_they_are_old() -> None:
    clock = FakeClock()
    service = tool_service(clock=clock)
    await events(service, CallRequest(tool="calculator", arguments=SUM, call_id="r1"))
    await until(lambda: service.calls.under_way(PLANNER) == 0)
    clock.advance(6 * 86_400)
    await service.calls.collect()
    kept = await service.calls.get(PLANNER, "r1")
    clock.advance(2 * 86_400)
    await service.calls.collect()

    assert kept.state is CallState.SUCCEEDED
    with pytest.raises(CallNotFound):
        await service.calls.get(PLANNER, "r1")
