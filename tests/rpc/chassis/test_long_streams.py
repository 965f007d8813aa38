"""Long streams between processes: each endless method goes on after its deadline or a broken connection."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.scheduler.v1 import dispatch_pb2, scheduler_pb2_grpc
from services.chassis import streams
from services.chassis.auth.agents import AccessAgentDirectory
from services.chassis.auth.authz_client import AccessAuthorizer
from services.chassis.dispatch.client import DispatchClient
from services.chassis.rpc import methods
from services.chassis.rpc.client import StaticCredential
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import (
    CredentialExpired,
    CredentialRevoked,
    Draining,
    InvalidRequest,
    KernelError,
    PermissionDenied,
    ServiceUnavailable,
)
from services.chassis.rpc.steps import mapping
from services.chassis.runtime.clock import SystemClock
from services.chassis.streams import LongStream, follow_forever, is_final
from tests.fakes.manager import front
from tests.fakes.tokens import PassOn, metadata
from tests.fakes.waiting import until
from tests.unit.chassis.test_chassis_methods import api_files

ENDLESS = {method.label.rpartition("/")[2]: method for method in methods.table(*api_files()).values()
           if method.endless}  # fmt: skip
"""Every method of the protos that runs until its caller leaves."""

Follow = Callable[[grpc.aio.Channel], Coroutine[Any, Any, None]]


def rules(channel: grpc.aio.Channel) -> Coroutine[Any, Any, None]:
    return AccessAuthorizer(channel, StaticCredential("t"), SystemClock()).watch()


def agents(channel: grpc.aio.Channel) -> Coroutine[Any, Any, None]:
    stub: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(channel)
    return AccessAgentDirectory(stub, StaticCredential("t"), PassOn()).watch()


def dispatch(channel: grpc.aio.Channel) -> Coroutine[Any, Any, None]:
    stub: Any = scheduler_pb2_grpc.SchedulerServiceStub(channel)
    return DispatchClient(stub, StaticCredential("t").metadata, SystemClock()).run()


def as_bytes(name: str) -> Follow:
    """Follow a method that only agents' programs follow, as bytes."""

    async def follow(channel: grpc.aio.Channel) -> None:
        async def attempt() -> AsyncGenerator[bytes, None]:
            method: Any = channel.unary_stream(ENDLESS[name].path)
            async for message in streams.events_of(method(b"", metadata=metadata())):
                yield message

        await follow_forever(LongStream(name, first_pause=0.01), attempt, lambda _: None)

    return follow


FOLLOW: dict[str, tuple[Follow, Message]] = {
    "WatchRevision": (rules, access_pb2.WatchRevisionResponse(revision=1, epoch="e")),
    "WatchAgents": (agents, agent_pb2.WatchAgentsResponse(agent=agent_pb2.Agent(name="agents/a"))),
    "Dispatch": (dispatch, dispatch_pb2.DispatchResponse(welcome=dispatch_pb2.Welcome(epoch=1))),
    "WatchApprovals": (as_bytes("WatchApprovals"), access_pb2.WatchApprovalsResponse()),
    "WatchSchedule": (as_bytes("WatchSchedule"), access_pb2.WatchApprovalsResponse()),
    "WatchFiles": (as_bytes("WatchFiles"), access_pb2.WatchApprovalsResponse()),
    "TakeCalls": (as_bytes("TakeCalls"), access_pb2.WatchApprovalsResponse()),
    "WatchSyscalls": (as_bytes("WatchSyscalls"), access_pb2.WatchApprovalsResponse()),
}
"""Who follows each, and an event that means something to it."""

FORWARDED = {"WatchApprovals", "WatchSchedule", "WatchFiles", "TakeCalls"}


class Script(grpc.GenericRpcHandler):
    """Each attempt gets one event and ends as the script says; the last one stays open."""

    def __init__(self, name: str, event: Message, *ends: str | KernelError) -> None:
        self.path = ENDLESS[name].path
        self.both = ENDLESS[name].client_streaming
        self.event = event.SerializeToString()
        self.ends = list(ends)
        self.attempts = 0
        self.left = 0

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Answer the one method; all others are unknown here."""
        if details.method != self.path:
            return None
        if self.both:
            return grpc.stream_stream_rpc_method_handler(self._answer)
        return grpc.unary_stream_rpc_method_handler(self._answer)

    async def _answer(self, _request: Any, context: Any) -> AsyncIterator[bytes]:
        self.attempts += 1
        end = self.ends.pop(0) if self.ends else "stay"
        try:
            yield self.event
            if isinstance(end, KernelError):
                await mapping.abort(context, end)
            elif end == "deadline":
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            elif end == "lost":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            elif end == "reset":
                await context.abort(grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2")
            elif end == "stay":
                await asyncio.Event().wait()
        finally:
            self.left += 1


@asynccontextmanager
async def serving_script(name: str, script: Script) -> AsyncIterator[grpc.aio.Channel]:
    """Serve the script, behind the gateway's forwarding where that is how it is reached."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((script,))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        if name in FORWARDED:
            async with front(address) as channel:
                yield channel
        else:
            async with grpc.aio.insecure_channel(address) as channel:
                yield channel
    finally:
        await server.stop(0)


def test_every_endless_method_of_the_protos_is_followed_here() -> None:
    assert set(FOLLOW) == set(ENDLESS)


@pytest.mark.parametrize("name", sorted(ENDLESS))
async def test_an_endless_stream_goes_on_after_deadlines_broken_connections_and_draining_servers(
    name: str,
) -> None:
    follow, event = FOLLOW[name]
    script = Script(name, event, "deadline", "lost", Draining("going"), "reset", "ok",
                    CredentialExpired("show a fresh one"))  # fmt: skip

    async with serving_script(name, script) as channel:
        task = asyncio.create_task(follow(channel))
        await until(lambda: script.attempts == 7 or task.done(), within=30.0)
        assert not task.done()
        task.cancel()
        await asyncio.wait({task})
        await until(lambda: script.left == 7)


@pytest.mark.parametrize("name", sorted(ENDLESS))
@pytest.mark.parametrize(
    "refusal", [CredentialRevoked("no"), PermissionDenied("no"), InvalidRequest("no")], ids=lambda e: e.reason
)
async def test_an_endless_stream_ends_with_a_refusal_that_is_final(name: str, refusal: KernelError) -> None:
    follow, event = FOLLOW[name]
    script = Script(name, event, refusal)

    async with serving_script(name, script) as channel:
        with pytest.raises(KernelError) as ended:
            await asyncio.wait_for(follow(channel), 30)

    assert ended.value.reason == refusal.reason
    assert script.attempts == 1


async def test_a_stream_that_goes_silent_is_opened_again() -> None:
    attempts = 0

    async def attempt() -> AsyncGenerator[int, None]:
        nonlocal attempts
        attempts += 1
        yield attempts
        await asyncio.Event().wait()

    stream = LongStream("s", first_pause=0.001, silence=0.01)
    task = asyncio.create_task(follow_forever(stream, attempt, lambda _: None))
    await until(lambda: attempts >= 3)
    task.cancel()
    await asyncio.wait({task})

    assert stream.attempt == attempts


def test_pauses_grow_up_to_a_bound_and_begin_anew_after_an_event() -> None:
    stream = LongStream("s", first_pause=1.0, longest_pause=4.0)
    away = ServiceUnavailable("away")

    grown = [stream.pause_after(away) for _ in range(5)]
    stream.stands()

    for pause, bound in zip([*grown, stream.pause_after(away)], [1, 2, 4, 4, 4, 1], strict=True):
        assert bound / 2 <= pause <= bound


def test_only_what_another_attempt_cannot_mend_is_final() -> None:
    assert is_final(CredentialRevoked("no"))
    assert not is_final(CredentialExpired("show a fresh one"))
    assert not is_final(Draining("going"))
    assert not is_final(ServiceUnavailable("away"))
    assert {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.CANCELLED}.isdisjoint(
        streams._FINAL
    )


async def test_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    stream = LongStream("rules")
    for _ in range(3):
        stream.pause_after(ServiceUnavailable("away"))
    stream.stands()
    stream.pause_after(ServiceUnavailable("away"))

    assert len(caplog.records) == 2


def test_a_token_that_has_expired_is_no_cause_for_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    LongStream("rules").pause_after(CredentialExpired("show a fresh one"))
    LongStream("rules").pause_after(ServiceUnavailable("away"))

    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
