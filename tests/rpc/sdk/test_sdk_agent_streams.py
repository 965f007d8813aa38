"""What a run tells while it goes on, and runs without an event loop; against a fake kernel."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import aios
from aios import errors
from aios.agent import (
    HandedOff,
    RunEnded,
    RunEvent,
    RunText,
    StepEnded,
    ToolEnded,
    ToolStarted,
    UsageUpdated,
)
from aios.kernel import Kernel
from aios.sync import SyncKernel
from aios.sync.portal import Portal
from aios.testing import FakeKernel


@aios.tool
async def shout(text: str) -> str:
    """Say something loudly."""
    return text.upper()


@aios.tool
def fail() -> None:
    """Fail."""
    raise RuntimeError("broken")


class Worker(aios.Agent):
    tools = (shout, fail)


@dataclass
class City:
    name: str


def scripted(fake: FakeKernel) -> None:
    fake.reply("calling", tool_calls=[("shout", {"text": "a"}), ("fail", {})])
    fake.reply("It is A.")


def check(events: list[RunEvent]) -> None:
    """Check the events of the scripted run."""
    kinds = [type(event) for event in events]
    assert kinds == [
        RunText,
        UsageUpdated,
        ToolStarted,
        ToolStarted,
        ToolEnded,
        ToolEnded,
        StepEnded,
        RunText,
        RunText,
        RunText,
        UsageUpdated,
        StepEnded,
        RunEnded,
    ]
    ended = {event.run.name: event for event in events if isinstance(event, ToolEnded)}
    assert (ended["shout"].run.result, ended["shout"].error) == ("A", None)
    assert isinstance(ended["fail"].error, RuntimeError)
    assert ended["fail"].run.failed
    usages = [event for event in events if isinstance(event, UsageUpdated)]
    assert [event.requests for event in usages] == [1, 2]
    last = events[-1]
    assert isinstance(last, RunEnded)
    assert last.result.text == "It is A."
    assert last.result.usage == usages[-1].usage
    assert {event.agent for event in events} == {"worker"}


async def test_a_stream_tells_text_tools_usage_and_the_result(fake: FakeKernel, agent: Kernel) -> None:
    scripted(fake)

    check([event async for event in Worker(agent).stream("x")])


async def test_a_stream_gives_its_texts_and_its_result(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("one two")
    async with Worker(agent).stream("x") as stream:
        assert [text async for text in stream.texts()] == ["one ", "two"]
        assert (await stream.result()).output == "one two"


async def test_a_stream_that_is_left_cancels_the_tools_that_run(fake: FakeKernel, agent: Kernel) -> None:
    ended = asyncio.Event()

    @aios.tool
    async def forever() -> None:
        """Wait."""
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    fake.reply(tool_calls=[("forever", {}), ("shout", {"text": "a"})])
    async with aios.Agent(agent, tools=[forever, shout]).stream("x") as stream:
        async for event in stream:
            if isinstance(event, ToolEnded):
                break

    assert ended.is_set()
    with pytest.raises(errors.PreconditionFailed, match="left before its end"):
        await stream.result()


async def test_a_stream_that_is_left_cancels_the_models_call(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("one two three")
    stream = Worker(agent).stream("x")
    first = await anext(stream)
    await stream.aclose()

    assert first == RunText(agent="worker", step=0, text="one ")
    assert [event async for event in stream] == []


async def test_a_handoff_is_an_event(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply(tool_calls=[("transfer_to_worker", {})])
    fake.reply("Done.")

    events = [event async for event in aios.Agent(agent, handoffs=[Worker]).stream("x")]

    assert [event.to for event in events if isinstance(event, HandedOff)] == ["worker"]


@pytest.fixture
def served() -> Iterator[tuple[FakeKernel, SyncKernel]]:
    with (
        Portal() as portal,
        portal.entered(FakeKernel()) as fake,
        aios.connect_sync(fake.endpoint, fake.admin_token) as kernel,
    ):
        yield fake, kernel.as_agent(kernel.agents.register("clerk"))


def test_an_agent_runs_without_an_event_loop(served: tuple[FakeKernel, SyncKernel]) -> None:
    fake, kernel = served
    fake.reply('{"name": "Paris"}')
    scripted(fake)

    assert aios.Agent(kernel, output_type=City).run_sync("x").output == City("Paris")
    check(list(Worker(kernel).stream_sync("x")))


def test_a_synchronous_stream_is_left_and_finished(served: tuple[FakeKernel, SyncKernel]) -> None:
    fake, kernel = served
    fake.reply("one two three")
    fake.reply("four five")
    with Worker(kernel).stream_sync("x") as stream:
        for text in stream.texts():
            assert text == "one "
            break
    stream = Worker(kernel).stream_sync("x")

    assert list(stream.texts()) == ["four ", "five"]
    assert stream.result().text == "four five"


def test_a_tool_of_an_agent_without_an_event_loop_may_use_the_synchronous_kernel(
    served: tuple[FakeKernel, SyncKernel],
) -> None:
    fake, kernel = served

    def note(text: str) -> str:
        kernel.memory.put("note", text)
        return kernel.memory.get("note").content

    fake.reply(tool_calls=[("note", {"text": "tea"})])
    fake.reply("Noted.")

    assert aios.Agent(kernel, tools=[note]).run_sync("x").tool_runs[0].result == "tea"


async def test_the_wrong_twin_says_which_is_the_right_one(fake: FakeKernel, agent: Kernel) -> None:
    with pytest.raises(RuntimeError, match="connect_sync"):
        Worker(agent).run_sync("x")
    kernel = await asyncio.to_thread(aios.connect_sync, fake.endpoint, fake.admin_token)
    with pytest.raises(RuntimeError, match="run_sync"):
        await Worker(kernel).run("x")
    await asyncio.to_thread(kernel.close)


def test_the_synchronous_kernel_works_where_an_event_loop_runs_as_in_a_notebook(
    served: tuple[FakeKernel, SyncKernel],
) -> None:
    fake, kernel = served
    fake.reply("Hello.")

    async def cell() -> str:
        return Worker(kernel).run_sync("x").text

    assert asyncio.run(cell()) == "Hello."
