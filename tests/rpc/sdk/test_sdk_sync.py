"""The synchronous twin: equal to the asynchronous surface, and working."""

import asyncio
import inspect
import runpy
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aios
from aios import errors
from aios.kernel import Kernel
from aios.sync import SyncKernel
from aios.sync.portal import Portal
from aios.testing import FakeKernel

TOOLS = Path(__file__).parents[3] / "sdk" / "python" / "tools"


@pytest.fixture
def fake() -> Iterator[FakeKernel]:
    with Portal() as portal, portal.entered(FakeKernel()) as kernel:
        yield kernel


@pytest.fixture
def agent(fake: FakeKernel) -> Iterator[SyncKernel]:
    with aios.connect_sync(fake.endpoint, fake.admin_token) as kernel:
        yield kernel.as_agent(kernel.agents.register("planner"))


def test_the_generated_modules_are_up_to_date() -> None:
    generator = runpy.run_path(str(TOOLS / "generate_sync.py"))

    for area in generator["CLASSES"]:
        committed = (generator["SOURCE"] / "sync" / f"{area}.py").read_text()
        assert committed == generator["render"](area), f"run sdk/python/tools/generate_sync.py ({area})"


def test_both_kernels_have_the_same_calls_with_the_same_arguments(fake: FakeKernel) -> None:
    async def areas() -> dict[str, Any]:
        async with fake.connect() as kernel:
            return {name: type(area) for name, area in vars(kernel).items() if not name.startswith("_")}

    with aios.connect_sync(fake.endpoint, fake.admin_token) as twin:
        for name, kind in asyncio.run(areas()).items():
            other = type(getattr(twin, name))
            assert _surface(kind) == _surface(other)
    assert _public(Kernel) == _public(SyncKernel)


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def _surface(kind: type) -> dict[str, list[str]]:
    return {name: list(inspect.signature(getattr(kind, name)).parameters) for name in _public(kind)}


def test_calls_streams_and_lists_work(fake: FakeKernel, agent: SyncKernel) -> None:
    fake.reply("one two")

    assert [event.text for event in agent.llm.stream("x") if event.text] == ["one ", "two"]
    assert agent.llm.chat("hi").text == "echo: hi"
    assert agent.llm.stream("hi").answer().text == "echo: hi"
    assert list(agent.llm.stream("a b").texts()) == ["echo: ", "a ", "b"]
    agent.memory.put("k", "v")
    assert [note.key for note in agent.memory.list()] == ["k"]
    assert next(agent.agents.watch()).agent.id == "planner"
    agent.files.write("f", b"abc")
    assert b"".join(agent.files.stream("f")) == b"abc"


def test_errors_are_the_same(agent: SyncKernel) -> None:
    with pytest.raises(errors.NotFound):
        agent.memory.get("missing")


def test_a_stream_can_be_left_early(agent: SyncKernel) -> None:
    with agent.llm.stream("a b c") as stream:
        for event in stream:
            if event.text:
                break

    assert agent.llm.chat("next").text == "echo: next"


@aios.tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def test_tools_can_be_provided(agent: SyncKernel) -> None:
    with agent.tools.provide(double):
        assert agent.tools.call("double", {"number": 4}).value == 8


def _provide_until_it_ends(agent: SyncKernel) -> None:
    with agent.tools.provide(double) as provider:
        while provider.error is None:
            time.sleep(0.01)


def test_the_block_of_a_provider_that_was_refused_raises_why(fake: FakeKernel, agent: SyncKernel) -> None:
    fake.fail_next("TakeCalls", errors.Unavailable("gone"), after=1)
    fake.fail_next("TakeCalls", errors.AgentInactive("killed"), after=1)

    with pytest.raises(errors.AgentInactive):
        _provide_until_it_ends(agent)


def test_several_threads_share_a_kernel(agent: SyncKernel) -> None:
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(agent.llm.chat("x").text)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert answers == ["echo: x"] * 4


def test_branches_and_gangs_work_without_an_event_loop(agent: SyncKernel) -> None:
    agent.contexts.create("trip", "Which way?")
    best = agent.branches.best_of("trip", 2, lambda answer: len(answer.text))
    both = agent.llm.gather(["a", "b"])

    assert best.answer.text == "echo: Which way?"
    assert [answer.text for answer in both] == ["echo: a", "echo: b"]
