"""CONTROL calls through the gateway: a flood of agents keeps nobody from listing, cancelling and killing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest

from aios.api.agent.v1 import agent_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from gateway.control_gate import ControlGate
from gateway.forwarder import URGENT
from gateway.main import FORWARDED
from services.chassis.gate import GateConfig
from services.chassis.quotas import Cap
from services.chassis.rpc import methods
from services.chassis.rpc.methods import Lane
from services.chassis.rpc.status import status_of
from services.chassis.runtime.server import ServerConfig
from tests.fakes.manager import RawManager, echo, front
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

LIST = "/aios.api.scheduler.v1.SchedulerService/ListSyscalls"
KILL = "/aios.api.agent.v1.AgentService/KillAgent"
WATCH = "/aios.api.scheduler.v1.SchedulerService/WatchSchedule"
JWKS = "/aios.api.access.v1.AccessService/GetJwks"
LISTING = scheduler_pb2.ListSyscallsRequest(page_size=1).SerializeToString()


class Slow:
    """Holds every call that says so until it is released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        if ("x-slow", "1") in list(context.invocation_metadata()):
            await self.release.wait()
        yield request


def slow(agent: str) -> Any:
    """Return the metadata of a call that is held."""
    return (*metadata(agent), ("x-slow", "1"))


def unary(channel: grpc.aio.Channel, path: str = LIST) -> Any:
    return channel.unary_unary(path)


def watching(channel: grpc.aio.Channel, agent: str) -> Any:
    return cast("Any", channel.unary_stream(WATCH))(b"", metadata=metadata(agent))


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return failure.value


async def test_one_agents_flood_of_lists_stalls_no_other_agent_and_beyond_its_line_is_refused() -> None:
    held = Slow()
    gate = ControlGate(GateConfig(running=8, running_per_agent=4, waiting_per_agent=20))
    gates = {Lane.CONTROL: gate}
    async with RawManager(held).running() as address, front(address, gates) as channel:
        ask = unary(channel)
        flood = [asyncio.ensure_future(ask(LISTING, metadata=slow("amy"))) for _ in range(24)]
        await until(lambda: (gate.running, gate.waiting) == (4, 20))
        quiet = await ask(LISTING, metadata=metadata("bob"))
        refused = await refusal(ask(LISTING, metadata=metadata("amy")))
        held.release.set()
        await asyncio.gather(*flood)
        await until(lambda: gate.running == 0)

    assert quiet == LISTING
    assert (refused.code(), reason(refused)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    assert status_of(refused) is not None


async def test_an_administrator_kills_an_agent_while_agents_hold_every_place_of_theirs() -> None:
    held, gate = Slow(), ControlGate(GateConfig(running=2))
    kill = agent_pb2.KillAgentRequest(name="agents/amy").SerializeToString()
    async with RawManager(held).running() as address, front(address, {Lane.CONTROL: gate}) as channel:
        flood = [asyncio.ensure_future(unary(channel)(LISTING, metadata=slow(f"amy{n}"))) for n in range(10)]
        await until(lambda: (gate.running, gate.waiting) == (2, 8))
        killed = await unary(channel, KILL)(kill, metadata=metadata("ops", kind="admin"), timeout=10)
        keys = await unary(channel, JWKS)(b"", timeout=10)
        held.release.set()
        await asyncio.gather(*flood)

    assert killed == kill
    assert keys == b""


def test_the_urgent_methods_are_methods_of_the_kernel() -> None:
    assert set(methods.table(*FORWARDED)) >= URGENT


async def test_a_flooding_administrator_still_kills() -> None:
    held, gate = Slow(), ControlGate(guardians=GateConfig(running=1))
    kill = agent_pb2.KillAgentRequest(name="agents/amy").SerializeToString()
    ops = metadata("ops", kind="admin")
    async with RawManager(held).running() as address, front(address, {Lane.CONTROL: gate}) as channel:
        ask = unary(channel)
        flood = [asyncio.ensure_future(ask(LISTING, metadata=(*ops, ("x-slow", "1")))) for _ in range(5)]
        await until(lambda: (gate.running, gate.waiting) == (1, 4))
        killed = await unary(channel, KILL)(kill, metadata=ops, timeout=10)
        held.release.set()
        await asyncio.gather(*flood)

    assert killed == kill


async def test_a_crowd_of_children_counts_as_one_tree() -> None:
    held, gate = Slow(), ControlGate(GateConfig(running=8, running_per_tree=3))
    parents = {f"child{n}": "root" for n in range(20)}
    gates = {Lane.CONTROL: gate}
    async with RawManager(held).running() as address, front(address, gates, parents=parents) as channel:
        ask = unary(channel)
        flood = [asyncio.ensure_future(ask(LISTING, metadata=slow(name))) for name in parents]
        await until(lambda: (gate.running, gate.waiting) == (3, 17))
        quiet = await ask(LISTING, metadata=metadata("bob"))
        held.release.set()
        await asyncio.gather(*flood)

    assert quiet == LISTING


async def test_a_call_that_is_cancelled_at_the_gate_leaves_its_line() -> None:
    held, gate = Slow(), ControlGate(GateConfig(running=1))
    async with RawManager(held).running() as address, front(address, {Lane.CONTROL: gate}) as channel:
        ask = unary(channel)
        first = asyncio.ensure_future(ask(LISTING, metadata=slow("amy")))
        await until(lambda: gate.running == 1)
        second = ask(LISTING, metadata=metadata("bob"))
        await until(lambda: gate.waiting == 1)
        second.cancel()
        await until(lambda: gate.waiting == 0)
        held.release.set()
        await first
        await until(lambda: gate.running == 0)


async def test_watches_hold_no_place_and_are_bounded_by_agent() -> None:
    async def watch(request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield request
        await asyncio.Event().wait()

    gate = ControlGate(GateConfig(running=1, waiting_per_agent=0))
    async with (
        RawManager(watch).running() as address,
        front(address, {Lane.CONTROL: gate}, config=ServerConfig(watches=Cap(2, 2, 9))) as channel,
    ):
        opened = [watching(channel, "amy") for _ in range(2)]
        for each in opened:
            await each.read()
        running = gate.running
        refused = await refusal(watching(channel, "amy").read())
        other = watching(channel, "bob")
        await other.read()
        opened[0].cancel()
        first = None
        while first is None:  # the place is free when the gateway has heard of the end
            again = watching(channel, "amy")
            with contextlib.suppress(grpc.aio.AioRpcError):
                first = await again.read()
        for each in (*opened, other, again):
            each.cancel()

    assert running == 0
    assert (refused.code(), reason(refused)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    assert first == b""


async def test_a_call_that_the_gate_admits_is_forwarded_as_it_is() -> None:
    manager = RawManager(echo)
    async with manager.running() as address, front(address) as channel:
        answer = await unary(channel)(LISTING, metadata=metadata("amy"))

    assert answer == LISTING
    assert manager.paths == [LIST]
