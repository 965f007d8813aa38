"""What the gateway forwards goes through unchanged, in both directions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from aios.api.storage.v1 import storage_pb2, storage_pb2_grpc
from gateway.forwarder import Copying, Forwarder
from gateway.main import FORWARDED
from gateway.metrics import GateMetrics
from services.chassis.gate import FairGate, GateConfig
from services.chassis.rpc import methods
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import FieldViolation, KernelError, QuotaViolation
from services.chassis.rpc.methods import Audience, Lane
from services.chassis.rpc.status import DETAILS_KEY, GRPC_CODES, from_status, status_of, to_status
from tests.fakes.endings import ended_early
from tests.fakes.examples import examples
from tests.fakes.manager import RawManager, echo, front, front_server
from tests.fakes.rings import alive, no_collections
from tests.fakes.rpc import connected, reason
from tests.fakes.tokens import PassOn, metadata
from tests.fakes.waiting import until

GET = "/aios.api.memory.v1.MemoryService/GetNote"
NOTE = memory_pb2.GetNoteRequest(name="agents/me/notes/x")


class Refusal(KernelError):
    """What a manager refuses a call with."""

    reason = "NOTE_NOT_FOUND"
    code = Code.NOT_FOUND


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return failure.value


def raw(channel: grpc.aio.Channel, path: str) -> Any:
    return channel.unary_unary(path)


def pairs(found: Any) -> list[tuple[str, str | bytes]]:
    return list(found or ())


async def test_the_reply_and_its_metadata_come_back_as_they_are() -> None:
    async def answer(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        await context.send_initial_metadata((("head", "1"), ("head-bin", b"\x00\xff")))
        yield memory_pb2.GetNoteResponse(note={"content": "hello"}).SerializeToString()
        context.set_trailing_metadata((("tail", "2"), ("tail-bin", b"\xfe\x00")))

    async with RawManager(answer).running() as address, front(address) as channel:
        call = memory_pb2_grpc.MemoryServiceStub(channel).GetNote(NOTE, metadata=metadata())
        response = await call

        assert response.note.content == "hello"
        assert {("head", "1"), ("head-bin", b"\x00\xff")} <= set(pairs(await call.initial_metadata()))
        assert {("tail", "2"), ("tail-bin", b"\xfe\x00")} <= set(pairs(await call.trailing_metadata()))


async def test_the_manager_gets_the_callers_metadata_and_never_its_own_choice_of_ids() -> None:
    seen: list[tuple[str, str | bytes]] = []

    async def answer(request: bytes, context: Any) -> AsyncIterator[bytes]:
        seen.extend(context.invocation_metadata())
        yield request

    async with RawManager(answer).running() as address, front(address) as channel:
        mine = (("x-mine", "1"), ("x-mine-bin", b"\x01\xff"), ("aios-syscall-id", "chosen"))
        await raw(channel, GET)(NOTE.SerializeToString(), metadata=(*metadata("amy"), *mine))

    assert {("x-mine", "1"), ("x-mine-bin", b"\x01\xff")} <= set(seen)
    assert [value for key, value in seen if key == "aios-syscall-id"] != ["chosen"]
    assert len([key for key, _ in seen if key == "authorization"]) == 1


async def test_a_typed_error_comes_back_with_every_detail() -> None:
    error = Refusal(
        "no such note",
        metadata={"note": "agents/me/notes/x"},
        retry_after=1.5,
        violations=[FieldViolation("name", "is gone")],
        quota=QuotaViolation("agents/me", "too much"),
    )

    async def refuse(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        details = ((DETAILS_KEY, to_status(error).SerializeToString()), ("tail", "kept"))
        await context.abort(GRPC_CODES[error.code], error.message, details)
        yield b""

    async with RawManager(refuse).running() as address, front(address) as channel:
        failure = await failure_of(
            memory_pb2_grpc.MemoryServiceStub(channel).GetNote(NOTE, metadata=metadata())
        )

    status = status_of(failure)
    assert status == to_status(error)
    assert ("tail", "kept") in pairs(failure.trailing_metadata())
    assert (failure.code(), failure.details()) == (grpc.StatusCode.NOT_FOUND, "no such note")
    assert status is not None
    assert isinstance(from_status(status), KernelError)


@pytest.mark.parametrize(
    "code",
    [c for c in grpc.StatusCode if c.name not in {"OK", "UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED"}],
)
async def test_a_plain_status_comes_back_as_it_is(code: grpc.StatusCode) -> None:
    async def refuse(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        await context.abort(code, "said the manager")
        yield b""

    async with RawManager(refuse).running() as address, front(address) as channel:
        failure = await failure_of(raw(channel, GET)(NOTE.SerializeToString(), metadata=metadata()))

    assert (failure.code(), failure.details()) == (code, "said the manager")


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
async def test_a_call_that_a_manager_sheds_without_a_reason_gets_one(code: grpc.StatusCode) -> None:
    async def shed(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        await context.abort(code, "")
        yield b""

    async with RawManager(shed).running() as address, front(address) as channel:
        put = memory_pb2.PutNoteRequest(note={"name": "agents/me/notes/x", "content": "c"})
        failure = await failure_of(
            memory_pb2_grpc.MemoryServiceStub(channel).PutNote(put, metadata=metadata())
        )

    assert (failure.code(), reason(failure)) == (grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")


async def test_the_manager_has_no_longer_than_its_caller() -> None:
    left: list[float] = []
    ended = asyncio.Event()

    async def slow(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        left.append(context.time_remaining())
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()
        yield b""

    async with RawManager(slow).running() as address, front(address) as channel:
        failure = await failure_of(
            raw(channel, GET)(NOTE.SerializeToString(), metadata=metadata(), timeout=1)
        )
        await until(ended.is_set)

    assert failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0 < left[0] < 1.1  # gRPC rounds the time up on the way


async def test_a_call_without_a_deadline_gets_the_methods_own_and_a_typed_error() -> None:
    async def slow(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        yield b""

    async with RawManager(slow).running() as address, front(address) as channel:
        failure = await failure_of(raw(channel, GET)(NOTE.SerializeToString(), metadata=metadata()))

    assert failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert reason(failure) == "DEADLINE_EXCEEDED"


async def test_a_cancel_reaches_the_manager_at_once() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hold(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        yield b""

    gates = {Lane.DATA: FairGate(GateConfig())}
    async with RawManager(hold).running() as address, front(address, gates) as channel:
        call = raw(channel, GET)(NOTE.SerializeToString(), metadata=metadata())
        waiting = asyncio.ensure_future(call)
        await begun.wait()
        call.cancel()
        await until(cancelled.is_set)
        await asyncio.gather(waiting, return_exceptions=True)
        await until(lambda: gates[Lane.DATA].running == 0)

    assert gates[Lane.DATA].waiting == 0


async def test_a_stream_is_forwarded_message_by_message() -> None:
    go_on = asyncio.Event()

    async def stream(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield storage_pb2.ReadFileResponse(data=b"first").SerializeToString()
        await go_on.wait()
        for number in range(100):
            yield storage_pb2.ReadFileResponse(data=b"%d" % number).SerializeToString()

    async with RawManager(stream).running() as address, front(address) as channel:
        request = storage_pb2.ReadFileRequest(name="agents/me/files/f")
        call: Any = storage_pb2_grpc.StorageServiceStub(channel).ReadFile(request, metadata=metadata())
        messages = aiter(call)
        first = await anext(messages)
        go_on.set()
        rest = [message.data async for message in messages]

    assert first.data == b"first"
    assert rest == [b"%d" % number for number in range(100)]


@pytest.mark.parametrize("steps", range(14))
async def test_streams_that_the_gateway_ends_while_they_begin_are_told_why(steps: int) -> None:
    async def stream(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        await context.send_initial_metadata((("head", "1"),))
        yield storage_pb2.ReadFileResponse(data=b"first").SerializeToString()
        await asyncio.Event().wait()

    async with (
        RawManager(stream).running() as address,
        front_server(address) as server,
        connected(server) as channel,
    ):
        request = storage_pb2.ReadFileRequest(name="agents/me/files/f")
        read: Any = storage_pb2_grpc.StorageServiceStub(channel).ReadFile
        calls = [read(request, metadata=metadata()) for _ in range(20)]

        assert await ended_early(server, calls, steps) == {"DRAINING"}


async def test_a_stream_that_fails_in_its_middle_keeps_what_came_and_the_error() -> None:
    async def stream(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield storage_pb2.ReadFileResponse(data=b"half").SerializeToString()
        details = ((DETAILS_KEY, to_status(Refusal("gone")).SerializeToString()),)
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone", details)

    async with RawManager(stream).running() as address, front(address) as channel:
        request = storage_pb2.ReadFileRequest(name="agents/me/files/f")
        call: Any = storage_pb2_grpc.StorageServiceStub(channel).ReadFile(request, metadata=metadata())
        first = await call.read()
        failure = await failure_of(call.read())

    assert first.data == b"half"
    assert reason(failure) == "NOTE_NOT_FOUND"


@pytest.mark.parametrize(
    "path", ["/no.such.Service/Get", "/aios.api.memory.v1.MemoryService/NoSuch", "/x", "/", "no/slash"]
)
async def test_an_unknown_method_is_unimplemented_and_typed(path: str) -> None:
    manager = RawManager()
    async with manager.running() as address, front(address) as channel:
        failure = await failure_of(raw(channel, path)(b"", metadata=metadata()))

    assert (failure.code(), reason(failure)) == (grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_METHOD")
    assert manager.paths == []


async def test_methods_of_the_kernel_itself_are_not_forwarded() -> None:
    manager = RawManager()
    kernel_only = [
        path
        for path, method in methods.table(*FORWARDED).items()
        if method.audience is Audience.KERNEL and not method.client_streaming
    ]
    async with manager.running() as address, front(address) as channel:
        for kind in ("agent", "admin", "service"):
            for path in kernel_only:
                failure = await failure_of(raw(channel, path)(b"", metadata=metadata(kind=kind)))
                assert reason(failure) == "UNKNOWN_METHOD"

    assert kernel_only
    assert manager.paths == []


async def test_a_client_stream_is_not_forwarded() -> None:
    path = "/aios.api.scheduler.v1.SchedulerService/Dispatch"
    dispatch = methods.table(*FORWARDED)[path]
    open_to_agents = {path: replace(dispatch, audience=Audience.AGENTS)}
    forwarder = Forwarder({}, open_to_agents, {}, GateMetrics(CollectorRegistry(), {}), exchange=PassOn())

    class Details:
        method = path

    assert dispatch.client_streaming
    assert forwarder.service(Details()) is None  # type: ignore[arg-type]  # what it reads of them


async def test_a_manager_that_is_away_is_unavailable_and_typed() -> None:
    async with RawManager().running() as address:
        pass
    async with front(address) as channel:
        get = await failure_of(raw(channel, GET)(NOTE.SerializeToString(), metadata=metadata()))

    assert (get.code(), reason(get)) == (grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")
    assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in _details(get))


async def test_a_public_method_needs_no_credential() -> None:
    manager = RawManager()
    async with manager.running() as address, front(address) as channel:
        await access_pb2_grpc.AccessServiceStub(channel).GetJwks(access_pb2.GetJwksRequest())

    assert len(manager.paths) == 1


async def test_a_call_without_a_credential_reaches_no_manager() -> None:
    manager = RawManager()
    async with manager.running() as address, front(address) as channel:
        failure = await failure_of(raw(channel, GET)(NOTE.SerializeToString()))

    assert reason(failure) == "CREDENTIAL_MISSING"
    assert manager.paths == []


async def test_one_agents_flood_does_not_stall_another() -> None:
    release = asyncio.Event()

    async def hold_amy(request: bytes, context: Any) -> AsyncIterator[bytes]:
        if ("x-slow", "1") in pairs(context.invocation_metadata()):
            await release.wait()
        yield request

    gates = {Lane.DATA: FairGate(GateConfig(running=8, running_per_agent=4))}
    async with RawManager(hold_amy).running() as address, front(address, gates) as channel:
        get = raw(channel, GET)
        slow = (*metadata("amy"), ("x-slow", "1"))
        flood = [asyncio.ensure_future(get(NOTE.SerializeToString(), metadata=slow)) for _ in range(100)]
        await until(lambda: gates[Lane.DATA].waiting == 96)
        quiet = await get(NOTE.SerializeToString(), metadata=metadata("bob"))
        waiting = gates[Lane.DATA].waiting
        release.set()
        await asyncio.gather(*flood)

    assert quiet == NOTE.SerializeToString()
    assert waiting == 96


async def test_more_calls_than_may_wait_are_refused_with_a_reason() -> None:
    release = asyncio.Event()

    async def hold(request: bytes, _context: Any) -> AsyncIterator[bytes]:
        await release.wait()
        yield request

    gates = {Lane.DATA: FairGate(GateConfig(running=2, running_per_agent=1, waiting_per_agent=3))}
    async with RawManager(hold).running() as address, front(address, gates) as channel:
        get = raw(channel, GET)
        calls = [
            asyncio.ensure_future(get(NOTE.SerializeToString(), metadata=metadata("amy"))) for _ in range(4)
        ]
        await until(lambda: gates[Lane.DATA].waiting == 3)
        failure = await failure_of(get(NOTE.SerializeToString(), metadata=metadata("amy")))
        release.set()
        await asyncio.gather(*calls)

    assert (failure.code(), reason(failure)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in _details(failure))


@settings(max_examples=examples(20))
@given(st.binary(max_size=200), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
async def test_unknown_fields_and_any_text_survive_the_way(extra: bytes, text: str) -> None:
    async with RawManager(echo).running() as address, front(address) as channel:
        field = b"\xfa\x3f" + len(extra).to_bytes(1, "little") if len(extra) < 128 else b""
        request = NOTE.SerializeToString() + (field + extra if field else b"")
        call = raw(channel, GET)(request, metadata=(*metadata(), ("x-text", text.strip())))

        assert await call == request


def _details(failure: grpc.aio.AioRpcError) -> Any:
    status = status_of(failure)
    return status.details if status else ()


async def test_a_call_that_a_manager_refused_leaves_nothing_to_collect() -> None:
    async def refuse(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        yield b""

    async with RawManager(refuse).running() as address, front(address) as channel, no_collections():
        for _ in range(5):
            await failure_of(raw(channel, GET)(NOTE.SerializeToString(), metadata=metadata()))
        await until(lambda: alive(Copying) == 0)


async def test_of_a_burst_of_watches_a_manager_is_asked_to_let_in_a_few_at_a_time() -> None:
    asked, let_in = 0, asyncio.Event()

    async def hesitate(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        nonlocal asked
        asked += 1
        await let_in.wait()
        await context.send_initial_metadata((("aios-open", "1"),))
        await asyncio.sleep(30)
        yield b""

    request = storage_pb2.WatchFilesRequest(parent="agents/amy/files").SerializeToString()
    async with RawManager(hesitate).running() as address, front(address) as channel:
        watch: Any = channel.unary_stream("/aios.api.storage.v1.StorageService/WatchFiles")
        opened = [watch(request, metadata=metadata("amy")) for _ in range(20)]
        await until(lambda: asked == 8)
        others = watch(
            storage_pb2.WatchFilesRequest(parent="agents/bob/files").SerializeToString(),
            metadata=metadata("bob"),
        )
        await until(lambda: asked == 9)
        let_in.set()
        await until(lambda: asked == 21)
        for call in (*opened, others):
            call.cancel()
