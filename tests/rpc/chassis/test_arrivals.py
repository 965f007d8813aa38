"""Requests on their way in over real connections: who they are from is asked before they are read."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from services.chassis.runtime.server import STREAMS_AT_THE_DOOR, ChassisServer, ServerConfig
from tests.fakes import tokens
from tests.fakes.echo import SERVICE, Echo, EchoServicer
from tests.fakes.raw_http2 import Pairs, RawConnection
from tests.fakes.rpc import connected, metadata_of, reason, running
from tests.fakes.waiting import until

_MEGABYTES = 4 * 2**20 - 100
_BODY = struct.pack(">BI", 0, _MEGABYTES) + bytes(_MEGABYTES - 1)
_FORGED = (("authorization", "Bearer x"),)
_WINDOW = 65_535
"""What every client may send of a request before anybody asks for it."""


@asynccontextmanager
async def _raw(server: ChassisServer) -> AsyncIterator[RawConnection]:
    connection = await RawConnection.open(server.port)
    following = asyncio.create_task(connection.follow())
    try:
        yield connection
    finally:
        following.cancel()
        await connection.close()


@pytest.mark.parametrize(
    ("path", "who"),
    [
        (f"/{SERVICE}/Unary", ()),
        (f"/{SERVICE}/StreamOut", ()),
        (f"/{SERVICE}/Unary", _FORGED),
        (f"/{SERVICE}/Watch", _FORGED),
        ("/nobody/Knows", ()),
    ],
)
async def test_nothing_is_read_of_a_request_whose_sender_is_not_known(path: str, who: Pairs) -> None:
    async with running(EchoServicer().servicer()) as server, _raw(server) as connection:
        stream = connection.begin(path, who)
        connection.body(stream, _BODY)  # and never the rest
        await until(lambda: stream in connection.ended)
        assert connection.taken <= _WINDOW
        assert connection.windows[stream] <= 0


async def test_a_request_of_an_agent_is_read_whole_as_ever() -> None:
    async with running(EchoServicer().servicer()) as server, _raw(server) as connection:
        sent = Echo(name="agents/planner", text="a").SerializeToString()
        stream = connection.begin(f"/{SERVICE}/Unary", tokens.metadata("planner"))
        connection.body(stream, struct.pack(">BI", 0, len(sent)) + sent, ends=True)
        await until(lambda: stream in connection.ended)


async def test_a_call_without_a_request_is_told_so() -> None:
    async with running(EchoServicer().servicer()) as server, connected(server) as to:
        call: Any = to.stream_unary(f"/{SERVICE}/Unary")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(iter(()), metadata=tokens.metadata("planner"))
        assert reason(refused.value) == "MALFORMED_REQUEST"


async def test_who_gives_up_in_the_middle_of_a_request_leaves_nothing() -> None:
    async with running(EchoServicer().servicer(), trust_ids=False) as server:
        arrivals = server._pipeline.arrivals
        async with _raw(server) as connection:
            begun = [connection.begin(f"/{SERVICE}/Unary", tokens.metadata("planner")) for _ in range(8)]
            for stream in begun:
                connection.body(stream, _BODY[:1000])
            await until(lambda: arrivals.reading == len(begun))
            for stream in begun[::2]:
                connection.reset(stream)
            await until(lambda: arrivals.reading == len(begun) / 2)
        await until(lambda: arrivals.reading == 0 and not arrivals._pending)


async def test_what_an_agent_has_here_is_weighed_until_its_calls_end() -> None:
    let_go = asyncio.Event()

    async def wait(request: Any, _context: Any) -> Any:
        await let_go.wait()
        return request

    config = ServerConfig(request_bytes=8 * 11_000)
    server = running(EchoServicer(wait).servicer(), trust_ids=False, config=config)
    async with server as to, connected(to) as door:
        call: Any = door.unary_unary(f"/{SERVICE}/Unary")
        big = Echo(name="agents/planner").SerializeToString() + b"\xf2\x3f\x88\x27" + bytes(5000)
        first = [asyncio.ensure_future(call(big, metadata=tokens.metadata("planner"))) for _ in range(2)]
        await until(lambda: to._pipeline.arrivals.weighed.held > len(big))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(big, metadata=tokens.metadata("planner"))
        assert reason(refused.value) == "TOO_MANY_CALLS"
        assert metadata_of(refused.value)["quota"] == "request_bytes"
        let_go.set()
        await asyncio.gather(*first)
        await call(big, metadata=tokens.metadata("planner"))
        assert to._pipeline.arrivals.weighed.held == 0


async def test_one_connection_puts_no_more_before_others_than_it_is_told() -> None:
    async with running(EchoServicer().servicer(), trust_ids=False) as server, _raw(server) as connection:
        await until(lambda: connection.most_streams is not None)
        assert connection.most_streams == STREAMS_AT_THE_DOOR
