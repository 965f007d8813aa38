"""Tool calls in the scheduler's queue: who waits for what, who may end it, which tools are known there."""

import asyncio
from typing import Any

import pytest

from services.chassis.auth.identity import Caller, Scope, set_caller
from services.chassis.dispatch.client import DispatchClient
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.clock import SystemClock
from services.scheduler.core.explain import Binding
from services.scheduler.model import ResourceKind
from services.scheduler.service.watching import Viewer
from services.tool.adapters.scheduler_queue import (
    IDLE_SECONDS,
    ScheduledQueue,
    ToolPools,
    pool_name,
    queue_id,
)
from services.tool.core.locks import lock_names
from services.tool.model import (
    CallRequest,
    CallState,
    Driver,
    DriverKind,
    Effect,
    QueueRequest,
    Tool,
    ToolCall,
)
from services.tool.service.facade import ToolService
from tests.fakes.clock import FakeClock
from tests.fakes.tool import Gate, ScriptedBuiltins, tool_service
from tests.fakes.tool_queue import Everybody, LocalQueue
from tests.fakes.waiting import until

PLANNER = Scope("acme", "planner")
ME = Viewer("acme", "acme/planner")


class World:
    """A tool manager with a tool `write` that runs until it is let go, and its scheduler."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.queue = LocalQueue()
        self.service: ToolService = tool_service(
            clock=SystemClock(), builtins=ScriptedBuiltins(SystemClock(), slow=self.gate), queue=self.queue
        )
        set_caller(Caller("planner", "acme", owner="planner", trace_id="0" * 32))

    async def register(self, name: str = "write", **fields: Any) -> None:
        """Register a tool."""
        driver = Driver(DriverKind.BUILTIN, "slow")
        tool = Tool(
            id=name,
            description="x",
            parameters_schema='{"type": "object"}',
            effect=Effect.REVERSIBLE,
            driver=driver,
            **fields,
        )
        await self.service.registry.register(PLANNER, RequestIdentity("planner", "RegisterTool"), tool, "")

    def start(self, name: str, tool: str = "write", **fields: Any) -> asyncio.Task[ToolCall]:
        """Call a tool in the background."""
        return asyncio.create_task(self.call(name, tool, **fields))

    async def call(
        self, name: str, tool: str = "write", *, wait: float | None = None, **arguments: str
    ) -> ToolCall:
        """Call a tool and return how the call ended."""
        request = CallRequest(tool=tool, arguments=arguments, call_id=name, wait_seconds=wait)
        events = [event async for event in self.service.calls.call(PLANNER, request)]
        assert isinstance(events[-1], ToolCall)
        return events[-1]

    def shown(self) -> dict[str, str]:
        """Return what the scheduler lists: the call and its state."""
        return {call.id.rpartition("/")[2]: entry.state.value for entry, call in self.queue.service.queue(ME)}


async def test_a_tool_call_waits_where_generations_wait_and_is_listed_there() -> None:
    world = World()
    await world.register(max_concurrency=1)
    calls = [world.start("c1"), world.start("c2")]
    await until(lambda: world.shown() == {"tool-c1": "running", "tool-c2": "waiting"})
    (_, found), *_ = world.queue.service.queue(ME)
    why = world.queue.service.explain("acme/planner/tool-c2", ME)
    waiting = await world.service.calls.get(PLANNER, "c2")
    world.gate.opened.set()
    ended = await asyncio.gather(*calls)

    assert (found.lane, found.resource, why.binding) == (ResourceKind.TOOL, "acme/tools/write", Binding.SLOTS)
    assert waiting.state is CallState.QUEUED
    assert [call.state for call in ended] == [CallState.SUCCEEDED] * 2
    await until(lambda: not world.shown())


async def test_tools_that_share_a_lock_run_one_after_the_other_and_others_pass() -> None:
    world = World()
    await world.register("write", locks=("file {path}",))
    await world.register("erase", locks=("file {path}",))
    calls = [world.start("w", "write", path="a"), world.start("e", "erase", path="a")]
    await until(lambda: world.shown() == {"tool-w": "running", "tool-e": "waiting"})
    calls.append(world.start("other", "erase", path="b"))
    await until(lambda: world.shown().get("tool-other") == "running")
    why = world.queue.service.explain("acme/planner/tool-e", ME)
    world.gate.opened.set()
    await asyncio.gather(*calls)

    assert why.lock is not None
    assert why.lock.name == "acme/file a"


async def test_a_running_call_that_the_kernel_cancels_is_stopped() -> None:
    world = World()
    await world.register()
    calling = world.start("c1")
    await world.gate.entered.wait()
    world.queue.service.cancel("acme/planner/tool-c1", ME)
    call = await calling

    assert call.state is CallState.CANCELLED
    assert world.gate.cancelled.is_set()
    assert world.shown() == {}


async def test_a_waiting_call_that_the_kernel_cancels_never_runs() -> None:
    world = World()
    await world.register(max_concurrency=1)
    running, waiting = world.start("c1"), world.start("c2")
    await until(lambda: world.shown().get("tool-c2") == "waiting")
    world.queue.service.cancel("acme/planner/tool-c2", ME)
    call = await waiting
    world.gate.opened.set()
    await running

    assert call.error is not None
    assert (call.error.reason, call.attempts) == ("CANCELLED", 0)


async def test_the_calls_of_a_killed_agent_end_and_those_of_others_go_on() -> None:
    world = World()
    await world.register(max_concurrency=1)
    running, waiting = world.start("c1"), world.start("c2")
    await until(lambda: world.shown().get("tool-c2") == "waiting")
    world.service.calls.end_agent("acme", "critic")
    world.service.calls.end_agent("globex", "planner")
    before = world.shown()
    world.service.calls.end_agent("acme", "planner")
    ended = await asyncio.gather(running, waiting)

    assert len(before) == 2
    assert [call.state for call in ended] == [CallState.CANCELLED] * 2
    assert world.shown() == {}


async def test_a_call_that_may_not_wait_takes_a_free_place_or_is_told_that_there_is_none() -> None:
    world = World()
    await world.register(max_concurrency=1)
    first = world.start("c1", wait=0.0)
    await world.gate.entered.wait()
    refused = await world.call("c2", wait=0.0)
    world.gate.opened.set()

    assert (await first).state is CallState.SUCCEEDED
    assert refused.error is not None
    assert refused.error.reason == "TOOL_BUSY"


async def test_the_next_call_tells_the_scheduler_how_many_may_run_now() -> None:
    world = World()
    await world.register(max_concurrency=1)
    calls = [world.start("c1"), world.start("c2")]
    await until(lambda: world.shown().get("tool-c2") == "waiting")
    tool = await world.service.registry.get(PLANNER, "write")
    await world.queue.join(
        QueueRequest(
            scope=PLANNER,
            call_id="c3",
            tool=Tool(id="write", owner="planner", driver=tool.driver, max_concurrency=3),
            locks=(),
            max_wait=None,
        )
    )
    await until(lambda: set(world.shown().values()) == {"running"})
    world.gate.opened.set()
    await asyncio.gather(*calls)

    assert len(world.shown()) == 1


async def test_while_the_scheduler_is_away_a_call_waits_a_bounded_time() -> None:
    clock = FakeClock()
    client = DispatchClient(None, World, clock)  # type: ignore[arg-type]  # never connects
    queue = ScheduledQueue(client, Everybody(), clock)
    set_caller(Caller("planner", "acme", owner="planner", trace_id="0" * 32))
    needs = QueueRequest(scope=PLANNER, call_id="c1", tool=Tool(id="write"), locks=(), max_wait=2.0)
    turn = await queue.join(needs)
    clock.advance(7.1)
    with pytest.raises(KernelError) as failure:
        await turn.granted()
    turn.ended(None)  # type: ignore[arg-type]  # nothing to tell
    turn.ended(None)  # type: ignore[arg-type]

    assert failure.value.reason == "SCHEDULER_UNAVAILABLE"
    assert client.held == 0


async def test_a_tool_is_known_to_the_scheduler_while_it_is_called_and_a_while_after() -> None:
    clock = FakeClock()
    client = DispatchClient(None, World, clock)  # type: ignore[arg-type]  # never connects
    pools = ToolPools(client, clock)
    name = pools.enter("acme", Tool(id="write"))
    clock.advance(2 * IDLE_SECONDS)
    await pools.forget_idle()
    used = set(client._replicas)
    pools.leave(name)
    clock.advance(IDLE_SECONDS - 1)
    await pools.forget_idle()
    rested = set(client._replicas)
    clock.advance(2)
    await pools.forget_idle()

    assert used == rested == {"acme/tools/write"}
    assert client._replicas == {}


async def test_a_tool_nobody_calls_any_more_leaves_no_pool_behind() -> None:
    world = World()
    world.gate.opened.set()
    await world.register()
    await world.call("c1")
    known = world.queue.pools
    world.queue.client.withdraw("acme/tools/write")
    await until(lambda: not world.queue.pools)

    assert known == {"acme/tools/write"}


def test_a_tool_of_the_kernel_is_one_for_all_tenants() -> None:
    builtin = Tool(id="clock", driver=Driver(DriverKind.BUILTIN, "clock"))

    assert pool_name("acme", builtin) == pool_name("globex", builtin) == "tools/clock"
    assert pool_name("acme", Tool(id="write", owner="planner")) == "acme/tools/write"


def test_every_call_has_a_name_of_its_own_that_fits() -> None:
    long = {queue_id("x" * 128), queue_id("x" * 127), queue_id("r1")}

    assert len(long) == 3
    assert all(len(name) <= 64 for name in long)


def test_the_names_of_locks_have_the_arguments_put_in() -> None:
    tool = Tool(id="move", locks=("file {from}", "file {to}", "disk", "{nothing}"))

    assert lock_names(tool, {"from": "a", "to": "a"}) == ("disk", "file a", "null")
