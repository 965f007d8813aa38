"""Readers that take nothing: they hold no place for long, and what waits for them is bounded.

The readers here are gRPC clients with real flow control over loopback. Sweeps are made by hand.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest

from gateway.forwarder import Forwarder
from services.chassis.gate import FairGate, GateConfig
from services.chassis.rpc import client
from services.chassis.rpc.methods import Lane
from services.chassis.runtime.server import ChassisServer, ServerConfig
from tests.fakes.manager import RawManager, front_server
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

READ = "/aios.api.storage.v1.StorageService/ReadFile"
GET = "/aios.api.memory.v1.MemoryService/GetNote"
PIECE = 64 * 1024
PIECES = 256
MOST_BUFFERED = 2 * 2**20
"""Of one stream, in all windows between the manager and the reader. Unit: bytes."""
AT_ONCE = ServerConfig(reader_seconds=timedelta(0))
NARROW = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]


class Files:
    """A manager that streams 16 MB to each reader and counts what it could hand over."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}
        self.ended: list[str] = []
        self.piece = PIECE

    async def __call__(self, _request: bytes, context: Any) -> AsyncIterator[bytes]:
        name = dict(context.invocation_metadata()).get("x-name", "")
        self.sent[name] = 0
        try:
            for _ in range(PIECES):
                yield bytes(self.piece)
                self.sent[name] += self.piece
        finally:
            self.ended.append(name)


class Kernel:
    """A gateway before such a manager."""

    def __init__(self, files: Files, gate: FairGate, server: ChassisServer, forwarder: Forwarder) -> None:
        self.files = files
        self.gate = gate
        self.server = server
        self.forwarder = forwarder

    async def sweep(self) -> None:
        """Look at all streams and answers, twice: a reader is slow that took nothing between two looks."""
        for _ in range(2):
            await self.server._pipeline.streams.sweep()
            await self.forwarder.unread.sweep()

    async def quiet(self) -> None:
        """Return when nothing moves any more: every window is full."""
        before: Any = None
        while before != self.files.sent or not before:
            before = dict(self.files.sent)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def kernel(
    gate: GateConfig | None = None, parents: dict[str, str] | None = None, config: ServerConfig = AT_ONCE
) -> AsyncIterator[tuple[Kernel, grpc.aio.Channel]]:
    files, data, kept = Files(), FairGate(gate or GateConfig()), list[Forwarder]()
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(RawManager(files).running())
        front = front_server(address, {Lane.DATA: data}, parents, keep=kept.append, config=config)
        server = await stack.enter_async_context(front)
        kept[0].unread._seconds = config.reader_seconds.total_seconds()
        channel = client.channel(f"127.0.0.1:{server.port}", options=NARROW)
        yield Kernel(files, data, server, kept[0]), await stack.enter_async_context(channel)


def read(channel: grpc.aio.Channel, agent: str, name: str = "", path: str = READ) -> Any:
    call: Any = channel.unary_stream(path)
    return call(b"", metadata=(*metadata(agent), ("x-name", name or agent)), timeout=60)


async def rest_of(call: Any) -> tuple[int, grpc.aio.AioRpcError | None]:
    """Read a stream to its end; return how many messages came, and the error."""
    count = 0
    try:
        while await call.read() is not grpc.aio.EOF:
            count += 1
    except grpc.aio.AioRpcError as error:
        return count, error
    return count, None


async def test_a_stream_that_nobody_reads_loses_its_place_and_says_why_once_it_is_read() -> None:
    async with kernel() as (made, channel):
        call = read(channel, "amy")
        await until(lambda: made.gate.running == 1)
        await made.quiet()
        await made.sweep()
        await until(lambda: made.gate.running == 0 and made.files.ended == ["amy"])
        unread = made.server._pipeline.streams._unread
        lying = unread.held
        count, error = await rest_of(call)
        await until(lambda: unread.held == 0)

    assert error is not None
    assert (error.code(), reason(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_READER")
    assert 0 < count * PIECE <= MOST_BUFFERED
    assert lying == 1


async def test_who_takes_not_even_the_first_message_is_told_too() -> None:
    async with kernel() as (made, channel):
        made.files.piece = 3 * 2**20
        call = read(channel, "amy")
        await until(lambda: made.gate.running == 1)
        await made.quiet()
        await made.sweep()
        await until(lambda: made.gate.running == 0)
        async with asyncio.timeout(20):
            _, error = await rest_of(call)

    assert error is not None
    assert reason(error) == "SLOW_READER"


async def test_what_lies_between_a_manager_and_a_reader_is_bounded() -> None:
    async with kernel() as (made, channel):
        calls = [read(channel, "amy", str(n)) for n in range(8)]
        await until(lambda: len(made.files.sent) == 8)
        await made.quiet()
        sent = list(made.files.sent.values())
        for call in calls:
            call.cancel()
        await until(lambda: made.gate.running == 0)

    assert max(sent) <= MOST_BUFFERED


async def test_children_that_read_nothing_hold_no_places_of_others() -> None:
    parents = {f"child{n}": "root" for n in range(6)}
    tight = GateConfig(running=12, running_per_tenant=10, running_per_tree=6, running_per_agent=2)
    async with kernel(tight, parents) as (made, channel):
        calls = [read(channel, name, f"{name}-{n}") for name in parents for n in range(3)]
        await until(lambda: (made.gate.running, made.gate.waiting) == (6, 12))
        other = await rest_of(read(channel, "other"))
        await made.quiet()
        for _ in range(3):
            await made.sweep()
            await until(lambda: made.gate.running == min(6, made.gate.running + made.gate.waiting))
            await made.quiet()
        await made.sweep()
        await until(lambda: (made.gate.running, made.gate.waiting) == (0, 0))
        for call in calls:
            call.cancel()

    assert other == (PIECES, None)


async def test_an_answer_that_nobody_takes_gives_its_place_back_and_is_counted_until_it_is_taken() -> None:
    async with kernel() as (made, channel):
        call = read(channel, "amy", path=GET)
        await made.quiet()
        await until(lambda: len(made.forwarder.unread._offered) == 1)
        await made.sweep()
        running, lying = made.gate.running, made.forwarder.unread._shares.held
        await call.read()
        call.cancel()
        await until(lambda: made.forwarder.unread._shares.held == 0)

    assert (running, lying) == (0, 1)


@pytest.mark.torture
async def test_thirteen_children_with_thirty_two_unread_files_each_hold_nothing_for_long() -> None:
    parents = {f"child{n}": "root" for n in range(13)}
    config = ServerConfig(reader_seconds=timedelta(seconds=1))
    async with kernel(None, parents, config) as (made, channel):
        calls = [read(channel, name, f"{name}-{n}") for name in parents for n in range(32)]
        await until(lambda: made.gate.running == 64, within=60)
        quiet = await rest_of(read(channel, "quiet"))
        await until(lambda: made.gate.running == 0 and made.gate.waiting == 0, within=120)
        most = max(made.files.sent.values(), default=0)
        refused = [reason(error) for _, error in [await rest_of(call) for call in calls] if error]

    assert quiet == (PIECES, None)
    assert set(refused) <= {"SLOW_READER", "TOO_MANY_CALLS"}
    assert len(refused) == len(calls)
    assert most == PIECE * PIECES


@pytest.mark.torture
async def test_one_message_a_second_of_a_fast_stream_keeps_the_gateways_memory_flat() -> None:
    config = ServerConfig(reader_seconds=timedelta(seconds=5))
    async with kernel(None, None, config) as (made, channel):
        calls = [read(channel, f"agent{n}", str(n)) for n in range(16)]
        await until(lambda: len(made.files.sent) == 16)
        most = 0
        for second in range(20):
            await asyncio.gather(*(call.read() for call in calls))
            await asyncio.sleep(1)
            lying = [sent - PIECE * (second + 1) for sent in made.files.sent.values()]
            most = max(most, *lying)
        errors = [call.done() for call in calls]
        for call in calls:
            call.cancel()

    assert not any(errors)
    assert most <= MOST_BUFFERED
