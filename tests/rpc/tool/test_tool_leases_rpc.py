"""Providers of the SDK at a real tool manager, whose connection is cut while they run calls."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest

import aios
from aios._link import Link
from aios._retry import RetryPolicy
from aios._settings import Target
from aios._tokens import StaticToken
from aios._transport import Transport
from aios.api.tool.v1 import tool_pb2, tool_pb2_grpc
from aios.calls.provider import Provider
from aios.calls.tools import Tools
from aios.types.tools import ToolEffect
from services.chassis.auth.identity import Scope
from services.tool.service.facade import ToolService
from services.tool.servicer import ToolServicer
from tests.fakes import tokens
from tests.fakes.cable import Cable, cable
from tests.fakes.clock import FakeClock
from tests.fakes.rpc import running
from tests.fakes.tool import tool_service
from tests.fakes.waiting import until

WORKER = Scope("acme", "worker")
QUICK = RetryPolicy(window=30.0, first_delay=0.01, max_delay=0.05)
ADD = tool_pb2_grpc.add_ToolServiceServicer_to_server


class Job:
    """A tool `job(name)` that runs until it is let go, and what it saw."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.runs: Counter[str] = Counter()
        self.stopped: Counter[str] = Counter()
        self.tool = aios.tool(self.job)

    async def job(self, name: str) -> str:
        """Do a job."""
        self.runs[name] += 1
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.stopped[name] += 1
            raise
        return name


class World:
    """A tool manager, an agent that calls it, and a worker behind a cable."""

    def __init__(
        self, service: ToolService, clock: FakeClock, wire: Cable, planner: Tools, worker: Tools
    ) -> None:
        self.service = service
        self.clock = clock
        self.wire = wire
        self.planner = planner
        self.worker = worker
        self.job = Job()

    def provide(self, effect: ToolEffect = "reversible") -> Any:
        """Provide the tool."""
        return self.worker.provide(self.job.tool, effect=effect, capacity=2, instance="w1")

    def call(self, name: str) -> "asyncio.Task[Any]":
        """Call the tool in the background."""
        return asyncio.create_task(self.planner.call("job", {"name": name}, request_id=name, timeout=60))

    def connected(self) -> int:
        """Count the streams of the worker."""
        return len(self.service.leases.places(WORKER))

    async def cut(self) -> None:
        """Cut the worker's connection, and wait until the tool manager has noticed."""
        await self.wire.cut()
        await until(lambda: self.connected() == 0)


class OneChannel(Link):
    """A link over a channel of the test's own, whose wire nobody else shares."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__(Target("own"))
        self._own = channel

    async def channel(self, *, within: float = 0.0) -> grpc.aio.Channel:
        del within
        return self._own


@asynccontextmanager
async def transport(port: int, agent: str) -> AsyncIterator[Transport]:
    token = tokens.metadata(agent)[0][1].removeprefix("Bearer ")
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 100)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield Transport(OneChannel(channel), StaticToken(token), QUICK)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = FakeClock()
    service = tool_service(clock=clock)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running((ADD, ToolServicer(service), tool_pb2.DESCRIPTOR)))
        stack.push_async_callback(service.calls.stop)
        wire = await stack.enter_async_context(cable(server.port))
        planner = Tools(await stack.enter_async_context(transport(server.port, "planner")))
        worker = Tools(await stack.enter_async_context(transport(wire.port, "worker")))
        yield World(service, clock, wire, planner, worker)


async def test_a_call_goes_on_while_its_provider_s_connection_is_cut_and_is_run_once(world: World) -> None:
    async with world.provide():
        calls = [world.call("a"), world.call("b"), world.call("c")]
        await until(lambda: len(world.job.runs) == 2)
        await world.cut()
        await world.service.leases.expire()
        world.clock.advance(30)  # half of the lease
        await world.service.leases.expire()
        await world.wire.join()
        await until(lambda: world.connected() == 1)
        held = [place.free for place in world.service.leases.places(WORKER)]
        world.job.released.set()
        results = [str(result) for result in await asyncio.gather(*calls)]

    assert held == [0]
    assert results == ["a", "b", "c"]
    assert world.job.runs == Counter("abc")
    assert not world.job.stopped


async def test_a_call_that_ends_while_the_connection_is_cut_is_reported_afterwards(world: World) -> None:
    async with world.provide():
        calling = world.call("a")
        await until(lambda: len(world.job.runs) == 1)
        await world.cut()
        world.job.released.set()
        await asyncio.sleep(0.1)
        early = calling.done()
        await world.wire.join()
        result = await calling

    assert not early
    assert str(result) == "a"
    assert world.job.runs == Counter("a")


async def test_a_call_is_stopped_at_a_process_that_comes_back_too_late(world: World) -> None:
    async with world.provide():
        calling = world.call("a")
        await until(lambda: len(world.job.runs) == 1)
        await world.cut()
        world.clock.advance(61)
        await world.service.leases.expire()
        with pytest.raises(aios.errors.UnknownOutcome):
            await calling
        await world.wire.join()
        await until(lambda: world.job.stopped == Counter("a"))

    assert world.job.runs == Counter("a")


async def test_a_new_process_does_not_run_the_call_of_one_that_died(world: World) -> None:
    dead = Provider(world.worker._transport, [world.job.tool], capacity=1, instance="w1")
    await world.worker._offer(world.job.tool, "reversible")
    await dead.__aenter__()
    calling = world.call("a")
    await until(lambda: len(world.job.runs) == 1)
    for task in [dead._taking, *dead._running.values()]:  # kill -9: nothing is said
        assert task is not None
        task.cancel()
    await until(lambda: world.connected() == 0)
    async with world.provide():
        world.job.released.set()
        other = await world.call("b")
        world.clock.advance(61)
        await world.service.leases.expire()
        with pytest.raises(aios.errors.UnknownOutcome):
            await calling

    assert str(other) == "b"
    assert world.job.runs == Counter("ab")


@pytest.mark.parametrize("value", ["x" * 1_048_576, "x" * 5_000_000, float("nan"), "\ud83d", {1}])
async def test_a_result_that_no_message_can_carry_ends_the_call_at_once(world: World, value: object) -> None:
    @aios.tool
    async def job(name: str) -> Any:
        """Return something odd."""
        del name
        return value

    async with world.worker.provide(job):
        with pytest.raises(aios.errors.ToolFailed, match="the result is"):
            await world.call("a")


async def test_a_result_that_the_tool_manager_refuses_ends_the_call_at_once(world: World) -> None:
    value: list[Any] = []
    for _ in range(200):  # deeper than the kernel takes
        value = [value]

    @aios.tool
    async def job(name: str) -> Any:
        """Return something deep."""
        del name
        return value

    async with world.worker.provide(job):
        with pytest.raises(aios.errors.AiosError, match="nested deeper than 64 levels") as refused:
            await world.call("a")

    assert refused.value.reason == "TOOL_RESULT_INVALID"


async def test_a_provider_that_is_suspended_or_killed_is_told_and_its_callers_too(world: World) -> None:
    async def serve() -> None:
        async with world.provide() as provider:
            await provider.wait()

    serving = asyncio.create_task(serve())
    await until(lambda: world.connected() == 1)
    calling = world.call("a")
    await until(lambda: len(world.job.runs) == 1)
    world.service.leases.end_provider(WORKER)
    with pytest.raises(aios.errors.UnknownOutcome):
        await calling
    with pytest.raises(aios.errors.AgentInactive):
        await serving

    assert world.job.stopped == Counter("a")
