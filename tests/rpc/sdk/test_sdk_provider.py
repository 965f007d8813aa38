"""Providers of the SDK: whatever a function does, its caller hears at once what it was."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import aios
from aios import _containment, errors
from aios.api.tool.v1 import tool_pb2 as pb
from aios.calls.provider import REMEMBERED, Provider, _Lease
from aios.kernel import Kernel
from aios.syscalls import run_as_text
from aios.testing import FakeKernel
from aios.toolkit import Tool

CALL = "agents/caller/calls/c1"


class Mute(Exception):
    """An exception whose text cannot be told."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Odd:
    """A value whose own code breaks while it is written."""

    def __iter__(self) -> Iterator[int]:
        raise RuntimeError("broken")


class OddDict(dict[str, int]):
    """A JSON object whose own code breaks while it is written."""

    def items(self) -> Any:
        raise RuntimeError("broken")


def numbers() -> Iterator[int]:
    yield 1


async def later() -> int:
    return 1


async def stream() -> Any:
    yield 1


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


RETURNED: dict[str, tuple[Callable[[], Any], str]] = {
    "more than 1 MiB": (lambda: "x" * 1_048_576, "the result is 1048578 bytes as JSON; the most is 1048576"),
    "more than any message": (lambda: "x" * 5_000_000, "5000002 bytes"),
    "many bytes in few characters": (lambda: "é" * 600_000, "1200002 bytes"),
    "NaN": (lambda: float("nan"), "the result is no JSON"),
    "Infinity inside": (lambda: {"a": [float("inf")]}, "the result is no JSON"),
    "a lone surrogate": (lambda: "a\ud83d", "the result is no JSON"),
    "a lone surrogate as a key": (lambda: {"\udc00": 1}, "the result is no JSON"),
    "a set": (lambda: {1}, "not JSON serializable"),
    "bytes": (lambda: b"x", "not JSON serializable"),
    "an object": (object, "not JSON serializable"),
    "a key that is none": (lambda: {(1, 2): 3}, "keys must be"),
    "a generator": (numbers, "returned a generator"),
    "an asynchronous generator": (stream, "returned a async_generator"),
    "a coroutine": (later, "returned a coroutine"),
    "a circle": (circle, "the result is no JSON"),
    "something too deep": (deep, "the result is no JSON"),
    "an endless number": (lambda: 10**5000, "the result is no JSON"),
    "a value that breaks": (lambda: OddDict(a=1), "broken"),
    "an iterable that breaks": (Odd, "not JSON serializable"),
}

RAISED: dict[str, tuple[BaseException, str]] = {
    "an error": (ValueError("no ink"), "ValueError: no ink"),
    "an error without text": (KeyError(), "KeyError"),
    "an error whose text raises": (Mute(), "Mute: its text cannot be told"),
    "an error with a huge text": (ValueError("x" * 10_000_000), "ValueError: xxx"),
    "an error with a lone surrogate": (ValueError("a\ud83dz"), "ValueError: a?z"),
    "CancelledError": (asyncio.CancelledError(), "CancelledError"),
    "CancelledError with a text": (asyncio.CancelledError("stop"), "CancelledError"),
    "TimeoutError": (TimeoutError("slow"), "TimeoutError: slow"),
    "SystemExit": (SystemExit(3), "SystemExit: 3"),
    "KeyboardInterrupt": (KeyboardInterrupt(), "KeyboardInterrupt"),
    "GeneratorExit": (GeneratorExit(), "GeneratorExit"),
    "StopIteration": (StopIteration(1), "StopIteration"),
    "StopAsyncIteration": (StopAsyncIteration(), "StopAsyncIteration"),
    "an error of the kernel": (errors.NotFound("no note", reason="NOTE_NOT_FOUND"), "no note"),
    "an error with a huge reason": (errors.AiosError("bad", reason="R\ud800" * 200), "bad"),
    "a bare exception": (BaseException("base"), "BaseException: base"),
}


def tool_that(body: Callable[[], Any], *, kind: str) -> Tool:
    """Make a tool that runs a body, as a plain function in a thread or as an asynchronous one."""

    def odd() -> Any:
        """Do something odd."""
        return body()

    async def odd_async() -> Any:
        """Do something odd."""
        return body()

    return Tool(odd if kind == "plain" else odd_async, name="odd")


def raising(error: BaseException) -> Callable[[], Any]:
    def body() -> Any:
        raise error

    return body


async def failure_of(fake: FakeKernel, agent: Kernel, tool: Tool) -> str:
    """Provide a tool, call it, and return what the caller is told; another call works as well."""
    async with fake.agent("caller") as caller, agent.tools.provide(tool) as provider:
        told = []
        for _ in range(2):
            with pytest.raises(errors.ToolFailed) as failed:
                await caller.tools.call("odd", timeout=20)
            told.append(failed.value.message)
        assert provider.error is None
    assert told[0] == told[1]
    return told[0]


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("what", RETURNED)
async def test_a_result_that_cannot_be_told_is_a_failure_that_says_why(
    fake: FakeKernel, agent: Kernel, what: str, kind: str
) -> None:
    make, told = RETURNED[what]

    assert told in await failure_of(fake, agent, tool_that(make, kind=kind))


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("what", RAISED)
async def test_whatever_a_function_raises_is_a_failure_that_says_so(
    fake: FakeKernel, agent: Kernel, what: str, kind: str
) -> None:
    error, told = RAISED[what]
    message = await failure_of(fake, agent, tool_that(raising(error), kind=kind))

    assert told in message
    assert len(message) <= _containment.MAX_ERROR_CHARS


async def test_a_function_that_cancels_its_own_task_fails_alone(fake: FakeKernel, agent: Kernel) -> None:
    async def odd() -> None:
        """Cancel itself."""
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    assert "CancelledError" in await failure_of(fake, agent, Tool(odd))


@pytest.mark.parametrize(
    "refusal",
    [
        errors.RequestTooLarge("4194304 bytes at most"),
        errors.InvalidRequest("result.value_json: is nested too deep"),
        errors.InternalError("a defect"),
    ],
    ids=lambda each: each.reason,
)
async def test_a_result_that_the_kernel_refuses_is_reported_as_a_failure(
    fake: FakeKernel, agent: Kernel, refusal: errors.AiosError
) -> None:
    async def odd() -> int:
        """Return something."""
        return 1

    async with fake.agent("caller") as caller, agent.tools.provide(Tool(odd)):
        fake.fail_next("CompleteCall", refusal)
        with pytest.raises(errors.ToolFailed, match="the kernel refused the result") as failed:
            await caller.tools.call("odd", timeout=20)

    assert refusal.message in failed.value.message


async def test_a_report_that_is_lost_is_sent_again(fake: FakeKernel, agent: Kernel) -> None:
    runs = []

    async def odd() -> int:
        """Count."""
        runs.append(1)
        return len(runs)

    async with fake.agent("caller") as caller, agent.tools.provide(Tool(odd)):
        for _ in range(3):
            fake.fail_next("CompleteCall", errors.Unavailable("gone"))
        result = await caller.tools.call("odd", timeout=30)

    assert result.value == 1


@pytest.mark.parametrize("ahead", [-600.0, 0.0, 600.0])
async def test_a_provider_whose_clock_is_wrong_keeps_its_calls(
    fake: FakeKernel, agent: Kernel, ahead: float
) -> None:
    fake._tools.lease_seconds, fake._tools.clock_ahead = 0.9, ahead

    async def odd() -> int:
        """Run until the kernel has seen it alive twice."""
        async with asyncio.timeout(20):
            while not fake._tools.beats or min(fake._tools.beats.values()) < 2:  # noqa: ASYNC110 - another task
                await asyncio.sleep(0.01)
        return 1

    async with fake.agent("caller") as caller, agent.tools.provide(Tool(odd)):
        assert (await caller.tools.call("odd", timeout=30)).value == 1


@pytest.mark.parametrize("ahead", [-600.0, 600.0])
async def test_the_length_of_a_lease_is_what_the_kernel_says_whatever_its_clock(ahead: float) -> None:
    call = pb.TakenCall()
    call.lease_left.FromMilliseconds(30_000)
    call.lease_expire_time.GetCurrentTime()
    call.lease_expire_time.seconds += 30 + int(ahead)

    assert 29 < _Lease(call).left <= 30


async def test_a_sign_of_life_that_fails_is_given_again(fake: FakeKernel, agent: Kernel) -> None:
    fake._tools.lease_seconds = 0.6

    async def odd() -> int:
        """Run until the kernel has seen it alive."""
        async with asyncio.timeout(20):
            while not fake._tools.beats:  # noqa: ASYNC110 - another task
                await asyncio.sleep(0.01)
        return 1

    async with fake.agent("caller") as caller, agent.tools.provide(Tool(odd)):
        fake.fail_next("ReportCallProgress", errors.InternalError("a defect"))
        assert (await caller.tools.call("odd", timeout=30)).value == 1


async def test_a_call_whose_lease_is_lost_is_stopped(fake: FakeKernel, agent: Kernel) -> None:
    fake._tools.lease_seconds = 0.6
    stopped = asyncio.Event()

    async def odd() -> None:
        """Run until it is stopped."""
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async with fake.agent("caller") as caller, agent.tools.provide(Tool(odd)):
        fake.fail_next("ReportCallProgress", errors.Conflict("not yours", reason="CALL_LEASE_LOST"))
        calling = asyncio.create_task(caller.tools.call("odd", timeout=30))
        await asyncio.wait_for(stopped.wait(), 20)
        calling.cancel()
        await asyncio.wait({calling})


async def test_the_calls_of_a_provider_that_stops_end_at_once(fake: FakeKernel, agent: Kernel) -> None:
    begun = asyncio.Event()

    async def odd() -> None:
        """Take long."""
        begun.set()
        await asyncio.sleep(60)

    async with fake.agent("caller") as caller:
        async with agent.tools.provide(Tool(odd)):
            calling = asyncio.create_task(caller.tools.call("odd", timeout=30))
            await asyncio.wait_for(begun.wait(), 20)
        with pytest.raises(errors.ToolFailed, match="stopped before the tool had ended"):
            await calling


class Bench:
    """A provider without a kernel, to hand calls to."""

    def __init__(self, agent: Kernel, tool: Tool) -> None:
        self.provider = Provider(agent.tools._transport, [tool], capacity=4, instance="")

    def hand(self, lease: str) -> None:
        """Send it a call."""
        call = pb.TakenCall(call=CALL, lease_id=lease, tool="tools/odd", arguments_json="{}")
        call.lease_left.FromMilliseconds(60_000)
        self.provider._handle(pb.TakeCallsResponse(call=call))

    async def idle(self) -> None:
        """Wait until it works on nothing."""
        while self.provider._running:
            await asyncio.wait(self.provider._running.values())


async def test_a_call_that_is_sent_twice_is_run_once(agent: Kernel) -> None:
    runs = []

    async def odd() -> int:
        """Count."""
        runs.append(1)
        return 1

    bench = Bench(agent, Tool(odd))
    for _ in range(3):
        bench.hand("l1")
    await bench.idle()
    bench.hand("l1")  # the kernel missed its report, and sends it once more
    await bench.idle()
    bench.hand("l2")
    await bench.idle()

    assert len(runs) == 2
    assert len(bench.provider._done) <= REMEMBERED


async def test_each_stream_tells_who_it_is_and_what_is_in_hand(agent: Kernel) -> None:
    release = asyncio.Event()

    async def odd() -> None:
        """Run until it is let go."""
        await release.wait()

    bench, other = Bench(agent, Tool(odd)), Bench(agent, Tool(odd))
    first = bench.provider._taking_up()
    bench.hand("l1")
    second = bench.provider._taking_up()
    release.set()
    await bench.idle()
    third = bench.provider._taking_up()

    assert first.process_id == second.process_id == third.process_id != ""
    assert other.provider._taking_up().process_id != first.process_id
    assert [list(each.held) for each in (first, second, third)] == [
        [],
        [pb.HeldCall(call=CALL, lease_id="l1")],
        [],
    ]


# What runs in the agent's own process


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("what", RAISED)
async def test_whatever_a_local_tool_raises_the_model_reads_it(what: str, kind: str) -> None:
    error, _ = RAISED[what]
    text = await run_as_text(tool_that(raising(error), kind=kind), {})

    assert text.startswith("error: ")
    assert text.encode()
    assert len(text) <= _containment.MAX_ERROR_CHARS + 100


@pytest.mark.parametrize(
    "what", ["a generator", "an asynchronous generator", "a coroutine", "more than 1 MiB"]
)
async def test_a_local_tools_result_that_is_none_is_an_error(what: str) -> None:
    make, _ = RETURNED[what]
    body = (lambda: f"{make()}xx") if what == "more than 1 MiB" else make
    text = await run_as_text(tool_that(body, kind="plain"), {})

    assert text.startswith("error: the ")


async def test_a_local_tools_text_can_always_be_sent() -> None:
    text = await run_as_text(tool_that(lambda: "a\ud83dz", kind="plain"), {})

    assert text == "a?z"


async def test_who_cancels_the_caller_cancels_the_work() -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    task = asyncio.create_task(_containment.contained(work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert stopped.is_set()


async def test_a_plain_result_is_told_as_it_is(fake: FakeKernel, agent: Kernel) -> None:
    @aios.tool
    def odd() -> Any:
        """Return all there is."""
        return {"a": [1, 2.5, None, True, "é", 2**60]}

    async with fake.agent("caller") as caller, agent.tools.provide(odd):
        value = (await caller.tools.call("odd")).value

    assert value == {"a": [1, 2.5, None, True, "é", 2**60]}
    assert json.loads(_containment.as_json(value)) == value
