"""`aios.AllTools`: an agent reaches every tool of the kernel, and its model is shown a bounded part."""

from typing import Any

import pytest

import aios
from aios.kernel import Kernel
from aios.testing import FakeKernel


def numbered(number: int) -> aios.Tool:
    async def run(text: str) -> str:
        return f"{number}: {text}"

    return aios.Tool(run, name=f"tool_{number}", description=f"Does number{number}.\nAt length.")


@aios.tool
async def mine(text: str) -> str:
    """Do it here."""
    return text


class Worker(aios.Agent):
    tools = (mine, aios.AllTools(shown=3))


def shown(fake: FakeKernel) -> list[list[str]]:
    """Return the names of the tools of each Generate."""
    sent = [call.request for call in fake.calls if call.method == "Generate"]
    return [[tool["name"] for tool in request["tools"]] for request in sent]


@pytest.fixture
async def many(fake: FakeKernel) -> FakeKernel:
    for number in range(9):
        fake.add_tool(numbered(number))
    return fake


async def test_a_few_tools_are_shown_as_they_are(fake: FakeKernel, agent: Kernel) -> None:
    for number in range(3):
        fake.add_tool(numbered(number))
    fake.reply("done")
    await Worker(agent).run("number1")

    assert shown(fake) == [["mine", "tool_0", "tool_1", "tool_2"]]


async def test_of_many_those_that_fit_are_shown_and_the_others_are_found_and_then_called(
    many: FakeKernel, agent: Kernel
) -> None:
    many.reply(tool_calls=[("search_tools", {"words": "number7"})])
    many.reply(tool_calls=[("describe_tool", {"name": "tool_7"})])
    many.reply(tool_calls=[("tool_7", {"text": "x"})])
    many.reply("done")
    result = await Worker(agent).run("number1")

    search, described, called = (run.result for run in result.tool_runs)
    assert search == "tool_7: Does number7."
    assert '"parameters":' in described.replace(" ", "")
    assert called == "7: x"
    first, *_, last = shown(many)
    assert first == ["mine", "search_tools", "describe_tool", "tool_1"]
    assert last == [*first, "tool_7"]


async def test_no_registered_tool_takes_the_place_of_an_own_one_or_of_the_search(
    many: FakeKernel, agent: Kernel
) -> None:
    for name in ("mine", "search_tools", "describe_tool"):

        async def other(text: str) -> str:
            return f"theirs {text}"

        many.add_tool(aios.Tool(other, name=name, description="Does number1."))
    many.reply(tool_calls=[("describe_tool", {"name": "mine"})])
    many.reply(tool_calls=[("mine", {"text": "x"})])
    many.reply("done")
    result = await Worker(agent).run("number1")

    assert result.tool_runs[1].result == "x"
    assert shown(many)[-1].count("mine") == 1
    assert shown(many)[-1].count("search_tools") == 1


async def test_what_cannot_be_described_is_an_error_for_the_model(many: FakeKernel, agent: Kernel) -> None:
    calls: Any = [("describe_tool", {"name": "nowhere"}), ("search_tools", {"words": "unheard-of"})]
    many.reply(tool_calls=calls)
    many.reply("done")
    result = await Worker(agent).run("number1")

    assert [run.result for run in result.tool_runs] == ["error: not found", "nothing found: try other words"]
