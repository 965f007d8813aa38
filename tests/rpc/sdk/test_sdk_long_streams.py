"""Watches and providers of the SDK: they outlive deadlines and connections, and say how they ended."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message

import aios
from aios import _methods, _streams, errors
from aios._retry import RetryPolicy
from aios._transport import OPEN_KEY
from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.common.v1 import options_pb2
from aios.api.gateway.v1 import gateway_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from aios.calls.provider import Provider
from aios.errors import AiosError
from aios.kernel import Kernel, connect
from aios.testing import FakeKernel
from aios.testing.server import FILES
from aios.testing.status import code_of, trailers_of

QUICK = RetryPolicy(window=5.0, first_delay=0.01, max_delay=0.02)
SHORT = 0.2


@aios.tool
def double(number: int) -> int:
    """Double."""
    return 2 * number


ENDLESS = {
    method.name: method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
    if _methods.endless(method)
    and method.GetOptions().Extensions[options_pb2.syscall].audience != options_pb2.AUDIENCE_KERNEL  # type: ignore[index]
}
"""Every endless method that agents may call."""


async def _watch_agents(kernel: Kernel) -> AsyncGenerator[object, None]:
    async for event in kernel.agents.watch():
        yield event


async def _watch_approvals(kernel: Kernel) -> AsyncGenerator[object, None]:
    async for event in kernel.access.watch_approvals():
        yield event


async def _watch_schedule(kernel: Kernel) -> AsyncGenerator[object, None]:
    async for event in kernel.queue.watch():
        yield event


async def _watch_syscalls(kernel: Kernel) -> AsyncGenerator[object, None]:
    async for event in kernel.agents.trace():
        yield event


async def _watch_files(kernel: Kernel) -> AsyncGenerator[object, None]:
    async for event in kernel.files.watch("reports"):
        yield event


async def _take_calls(kernel: Kernel) -> AsyncGenerator[object, None]:
    # What a provider sees of its stream are calls; one is as good as another.
    provider = _Counting(kernel)
    async with provider:
        while True:
            yield await provider.events.get()


class _Counting(Provider):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel.tools._transport, [double], capacity=1, instance="")
        self.events: asyncio.Queue[object] = asyncio.Queue()

    def _handle(self, event: tool_pb2.TakeCallsResponse) -> None:
        self.events.put_nowait(event)


OPEN: dict[str, tuple[Callable[[Kernel], AsyncGenerator[object, None]], Message]] = {
    "WatchAgents": (_watch_agents, agent_pb2.WatchAgentsResponse()),
    "WatchApprovals": (_watch_approvals, access_pb2.WatchApprovalsResponse()),
    "WatchSchedule": (_watch_schedule, scheduler_pb2.WatchScheduleResponse()),
    "WatchSyscalls": (_watch_syscalls, gateway_pb2.WatchSyscallsResponse()),
    "WatchFiles": (_watch_files, storage_pb2.WatchFilesResponse(sequence=7)),
    "TakeCalls": (_take_calls, tool_pb2.TakeCallsResponse(heartbeat=tool_pb2.TakeCallsHeartbeat())),
}
OPEN["WatchApprovals"][1].approval.name = "approvals/a1"  # type: ignore[attr-defined]
OPEN["WatchAgents"][1].agent.name = "agents/a1"  # type: ignore[attr-defined]


class Script(grpc.GenericRpcHandler):
    """Answers every method: each attempt sends one event and ends as the script says, the last stays open."""

    def __init__(self, event: Message, *ends: str | AiosError) -> None:
        self.event = event.SerializeToString()
        self.ends = list(ends)
        self.requests: list[bytes] = []
        self.left = asyncio.Event()

    def service(self, _details: grpc.HandlerCallDetails) -> Any:
        """Answer whatever is called."""
        return grpc.unary_stream_rpc_method_handler(self._answer)

    async def _answer(self, request: bytes, context: Any) -> AsyncGenerator[bytes, None]:
        self.requests.append(request)
        end = self.ends.pop(0) if self.ends else "stay"
        await context.send_initial_metadata(((OPEN_KEY, "1"),))
        try:
            yield self.event
            if isinstance(end, AiosError):
                await context.abort(code_of(end), end.message, trailers_of(end))
            elif end == "lost":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            elif end != "ok":  # "deadline" and "stay" differ in who loses patience
                await asyncio.sleep(60)
        finally:
            self.left.set()


@asynccontextmanager
async def kernel_with(script: Script) -> AsyncGenerator[Kernel, None]:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((script,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with connect(f"127.0.0.1:{port}", "a-token", retry=QUICK) as kernel:
            yield kernel
    finally:
        await server.stop(None)


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the deadline that bounds one attempt of an endless method, to what a test can wait for."""
    shorten(monkeypatch, SHORT)


def shorten(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = _methods.method_of

    def quick(request: Message) -> _methods.Method:
        method = real(request)
        return replace(method, default_timeout=seconds) if method.endless else method

    monkeypatch.setattr(_streams, "method_of", quick)


def test_every_endless_method_of_the_protos_is_opened_here() -> None:
    assert set(ENDLESS) == set(OPEN)


@pytest.mark.usefixtures("short_deadlines")
@pytest.mark.parametrize("name", sorted(ENDLESS))
async def test_an_endless_stream_goes_on_after_its_deadline_a_lost_connection_and_a_draining_server(
    name: str,
) -> None:
    follow, event = OPEN[name]
    draining = errors.Unavailable("going", reason="DRAINING", retry_after=0.01)
    script = Script(event, "deadline", "lost", draining, "ok")

    async with kernel_with(script) as kernel, asyncio.timeout(30), aclosing(follow(kernel)) as events:
        seen = [await anext(events) for _ in range(5)]

    assert len(seen) == 5
    assert len(script.requests) == 5


@pytest.mark.parametrize("name", sorted(ENDLESS))
@pytest.mark.parametrize(
    "refusal",
    [
        errors.Unauthenticated("revoked", reason="CREDENTIAL_REVOKED"),
        errors.PermissionDenied("no"),
        errors.AgentInactive("killed"),
        errors.NotFound("gone", reason="FILE_NOT_FOUND"),
        errors.InvalidRequest("bad"),
    ],
    ids=lambda error: error.reason,
)
async def test_an_endless_stream_ends_with_a_refusal_that_is_final(name: str, refusal: AiosError) -> None:
    follow, event = OPEN[name]
    script = Script(event, refusal)

    async with kernel_with(script) as kernel, asyncio.timeout(30), aclosing(follow(kernel)) as events:
        with pytest.raises(type(refusal)) as ended:
            await _drain(events)

    assert ended.value.reason == refusal.reason
    assert len(script.requests) == 1


async def _drain(events: AsyncGenerator[object, None]) -> None:
    async for _ in events:
        pass


@pytest.mark.parametrize("name", sorted(ENDLESS))
async def test_leaving_an_endless_stream_closes_it_at_once(name: str) -> None:
    follow, event = OPEN[name]
    script = Script(event)

    async with kernel_with(script) as kernel, asyncio.timeout(30):
        async with aclosing(follow(kernel)) as events:
            await anext(events)
        await script.left.wait()


async def test_a_watch_of_files_goes_on_where_it_stood() -> None:
    script = Script(OPEN["WatchFiles"][1], "lost")

    async with kernel_with(script) as kernel, asyncio.timeout(30), aclosing(_watch_files(kernel)) as events:
        await anext(events)
        await anext(events)

    asked = [storage_pb2.WatchFilesRequest.FromString(request).after_sequence for request in script.requests]
    assert asked == [0, 7]


async def test_the_callers_own_deadline_ends_a_watch() -> None:
    script = Script(OPEN["WatchSchedule"][1])

    async with kernel_with(script) as kernel, asyncio.timeout(30):
        with pytest.raises(errors.DeadlineExceeded):
            async for _ in kernel.queue.watch(timeout=SHORT):
                pass

    assert len(script.requests) == 1


async def test_a_provider_outlives_the_default_deadline_of_its_stream(
    fake: FakeKernel, agent: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, SHORT)
    agent.tools._transport.policy = replace(agent.tools._transport.policy, window=0.1)

    async with fake.agent("caller") as caller, agent.tools.provide(double) as provider:
        assert (await caller.tools.call("double", {"number": 3})).value == 6
        while fake._recorder.count("TakeCalls") < 3:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.01)
        assert provider.error is None
        assert (await caller.tools.call("double", {"number": 4})).value == 8


async def _serve(kernel: Kernel, fake: FakeKernel, seen: list[str]) -> None:
    """Provide a tool until the kernel refuses, at the second attempt."""
    async with kernel.tools.provide(double):
        fake.fail_next("TakeCalls", errors.AgentInactive("killed"))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise


@pytest.mark.usefixtures("short_deadlines")
async def test_the_block_of_a_provider_that_is_refused_for_good_is_cancelled_and_raises_why(
    fake: FakeKernel, agent: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async with asyncio.timeout(20) as limit:
        with pytest.raises(errors.AgentInactive):
            await _serve(agent, fake, seen)

    assert seen == ["cancelled"]
    assert not limit.expired()
    assert "AGENT_INACTIVE" in caplog.text


@pytest.mark.usefixtures("short_deadlines")
async def test_who_waits_for_a_provider_is_told_why_it_ended(fake: FakeKernel, agent: Kernel) -> None:
    async with asyncio.timeout(30), agent.tools.provide(double) as provider:
        fake.fail_next("TakeCalls", errors.AgentInactive("killed"))
        with pytest.raises(errors.AgentInactive):
            await provider.wait()
        assert isinstance(provider.error, errors.AgentInactive)


async def test_a_cancel_from_outside_is_not_taken_for_the_end_of_the_provider(agent: Kernel) -> None:
    entered = asyncio.Event()

    async def serve() -> None:
        async with agent.tools.provide(double):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(serve())
    await asyncio.wait_for(entered.wait(), 30)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Read it."""
        return self.now


def long_stream(clock: Clock, timeout: float | None = None) -> _streams.LongStream:
    method = _methods.method_of(scheduler_pb2.WatchScheduleRequest())
    return _streams.LongStream(method, RetryPolicy(window=30.0, rng=lambda: 1.0), timeout, clock)


def test_an_outage_is_counted_from_when_the_stream_stood_last_however_quiet_it_was() -> None:
    clock = Clock()
    stream = long_stream(clock)
    stream.begin()
    stream.pause_after(errors.Unavailable("away"))
    stream.begin()
    stream.stands()
    clock.now += 1200.0

    assert stream.pause_after(errors.Unavailable("away")) == pytest.approx(0.1)


def test_an_outage_longer_than_the_window_ends_the_stream_with_what_was_wrong() -> None:
    clock = Clock()
    stream = long_stream(clock)
    stream.begin()
    stream.pause_after(errors.Unavailable("away"))
    clock.now += 30.0

    with pytest.raises(errors.Unavailable):
        stream.pause_after(errors.Unavailable("away"))


def test_the_pauses_between_attempts_grow_up_to_a_bound() -> None:
    stream = long_stream(Clock())

    pauses = [stream.pause_after(errors.Unavailable("away")) for _ in range(8)]

    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0])


def test_a_deadline_of_an_attempt_is_no_end_and_one_of_the_caller_is() -> None:
    clock = Clock()
    forever, bounded = long_stream(clock), long_stream(clock, timeout=10.0)
    clock.now = 10.0

    assert forever.bound_by is _streams.Deadline.ATTEMPT
    assert bounded.bound_by is _streams.Deadline.CALLER
    forever.pause_after(errors.DeadlineExceeded("over"))
    with pytest.raises(errors.DeadlineExceeded):
        bounded.pause_after(errors.DeadlineExceeded("over"))
