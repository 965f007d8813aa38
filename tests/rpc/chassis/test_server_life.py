"""A server's ports, health, pages, and how it goes."""

import asyncio
import json
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.runtime.http import HttpServer, Page
from services.chassis.runtime.ports import PortTaken
from services.chassis.runtime.server import ChassisServer, ServerConfig
from tests.fakes import tokens
from tests.fakes.echo import SERVICE, Echo, EchoServicer, EchoStub
from tests.fakes.endings import ended_early
from tests.fakes.rpc import connected, reason, running
from tests.fakes.waiting import until

PLANNER = tokens.metadata("planner")


async def request(port: int, text: bytes) -> tuple[int, bytes]:
    """Send raw HTTP and return status and body; status 0 when the server hung up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    await writer.drain()
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), body) if head else (0, b"")


async def get(port: int, path: str) -> tuple[int, bytes]:
    """Get a page."""
    return await request(port, f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())


async def fine() -> str | None:
    """Find nothing wrong."""
    return None


async def test_the_pages_answer() -> None:
    async with running(EchoServicer().servicer(), readiness={"database": fine}) as server:
        metrics = await get(server.http_port, "/metrics?x=1")
        alive = await get(server.http_port, "/healthz")
        ready = await get(server.http_port, "/readyz")
        missing = await get(server.http_port, "/nothing")
        post = await request(server.http_port, b"POST /metrics HTTP/1.1\r\n\r\n")
        head = await request(server.http_port, b"HEAD /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")

    assert (metrics[0], alive, ready[0], missing[0], post[0], head) == (
        200,
        (200, b"ok\n"),
        200,
        404,
        405,
        (200, b""),
    )
    assert b'aios_rpc_started_total{method="aios.testing.v1.EchoService/Unary"} 0.0' in metrics[1]
    assert json.loads(ready[1]) == {"ready": True, "failing": {}}


async def test_readiness_names_what_fails() -> None:
    async def wrong() -> str | None:
        return "no such table"

    async def broken() -> str | None:
        raise OSError("disk on fire")

    async def hanging() -> str | None:
        await asyncio.Event().wait()
        return None

    checks: Mapping[str, Any] = {"a": fine, "b": wrong, "c": broken, "d": hanging}
    async with running(EchoServicer().servicer(), readiness=checks) as server:
        status, body = await get(server.http_port, "/readyz")

    assert status == 503
    assert json.loads(body)["failing"] == {
        "b": "no such table", "c": "OSError: disk on fire", "d": "no answer within 1 s",
    }  # fmt: skip


@pytest.mark.parametrize(
    "head",
    [
        "host: evil.example",
        "host: localhost\r\nhost: evil.example",
        "x: y",
        "host: localhost\r\norigin: null",
        "host: localhost\r\nsec-fetch-site: cross-site",
        "host: 192.0.2.1",
        "host:localhost\r\n origin: http://x",
    ],
)
async def test_no_web_page_reads_the_pages(head: str) -> None:
    async with running(EchoServicer().servicer()) as server:
        told = [
            await request(server.http_port, f"GET {path} HTTP/1.1\r\n{head}\r\n\r\n".encode())
            for path in ("/metrics", "/healthz", "/readyz", "/nothing")
        ]

    assert {status for status, _ in told} == {403}


@given(st.binary(max_size=300))
async def test_any_bytes_leave_the_http_server_standing(noise: bytes) -> None:
    async def page() -> Page:
        return Page(b"ok")

    server = HttpServer({"/": page})
    await server.start("127.0.0.1", 0)
    await request(server.port, noise)
    status, _ = await get(server.port, "/")
    await server.stop()

    assert status == 200


async def test_health_tells_the_process_from_its_dependencies() -> None:
    problem: list[str | None] = ["down"]

    async def check() -> str | None:
        return problem[0]

    async with (
        running(EchoServicer().servicer(), readiness={"database": check}) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        whole = await stub.Check(health_pb2.HealthCheckRequest())
        service = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        await watch.read()
        problem[0] = None
        after = await asyncio.wait_for(watch.read(), 10)
        watch.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))

    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert (whole.status, service.status, after.status) == (serving, not_serving, serving)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_the_services_can_be_listed_without_a_credential() -> None:
    async with running(EchoServicer().servicer()) as server, connected(server) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        answer = await call.read()

    assert SERVICE in [service.name for service in answer.list_services_response.service]


@pytest.mark.parametrize("field", ["port", "health_port", "http_port"])
async def test_a_taken_port_is_named_with_its_holder(field: str) -> None:
    async with running(EchoServicer().servicer()) as first:
        taken = getattr(first, field)
        holder = f"port {taken} .* is in use by process {os.getpid()}:"
        with pytest.raises(PortTaken, match=holder) as failure:
            async with running(EchoServicer().servicer(), config=ServerConfig(**{field: taken})):
                pass

    assert failure.value.port == taken


async def refusal(stub: EchoStub) -> grpc.aio.AioRpcError:
    """Call until the server takes no more calls; those it still takes run out of time or go with it."""
    async with asyncio.timeout(30):
        while True:
            try:
                await stub.quick(Echo(), metadata=PLANNER)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    return error


async def test_running_calls_finish_and_new_ones_are_refused_when_the_server_stops() -> None:
    release = asyncio.Event()
    entered = asyncio.Event()

    async def wait(message: Any, _context: Any) -> Any:
        if message.text == "a":  # a later call may still be let in while the server begins to stop
            entered.set()
            await release.wait()
        return message

    async with running(EchoServicer(wait).servicer()) as server, connected(server) as channel:
        stub = EchoStub(channel)
        call = asyncio.ensure_future(stub.unary(Echo(text="a"), metadata=PLANNER))
        await entered.wait()
        stopping = asyncio.ensure_future(server.stop(grace=30))
        refused = await refusal(stub)
        release.set()
        reply = await call
        await stopping

    assert reply.text == "a"
    assert refused.code() is grpc.StatusCode.UNAVAILABLE


async def forever(_message: Any, _context: Any) -> Any:
    """Never end."""
    await asyncio.Event().wait()


async def test_a_watch_is_ended_by_the_drain_with_a_reason() -> None:
    async def forever(message: Any, _context: Any) -> Any:
        if message.count:
            await asyncio.Event().wait()
        return message

    servicer = EchoServicer(forever)
    async with running(servicer.servicer()) as server, connected(server) as channel:
        stub = EchoStub(channel)
        call = stub.watch(Echo(count=1), metadata=PLANNER)
        await call.read()
        await server.drain()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await stub.watch(Echo(count=1), metadata=PLANNER).read()
        ready, _ = await get(server.http_port, "/readyz")
        short = await stub.unary(Echo(), metadata=PLANNER)

    assert [reason(ended.value), reason(late.value)] == ["DRAINING", "DRAINING"]
    assert (ready, short) == (503, Echo())
    assert servicer.closed.is_set()


@pytest.mark.parametrize("steps", range(4))
async def test_streams_that_are_ended_while_they_begin_are_told_why(steps: int) -> None:
    async with running(EchoServicer(forever).servicer()) as server, connected(server) as channel:
        stub = EchoStub(channel)
        calls = [begin(Echo(count=1), metadata=PLANNER) for begin in (stub.watch, stub.stream_out) * 20]

        assert await ended_early(server, calls, steps) == {"DRAINING"}


async def test_watches_whose_connection_is_gone_by_the_drain_are_no_fault_of_their_handlers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(EchoServicer(forever).servicer()) as server:
        async with connected(server) as channel:
            calls = [EchoStub(channel).watch(Echo(count=1), metadata=PLANNER) for _ in range(20)]
            for call in calls:
                await call.initial_metadata()
            server._pipeline.endless.end()
        await server.stop(grace=0)

    assert [record.getMessage() for record in caplog.records if "raised by" in record.getMessage()] == []


async def test_load_balancers_get_time_to_notice() -> None:
    config = ServerConfig(drain=timedelta(seconds=60))
    async with running(EchoServicer().servicer(), config=config) as server, connected(server) as channel:
        draining = asyncio.ensure_future(server.drain())
        await until(lambda: server.readiness.draining)
        reply = await EchoStub(channel).unary(Echo(text="still"), metadata=PLANNER)
        before = draining.done()
        draining.cancel()
        await asyncio.wait({draining})

    assert (reply.text, before) == ("still", False)


async def test_a_server_may_do_without_pages_and_health() -> None:
    config = ServerConfig(http_port=None, health_port=None)
    async with running(EchoServicer().servicer(), config=config) as server:
        assert (server.http_port, server.health_port) == (0, 0)
        assert isinstance(server, ChassisServer)
