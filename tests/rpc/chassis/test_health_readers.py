"""Health and reflection ask nobody who they are, so what a stranger holds of them is little."""

import asyncio
import struct
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.chassis.runtime.health import MOST_WATCHES
from services.chassis.runtime.reflection import MOST_STREAMS
from tests.fakes.echo import SERVICE, EchoServicer
from tests.fakes.raw_http2 import RawConnection
from tests.fakes.rpc import connected, running
from tests.fakes.waiting import until

_NOTHING = struct.pack(">BI", 0, 0)


async def test_who_watches_health_and_reads_nothing_keeps_no_process_from_telling_or_ending() -> None:
    async with running(EchoServicer().servicer()) as server:
        connection = await RawConnection.open(server.health_port, takes=0)
        following = asyncio.create_task(connection.follow())
        await until(lambda: connection.most_streams is not None)
        stream = connection.begin("/grpc.health.v1.Health/Watch")
        connection.body(stream, _NOTHING, ends=True)
        await until(lambda: server._health.watches == 1)
        async with asyncio.timeout(5):
            await server._report_health()
            await server.drain()
        following.cancel()
        await connection.close()


async def test_watches_of_health_are_few() -> None:
    async with (
        running(EchoServicer().servicer()) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        watches = [stub.Watch(request) for _ in range(MOST_WATCHES)]
        for watch in watches:
            await watch.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Watch(request).read()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
        for watch in watches:
            watch.cancel()
        await until(lambda: server._health.watches == 0)


async def test_streams_of_reflection_are_few() -> None:
    async with running(EchoServicer().servicer()) as server, connected(server) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="*")
        calls = [stub.ServerReflectionInfo() for _ in range(MOST_STREAMS)]
        for call in calls:
            await call.write(request)
            answer = await call.read()
            assert SERVICE in {one.name for one in answer.list_services_response.service}
        refused = stub.ServerReflectionInfo()
        assert await refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for call in calls:
            call.cancel()
