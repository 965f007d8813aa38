"""The agent loop against a fake kernel."""

import json

import pytest

import aios
from aios import errors
from aios.agent import Step
from aios.kernel import Kernel
from aios.testing import FakeKernel


@aios.tool
def shout(text: str, times: int = 1) -> str:
    """Say something loudly. Twice if you like."""
    return " ".join([text.upper()] * times)


@aios.tool
def fail(text: str) -> str:
    """Fail."""
    raise RuntimeError(f"cannot {text}")


@aios.tool
def calculator(expression: str) -> dict[str, float]:
    """Add two numbers."""
    left, right = expression.split("+")
    return {"result": float(left) + float(right)}


class Worker(aios.Agent):
    system = "You are a worker."
    tools = (shout, fail, "remember", "recall", "write_file", "read_file", "calculator")


async def test_a_task_without_tools_is_one_answer(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("Done.")

    result = await Worker(agent).run("Do it.")

    assert str(result) == "Done."
    assert result.finish_reason == "done"
    assert [message.role for message in result.messages] == ["user", "assistant"]


async def test_tools_run_at_once_and_their_results_go_back_in_order(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply(tool_calls=[("shout", {"text": "hi", "times": 2}), ("remember", {"key": "k", "value": "v"})])
    fake.reply(tool_calls=[("recall", {"key": "k"})])
    fake.reply("The note says v.")
    steps: list[Step] = []

    result = await Worker(agent, on_step=steps.append).run("Work.")

    assert [(run.name, run.result) for run in result.tool_runs] == [
        ("shout", "HI HI"),
        ("remember", "ok"),
        ("recall", "v"),
    ]
    assert steps == list(result.steps)
    asked = [call.request for call in fake.calls if call.method == "Generate"]
    assert [request["step"] for request in asked] == [0, 1, 2]
    assert [m["content"] for m in asked[1]["messages"] if m["role"] == "ROLE_TOOL"] == ["HI HI", "ok"]
    assert asked[1]["messages"][0]["content"] == "You are a worker."


async def test_failures_of_tools_are_told_to_the_model(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply(
        tool_calls=[
            ("fail", {"text": "jump"}),
            ("shout", {"volume": 3}),
            ("nothing", {}),
            ("recall", {"key": "missing"}),
            ("recall", {"key": "secret", "agent": "critic"}),
            ("read_file", {"path": "no.txt"}),
        ]
    )
    fake.reply("I could not.")

    result = await Worker(agent).run("Try.")

    assert [run.result for run in result.tool_runs] == [
        "error: cannot jump",
        "error: shout: text: is missing; volume: is unknown",
        "error: unknown tool nothing",
        "error: no such note",
        "error: permission denied",
        "error: file not found",
    ]


async def test_a_granted_note_of_another_agent_can_be_recalled(fake: FakeKernel, agent: Kernel) -> None:
    async with fake.agent("critic") as critic:
        await critic.memory.put("verdict", "good")
    fake.grant("critic", "planner")
    fake.reply(tool_calls=[("recall", {"key": "verdict", "agent": "critic"})])
    fake.reply("It is good.")

    result = await Worker(agent).run("What did critic say?")

    assert result.tool_runs[0].result == "good"


async def test_files_are_written_and_read_by_tools(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply(tool_calls=[("write_file", {"path": "a/b.txt", "content": "tea"})])
    fake.reply(tool_calls=[("read_file", {"path": "a/b.txt"})])
    fake.reply("Tea.")

    result = await Worker(agent).run("Write and read.")

    assert [run.result for run in result.tool_runs] == ["ok", "tea"]
    assert await agent.files.read_text("a/b.txt") == "tea"


async def test_a_kernel_tool_is_called_by_name_and_its_result_is_plain(
    fake: FakeKernel, agent: Kernel
) -> None:
    fake.add_tool(calculator)
    fake.reply(tool_calls=[("calculator", {"expression": "12+7"})])
    fake.reply("19.")

    result = await Worker(agent).run("12+7?")

    assert result.tool_runs[0].result == "19"


async def test_the_standard_tools_have_their_documented_signatures(fake: FakeKernel, agent: Kernel) -> None:
    class All(aios.Agent):
        tools = (
            "calculator",
            "clock",
            "convert_units",
            "search_files",
            "remember",
            "recall",
            "write_file",
            "read_file",
        )

    fake.reply("ok")
    await All(agent).run("hello")

    (sent,) = [call.request for call in fake.calls if call.method == "Generate"]
    assert {tool["name"]: _signature(tool["parameters_schema_json"]) for tool in sent["tools"]} == {
        "calculator": "expression: string",
        "clock": "",
        "convert_units": "value: number, from: string, to: string",
        "search_files": "query: string",
        "remember": "key: string, value: string",
        "recall": "key: string, agent?: string",
        "write_file": "path: string, content: string",
        "read_file": "path: string",
    }


def _signature(schema: str) -> str:
    form = json.loads(schema)
    return ", ".join(
        f"{name}{'' if name in form['required'] else '?'}: {kind['type']}"
        for name, kind in form["properties"].items()
    )


async def test_a_registered_tool_is_looked_up_by_name(fake: FakeKernel, agent: Kernel) -> None:
    class Caller(aios.Agent):
        tools = ("shout",)

    fake.add_tool(shout)
    fake.reply(tool_calls=[("shout", {"text": "a"})])
    fake.reply("A")

    result = await Caller(agent).run("shout a")

    assert result.tool_runs[0].result == "A"
    with pytest.raises(errors.NotFound):
        await type("Bad", (aios.Agent,), {"tools": ("absent",)})(agent).run("x")


async def test_a_run_stops_at_its_step_limit(fake: FakeKernel, agent: Kernel) -> None:
    class Loop(aios.Agent):
        tools = (shout,)
        max_steps = 2

    for _ in range(2):
        fake.reply("again", tool_calls=[("shout", {"text": "a"})])

    result = await Loop(agent).run("loop")

    assert result.finish_reason == "max_steps"
    assert len(result.steps) == 2
    assert result.usage.completion_tokens == 2


async def test_arguments_that_are_no_object_are_an_error_for_the_model(
    fake: FakeKernel, agent: Kernel
) -> None:
    fake.reply(tool_calls=[("shout", [1])])  # type: ignore[list-item]
    fake.reply("ok")

    result = await Worker(agent).run("x")

    assert result.tool_runs[0].result.startswith("error: the arguments are no JSON object")
