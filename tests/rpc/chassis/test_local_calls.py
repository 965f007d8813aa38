"""Calls from within the process pass the same steps as those over a connection."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from services.chassis.auth.identity import current_caller
from services.chassis.rpc.errors import CredentialRevoked, KernelError, PermissionDenied
from services.chassis.rpc.local import PEER, LocalChannel
from services.chassis.rpc.steps.headers import SYSCALL_ID
from tests.fakes import tokens
from tests.fakes.access import Refuse
from tests.fakes.echo import Echo, EchoServicer, EchoStub
from tests.fakes.rpc import connected, running
from tests.fakes.waiting import until

PLANNER = tokens.metadata("planner")


def local(server: Any) -> EchoStub:
    return EchoStub(LocalChannel(server._pipeline))  # type: ignore[arg-type]  # what stubs need of a channel


async def failure_of(call: Any) -> KernelError:
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except KernelError as error:
        return error
    pytest.fail("the call succeeded")


async def test_a_call_that_answers_once_and_a_stream_answer() -> None:
    async with running(EchoServicer().servicer()) as server:
        stub = local(server)

        assert (await stub.unary(Echo(text="a"), metadata=PLANNER)).text == "a"
        out = [reply.text async for reply in stub.stream_out(Echo(text="b", count=300), metadata=PLANNER)]

        assert out == ["b"] * 300


@pytest.mark.parametrize(
    ("request_", "metadata", "authorizer", "reason"),
    [
        (Echo(), (), None, "CREDENTIAL_MISSING"),
        (Echo(), (("authorization", "Bearer nonsense"),), None, "CREDENTIAL_INVALID"),
        (Echo(), PLANNER, Refuse(PermissionDenied("no")), "PERMISSION_DENIED"),
        (Echo(text="x" * 101), PLANNER, None, "INVALID_REQUEST"),
        (Echo(text="x" * 20_000), PLANNER, None, "REQUEST_TOO_LARGE"),
    ],
)
async def test_what_a_connection_is_refused_a_local_call_is_refused_with_the_same_words(
    request_: Any, metadata: Any, authorizer: Any, reason: str
) -> None:
    async with running(EchoServicer().servicer(), authorizer=authorizer) as server:
        near = await failure_of(local(server).unary(request_, metadata=metadata))
        stream = await failure_of(local(server).stream_out(request_, metadata=metadata))
        async with connected(server) as channel:
            with pytest.raises(Exception) as far:  # noqa: PT011 - compared below
                await EchoStub(channel).unary(request_, metadata=metadata)

    assert near.reason == stream.reason == reason
    assert near.message == far.value.details()  # type: ignore[attr-defined]


async def test_a_missing_method_and_one_that_reads_a_stream_are_refused() -> None:
    async with running(EchoServicer().servicer()) as server:
        assert (await failure_of(local(server).missing(Echo(), metadata=PLANNER))).reason == "UNKNOWN_METHOD"
        with pytest.raises(KernelError):
            local(server).chat(Echo(), metadata=PLANNER)


async def test_a_defect_is_told_without_its_text() -> None:
    async def broken(_request: Any, _context: Any) -> Any:
        raise ZeroDivisionError("secret")

    async with running(EchoServicer(broken).servicer()) as server:
        error = await failure_of(local(server).unary(Echo(), metadata=PLANNER))

    assert error.reason == "INTERNAL"
    assert "secret" not in error.message
    assert error.metadata["error_id"]


async def test_the_callers_deadline_ends_the_handler_and_the_call() -> None:
    ended = asyncio.Event()

    async def slow(_request: Any, _context: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running(EchoServicer(slow).servicer()) as server:
        error = await failure_of(local(server).unary(Echo(), metadata=PLANNER, timeout=0.05))
        assert error.reason == "DEADLINE_EXCEEDED"
        assert ended.is_set()
        quick = await failure_of(local(server).quick(Echo(), metadata=PLANNER))

    assert quick.reason == "DEADLINE_EXCEEDED"


async def test_a_reader_that_leaves_a_stream_ends_it() -> None:
    servicer = EchoServicer()
    async with running(servicer.servicer()) as server:
        call = local(server).stream_out(Echo(text="a", count=1000), metadata=PLANNER)
        async with aclosing(call):
            async for _ in call:
                break

        assert servicer.closed.is_set()


async def test_a_reader_that_is_cancelled_while_it_waits_ends_the_call() -> None:
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def slow(_request: Any, _context: Any) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running(EchoServicer(slow).servicer()) as server:

        async def ask() -> Any:
            return await local(server).unary(Echo(), metadata=PLANNER)

        asking = asyncio.create_task(ask())
        await begun.wait()
        asking.cancel()
        await asyncio.wait({asking})

        assert ended.is_set()


async def test_a_slow_reader_holds_the_stream_back() -> None:
    made: list[int] = []

    class Counting(EchoServicer):
        async def stream_out(self, request: Any, context: Any) -> Any:  # noqa: ARG002 - as the others
            for n in range(request.count):
                made.append(n)
                yield Echo(count=n)

    async with running(Counting().servicer()) as server:
        call = local(server).stream_out(Echo(count=100), metadata=PLANNER)
        async with aclosing(call):
            async for _ in call:
                await asyncio.sleep(0.01)
                assert len(made) <= 3
                break


async def test_a_stream_is_withdrawn_with_its_credential() -> None:
    async def wait(_request: Any, _context: Any) -> Any:
        await asyncio.Event().wait()

    async with running(EchoServicer(wait).servicer()) as server:
        streams = server._pipeline.streams
        call = local(server).stream_out(Echo(count=1), metadata=PLANNER)
        reading = asyncio.create_task(failure_of(call))
        await until(lambda: len(streams._streams) == 1)
        [stream] = streams._streams
        stream.end(CredentialRevoked("withdrawn"))

        assert (await reading).reason == "CREDENTIAL_REVOKED"


async def test_the_id_that_a_door_chose_is_the_calls_and_its_peer_is_the_doors_caller() -> None:
    seen: list[Any] = []

    async def look(request: Any, context: Any) -> Any:
        seen.append((current_caller().syscall_id, context.peer(), dict(context.invocation_metadata())))
        return request

    async with running(EchoServicer(look).servicer(), trust_ids=False) as server:
        metadata = (*PLANNER, (SYSCALL_ID, "abc"), (PEER, "10.0.0.7"))
        await local(server).unary(Echo(), metadata=metadata)

    [(syscall, peer, passed)] = seen
    assert (syscall, peer) == ("abc", "10.0.0.7")
    assert PEER not in passed
