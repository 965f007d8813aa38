"""Calls of provided tools in the scheduler's queue: the room of providers is what it hands out."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.auth.identity import Caller, Scope, set_caller
from services.chassis.idempotency import RequestIdentity
from services.scheduler.core.explain import Binding
from services.scheduler.service.watching import Viewer
from services.tool.model import (
    CallRequest,
    CallState,
    Driver,
    DriverKind,
    Effect,
    Taken,
    Tool,
    ToolCall,
    ToolOutcome,
)
from services.tool.service.leases import RETURN_SECONDS, ProviderStream
from tests.fakes.clock import FakeClock
from tests.fakes.tool import tool_service
from tests.fakes.tool_queue import LocalQueue
from tests.fakes.waiting import until

WORKER = Scope("acme", "worker")
PLANNER = Scope("acme", "planner")
TENANT = Viewer("acme", "acme/planner")


class Process:
    """A process that provides tools; it ends a call when the test says so, or at once."""

    def __init__(self, world: "World", tools: str, capacity: int, name: str, *, at_once: bool) -> None:
        self.world = world
        self.stream = ProviderStream(WORKER, frozenset(tools.split()), capacity, name, name)
        self.holding: dict[str, Taken] = {}
        self.most = 0
        self.runs: Counter[str] = Counter()
        self.at_once = at_once
        self.serving = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        events = self.world.service.leases.serve(self.stream)
        try:
            async for event in events:
                if isinstance(event, Taken):
                    self.holding[event.call.id] = event
                    self.runs[event.call.id] += 1
                    self.most = max(self.most, len(self.holding))
                    if self.at_once:
                        self.end(event.call.id)
        finally:
            await events.aclose()

    def end(self, call: str) -> None:
        """Complete a call."""
        taken = self.holding.pop(call)
        outcome = ToolOutcome(value=call)
        self.world.service.leases.complete(WORKER, taken.scope.agent, call, taken.lease_id, outcome)

    async def leave(self) -> None:
        """Close the stream."""
        self.serving.cancel()
        await asyncio.wait({self.serving})


class World:
    """A tool manager whose tools `a` and `b` are provided, and its scheduler."""

    def __init__(self) -> None:
        self.queue = LocalQueue()
        self.clock = FakeClock()
        self.service = tool_service(clock=self.clock, queue=self.queue)
        self.processes: list[Process] = []
        self._as("planner")

    def _as(self, agent: str) -> None:
        set_caller(Caller(agent, "acme", owner=agent, trace_id="0" * 32))

    async def register(self, name: str, **fields: Any) -> None:
        """Register a tool that the worker provides."""
        fields = {"effect": Effect.REVERSIBLE, "parameters_schema": '{"type": "object"}', **fields}
        tool = Tool(id=name, description="x", driver=Driver(DriverKind.PROVIDER), **fields)
        await self.service.registry.register(WORKER, RequestIdentity("worker", "RegisterTool"), tool, "")

    async def provide(self, tools: str, capacity: int, name: str = "p", *, at_once: bool = False) -> Process:
        """Connect a process."""
        process = Process(self, tools, capacity, name, at_once=at_once)
        self.processes.append(process)
        await until(lambda: process.stream.connected)
        return process

    def start(self, name: str, tool: str, *, wait: float | None = None) -> "asyncio.Task[ToolCall]":
        """Call a tool in the background."""

        async def call() -> ToolCall:
            request = CallRequest(tool=tool, arguments={}, call_id=name, wait_seconds=wait)
            events = [event async for event in self.service.calls.call(PLANNER, request)]
            assert isinstance(events[-1], ToolCall)
            return events[-1]

        return asyncio.create_task(call())

    def shown(self) -> dict[str, str]:
        """Return what the scheduler lists: the call and its state."""
        return {
            call.id.rpartition("/tool-")[2]: entry.state.value
            for entry, call in self.queue.service.queue(TENANT)
        }

    def leased(self) -> int:
        """Count the calls in the hands of processes."""
        return sum(len(process.stream.held) for process in self.processes)

    async def close(self) -> None:
        """End everything."""
        for process in self.processes:
            await process.leave()
        await self.service.calls.stop()
        await self.queue.close()


def reason(call: ToolCall) -> str:
    return call.error.reason if call.error is not None else ""


async def test_a_call_for_which_no_process_has_room_waits_in_the_scheduler_and_is_explained() -> None:
    world = World()
    await world.register("a")
    process = await world.provide("a", 1)
    calls = [world.start("c1", "a"), world.start("c2", "a"), world.start("c3", "a")]
    await until(lambda: sorted(world.shown().values()) == ["running", "waiting", "waiting"])
    await until(lambda: "c1" in process.holding)
    why = world.queue.service.explain("acme/planner/tool-c3", TENANT)
    process.at_once = True
    process.end("c1")
    ended = await asyncio.gather(*calls)

    assert (why.binding, why.position) == (Binding.SLOTS, 1)
    assert [call.state for call in ended] == [CallState.SUCCEEDED] * 3
    assert process.most == 1
    await world.close()


async def test_tools_of_one_process_share_its_room_in_the_scheduler() -> None:
    world = World()
    await world.register("a")
    await world.register("b")
    process = await world.provide("a b", 1)
    calls = [world.start("a1", "a")]
    await until(lambda: "a1" in process.holding)
    calls += [world.start("b1", "b"), world.start("a2", "a")]
    await until(lambda: world.shown() == {"a1": "running", "b1": "waiting", "a2": "waiting"})
    why = world.queue.service.explain("acme/planner/tool-b1", TENANT)
    process.end("a1")
    await until(lambda: "b1" in process.holding)
    while_b_runs = world.shown()
    process.at_once = True
    process.end("b1")
    ended = await asyncio.gather(*calls)

    assert why.binding is Binding.SLOTS
    assert while_b_runs == {"b1": "running", "a2": "waiting"}
    assert [call.state for call in ended] == [CallState.SUCCEEDED] * 3
    await world.close()


async def test_a_tool_with_many_calls_does_not_keep_another_one_of_the_process_out() -> None:
    world = World()
    await world.register("a")
    await world.register("b")
    process = await world.provide("a b", 1)
    calls = [world.start(f"a{n}", "a") for n in range(20)]
    await until(lambda: len(process.holding) == 1 and len(world.shown()) == 20)
    calls.append(world.start("b1", "b"))
    await until(lambda: len(world.shown()) == 21)
    (first,) = process.holding
    process.end(first)
    await until(lambda: len(process.holding) == 1)

    assert list(process.holding) == ["b1"]
    process.at_once = True
    process.end("b1")
    await asyncio.gather(*calls)
    await world.close()


async def test_more_room_lets_waiting_calls_run_at_once() -> None:
    world = World()
    await world.register("a")
    await world.provide("a", 1)
    calls = [world.start(f"c{n}", "a") for n in range(4)]
    await until(lambda: world.leased() == 1 and len(world.shown()) == 4)
    await world.provide("a", 2, "q")
    await until(lambda: world.leased() == 3)

    assert sorted(world.shown().values()) == ["running"] * 3 + ["waiting"]
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await world.close()


async def test_calls_wait_on_in_the_scheduler_while_their_provider_is_away_for_a_moment() -> None:
    world = World()
    await world.register("a")
    first = await world.provide("a", 1)
    calls = [world.start("c1", "a"), world.start("c2", "a")]
    await until(lambda: "c1" in first.holding and world.shown().get("c2") == "waiting")
    await first.leave()
    await world.service.leases.expire()
    away = world.shown()
    first.end("c1")
    again = await world.provide("a", 1, at_once=True)
    ended = await asyncio.gather(*calls)

    assert away == {"c1": "running", "c2": "waiting"}
    assert [call.state for call in ended] == [CallState.SUCCEEDED] * 2
    assert (first.runs, again.runs) == (Counter(["c1"]), Counter(["c2"]))
    await world.close()


async def test_calls_whose_provider_stays_away_are_told_that_it_is_lost() -> None:
    world = World()
    await world.register("a")
    process = await world.provide("a", 1)
    calls = [world.start("c1", "a"), world.start("c2", "a")]
    await until(lambda: "c1" in process.holding and world.shown().get("c2") == "waiting")
    await process.leave()
    world.clock.advance(RETURN_SECONDS + 1)
    await world.service.leases.expire()
    waiting = await calls[1]
    world.clock.advance(60)
    await world.service.leases.expire()

    assert reason(waiting) == "TOOL_PROVIDER_LOST"
    assert waiting.repeatable
    assert reason(await calls[0]) == "UNKNOWN_OUTCOME"
    await world.close()


@pytest.mark.parametrize(
    ("effect", "ends"), [(Effect.REVERSIBLE, "UNKNOWN_OUTCOME"), (Effect.PURE, "TOOL_PROVIDER_LOST")]
)
async def test_the_calls_of_a_provider_that_is_killed_or_suspended_end_at_once(
    effect: Effect, ends: str
) -> None:
    world = World()
    await world.register("a", effect=effect)
    process = await world.provide("a", 1)
    calls = [world.start("c1", "a"), world.start("c2", "a")]
    await until(lambda: "c1" in process.holding and world.shown().get("c2") == "waiting")
    world.service.leases.end_provider(WORKER)
    ended = await asyncio.gather(*calls)
    later = await world.start("c3", "a")

    assert [reason(call) for call in ended] == [ends, "TOOL_PROVIDER_LOST"]
    assert reason(later) == "TOOL_PROVIDER_LOST"
    assert list(process.runs) == ["c1"]
    assert world.shown() == {}
    await world.close()


async def test_a_harmless_call_whose_process_is_lost_waits_for_the_next_one_in_the_scheduler() -> None:
    world = World()
    await world.register("a", effect=Effect.IDEMPOTENT)
    dying = await world.provide("a", 1)
    call = world.start("c1", "a")
    await until(lambda: "c1" in dying.holding)
    busy = await world.provide("a", 1, "q")
    other = world.start("c2", "a")
    await until(lambda: "c2" in busy.holding)
    await dying.leave()
    world.clock.advance(59)
    world.service.leases.renew(WORKER, "planner", "c2", busy.holding["c2"].lease_id)
    world.clock.advance(2)
    await world.service.leases.expire()
    await until(lambda: world.shown() == {"c1": "waiting", "c2": "running"})
    stored = await world.service.calls.get(PLANNER, "c1")
    busy.at_once = True
    busy.end("c2")

    assert stored.state is CallState.QUEUED
    assert (await call).attempts == 2
    assert (await other).state is CallState.SUCCEEDED
    await world.close()


async def test_a_call_that_was_not_sent_when_its_process_left_runs_elsewhere_whatever_its_effect() -> None:
    world = World()
    await world.register("a")
    stream = ProviderStream(WORKER, frozenset({"a"}), 1, "deaf")
    deaf = world.service.leases.serve(stream)
    await anext(deaf)  # it reads nothing any more
    call = world.start("c1", "a")
    await until(lambda: len(stream.held) == 1 and not stream.events.empty())
    spare = await world.provide("a", 1, at_once=True)
    await deaf.aclose()
    ended = await call

    assert (ended.state, ended.attempts) == (CallState.SUCCEEDED, 1)
    assert spare.runs == Counter(["c1"])
    await world.close()


async def test_a_call_to_a_tool_that_is_unregistered_gets_nothing_more() -> None:
    world = World()
    await world.register("a")
    process = await world.provide("a", 1)
    calls = [world.start("c1", "a"), world.start("c2", "a")]
    await until(lambda: "c1" in process.holding and world.shown().get("c2") == "waiting")
    await world.service.registry.unregister(
        WORKER, RequestIdentity("worker", "UnregisterTool"), "a", "", allow_missing=False
    )
    waiting = await calls[1]
    process.end("c1")

    assert reason(waiting) == "TOOL_NOT_FOUND"
    assert (await calls[0]).state is CallState.SUCCEEDED
    assert list(process.runs) == ["c1"]
    await world.close()


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
async def test_whatever_comes_and_goes_each_call_runs_once_and_no_process_holds_too_much(
    rng: random.Random,
) -> None:
    world = World()
    for name in "abc":
        await world.register(name, max_concurrency=rng.randrange(1, 4))
    kinds = ["a", "b", "a b", "b c", "a b c"]
    await world.provide("a b c", rng.randrange(1, 4), "base")
    calls = []
    for n in range(30):
        calls.append(world.start(f"c{n}", rng.choice("abc")))
        for _ in range(rng.randrange(8)):
            await asyncio.sleep(0)
        match rng.randrange(6):
            case 0:
                await world.provide(rng.choice(kinds), rng.randrange(1, 4), f"p{n}")
            case 1 | 2 | 3:
                holders = [process for process in world.processes if process.holding]
                if holders:
                    process = rng.choice(holders)
                    process.end(rng.choice(list(process.holding)))
    for process in world.processes:
        process.at_once = True
        for held in list(process.holding):
            process.end(held)
    ended = await asyncio.wait_for(asyncio.gather(*calls), 30)

    assert [call.state for call in ended] == [CallState.SUCCEEDED] * len(calls)
    assert sum((process.runs for process in world.processes), Counter()) == Counter(call.id for call in ended)
    assert all(process.most <= process.stream.capacity for process in world.processes)
    await until(lambda: not world.shown())
    await world.close()


async def test_the_wait_for_a_provider_s_room_is_bounded() -> None:
    world = World()
    await world.register("a")
    process = await world.provide("a", 1)
    running = world.start("c1", "a")
    await until(lambda: "c1" in process.holding)
    busy = await world.start("c2", "a", wait=0.05)
    process.end("c1")

    assert reason(busy) == "TOOL_BUSY"
    assert (await running).state is CallState.SUCCEEDED
    await world.close()
