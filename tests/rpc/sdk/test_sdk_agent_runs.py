"""What a run of an agent returns, what it is given, and what bounds it; against a fake kernel."""

import asyncio
import json
import logging
import threading
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import pydantic
import pytest

import aios
from aios import errors
from aios.agent import Retried, ToolRun
from aios.kernel import Kernel
from aios.testing import FakeKernel


@dataclass
class City:
    name: str
    people: int


class Trip(TypedDict):
    to: str


class Wheel(pydantic.BaseModel):
    inches: int = pydantic.Field(gt=0)


@aios.tool
def shout(text: str) -> str:
    """Say something loudly."""
    return text.upper()


class Geographer(aios.Agent[None, City]):
    system = "You know cities."


class Traveller(aios.Agent[None, City]):
    tools = (shout,)


def asked(fake: FakeKernel, method: str = "Generate") -> list[dict[str, Any]]:
    found = [call.request for call in fake.calls if call.method == method]
    return [request.get("generation", request) for request in found]


def told(request: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"].removeprefix("ROLE_"), message["content"]) for message in request["messages"]]


PARIS = '{"name": "Paris", "people": 2100000}'


async def test_the_output_is_forced_into_its_form_and_read(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply(PARIS)

    result = await Geographer(agent).run("Paris?")

    assert result.output == City("Paris", 2_100_000)
    assert result.text == PARIS
    (request,) = asked(fake)
    schema = json.loads(request["constraint"]["json_schema"])
    assert list(schema["properties"]) == ["name", "people"]
    role, system = told(request)[0]
    assert role == "SYSTEM"
    assert system.startswith("You know cities.\n\nYour final answer is one JSON value")
    assert [message.role for message in result.messages] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("output_type", "said", "output"),
    [
        (int, '{"result": 7}', 7),
        (int, "7", 7),
        (list[Trip], '{"result": [{"to": "Rome"}]}', [{"to": "Rome"}]),
        (Wheel, '```json\n{"inches": 28}\n```', Wheel(inches=28)),
        (dict[str, int], '{"result": {"a": 1}}', {"a": 1}),
        (bool, '{"result": true}', True),
    ],
)
async def test_plain_types_models_and_lists_are_outputs(
    fake: FakeKernel, agent: Kernel, output_type: Any, said: str, output: Any
) -> None:
    fake.reply(said)

    assert (await aios.Agent(agent, output_type=output_type).run("x")).output == output


async def test_the_output_type_may_be_written_as_a_type_argument(fake: FakeKernel, agent: Kernel) -> None:
    for said in ('{"result": "red"}', '{"result": null}'):
        fake.reply(said)
    colours = aios.Agent[None, Literal["red", "blue"] | None](agent)

    assert (await colours.run("x")).output == "red"
    assert (await colours.run("x")).output is None


async def test_an_output_that_misfits_is_repaired_and_names_the_field(
    fake: FakeKernel, agent: Kernel
) -> None:
    fake.reply('{"name": "Paris", "people": "many"}')
    fake.reply(PARIS)

    result = await Geographer(agent).run("Paris?")

    assert result.output.people == 2_100_000
    role, problem = told(asked(fake)[1])[-1]
    assert role == "USER"
    assert "people: 'many' is not an integer" in problem


async def test_a_model_whose_output_misfits_may_not_evade_into_tools(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply('{"tool_calls": [{"name": "shout", "argum', finish_reason="length")
    fake.reply(PARIS)

    assert (await Traveller(agent).run("x")).output.name == "Paris"
    assert [request["tool_choice"] for request in asked(fake)] == ["TOOL_CHOICE_AUTO", "TOOL_CHOICE_NONE"]


async def test_repairs_are_bounded_and_then_it_is_an_error_with_the_conversation(
    fake: FakeKernel, agent: Kernel
) -> None:
    for _ in range(3):
        fake.reply("no idea")

    with pytest.raises(errors.OutputInvalid, match="it is no JSON") as caught:
        await Geographer(agent).run("Paris?")

    assert caught.value.metadata["text"] == "no idea"
    assert [message.role for message in caught.value.messages] == [
        "user",
        *["assistant", "user"] * 2,
        "assistant",
    ]


async def test_no_retries_means_none(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("no idea")

    with pytest.raises(errors.OutputInvalid):
        await Geographer(agent, retries=0).run("Paris?")


async def test_a_run_that_calls_tools_to_the_end_has_no_output(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply(tool_calls=[("shout", {"text": "a"})])

    with pytest.raises(errors.OutputInvalid, match="max_steps") as caught:
        await Traveller(agent, max_steps=1).run("x")

    assert caught.value.metadata["finish_reason"] == "max_steps"


async def test_a_backend_that_cannot_force_beside_tools_forces_the_last_answer(
    fake: FakeKernel, agent: Kernel
) -> None:
    fake.fail_next("Generate", errors.Unimplemented("no choice", reason="CAPABILITY_MISSING"))
    fake.reply(tool_calls=[("shout", {"text": "a"})])
    fake.reply("Paris has two million people.")
    fake.reply(PARIS)

    result = await Traveller(agent, retries=0).run("x")

    assert result.output.name == "Paris"
    forced = [
        ("constraint" in request and bool(request["constraint"]), request["tool_choice"])
        for request in asked(fake)
    ]
    auto, none = "TOOL_CHOICE_AUTO", "TOOL_CHOICE_NONE"
    assert forced == [(True, auto), (False, auto), (False, auto), (True, none)]


async def test_a_backend_that_can_force_nothing_is_asked_in_words(fake: FakeKernel, agent: Kernel) -> None:
    for _ in range(2):
        fake.fail_next("Generate", errors.Unimplemented("no forms", reason="CAPABILITY_MISSING"))
    fake.reply("Well: Paris.")
    fake.reply(PARIS)

    result = await Geographer(agent).run("x")

    assert result.output.name == "Paris"
    assert not asked(fake)[-1].get("constraint")


async def test_a_call_that_nobody_could_read_is_asked_for_again(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply('<tool_call>{"name": "shout", "arguments": {"text": </tool_call>')
    fake.reply(tool_calls=[("shout", {"text": "a"})])
    fake.reply("A!")

    result = await aios.Agent(agent, tools=[shout]).run("shout a")

    assert (result.text, result.finish_reason) == ("A!", "done")
    assert "could not be read" in told(asked(fake)[1])[-1][1]


async def test_a_call_that_nobody_can_read_never_ends_a_run_as_done(fake: FakeKernel, agent: Kernel) -> None:
    for _ in range(3):
        fake.reply("I will <tool_call>shout a</tool_call>")

    result = await aios.Agent(agent, tools=[shout]).run("shout a")

    assert result.finish_reason == "unparsed_tool_call"
    assert len(result.steps) == 3


async def test_a_call_that_is_quoted_as_code_is_text(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("Calls stand between `<tool_call>` and `</tool_call>`.")

    assert (await aios.Agent(agent).run("How?")).finish_reason == "done"


async def test_an_answer_that_was_cut_is_told_from_a_whole_one(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("and then", finish_reason="length")

    assert (await aios.Agent(agent).run("x")).finish_reason == "length"


async def test_a_conversation_is_continued_from_the_messages_of_a_result(
    fake: FakeKernel, agent: Kernel
) -> None:
    clerk = aios.Agent(agent, system="Be brief.")
    fake.reply("Hello Amy.")
    first = await clerk.run("I am Amy.")
    fake.reply("Amy.")
    second = await clerk.run("Who am I?", history=first.messages)

    assert told(asked(fake)[1]) == [
        ("SYSTEM", "Be brief."),
        ("USER", "I am Amy."),
        ("ASSISTANT", "Hello Amy."),
        ("USER", "Who am I?"),
    ]
    assert [message.content for message in second.new_messages] == ["Who am I?", "Amy."]
    assert len(second.messages) == 4
    with pytest.raises(ValueError, match="not both"):
        await clerk.run("x", history=first.messages, context="c")


class Critic(aios.Agent):
    description = "Judges texts."
    system = "You judge."
    tools = (shout,)


class Writer(aios.Agent):
    system = "You write."
    handoffs = (Critic,)


async def test_a_handoff_goes_on_with_the_other_agents_system_and_tools(
    fake: FakeKernel, agent: Kernel
) -> None:
    fake.reply(tool_calls=[("transfer_to_critic", {"reason": "done"}), ("transfer_to_critic", {})])
    fake.reply(tool_calls=[("shout", {"text": "good"})])
    fake.reply("It is GOOD.")

    result = await Writer(agent).run("Write.")

    assert (result.agent, result.text) == ("critic", "It is GOOD.")
    assert [step.agent for step in result.steps] == ["writer", "critic", "critic"]
    assert [run.result for run in result.tool_runs] == [
        "critic takes over: done",
        "error: the conversation was handed over already",
        "GOOD",
    ]
    first, second, _ = asked(fake)
    assert [tool["name"] for tool in first["tools"]] == ["transfer_to_critic"]
    assert "Judges texts." in first["tools"][0]["description"]
    assert [tool["name"] for tool in second["tools"]] == ["shout"]
    assert told(second)[:2] == [("SYSTEM", "You judge."), ("USER", "Write.")]


async def test_a_handoff_to_an_agent_of_the_kernel_acts_with_its_rights(
    fake: FakeKernel, agent: Kernel
) -> None:
    async with fake.agent("judge") as judge:
        fake.reply(tool_calls=[("transfer_to_critic", {})])
        fake.reply(tool_calls=[("remember", {"key": "verdict", "value": "good"})])
        fake.reply("Noted.")
        await Writer(agent, handoffs=[Critic(judge, tools=["remember"])]).run("Write.")

        assert (await judge.memory.get("verdict")).content == "good"


async def test_an_agent_is_a_tool_of_another_and_counts_on_its_limits(
    fake: FakeKernel, agent: Kernel
) -> None:
    asker = aios.Agent(agent, tools=[Geographer(agent, description="Knows cities.").as_tool()])
    for _ in range(2):
        fake.reply(tool_calls=[("geographer", {"task": "Paris?"})])
        fake.reply(PARIS)
        fake.reply("Two million.")

    result = await asker.run("How big is Paris?")

    assert json.loads(result.tool_runs[0].result) == {"name": "Paris", "people": 2_100_000}
    with pytest.raises(errors.UsageLimitExceeded) as caught:
        await asker.run("How big is Paris?", limits=aios.UsageLimits(requests=2))
    assert caught.value.metadata == {"limit": "requests", "most": "2"}
    assert [message.role for message in caught.value.messages] == ["user", "assistant", "tool"]
    assert (await agent.llm.chat("x")).text == "Two million."  # what the run did not ask for any more


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (aios.UsageLimits(requests=1), "requests"),
        (aios.UsageLimits(tool_calls=1), "tool_calls"),
        (aios.UsageLimits(completion_tokens=1), "completion_tokens"),
        (aios.UsageLimits(prompt_tokens=1), "prompt_tokens"),
        (aios.UsageLimits(total_tokens=2), "total_tokens"),
    ],
)
async def test_a_run_that_needs_more_than_it_may_use_ends_before_it_does(
    fake: FakeKernel, agent: Kernel, limits: aios.UsageLimits, name: str
) -> None:
    runs: list[str] = []

    def note(text: str) -> str:
        runs.append(text)
        return "noted"

    fake.reply("calling", tool_calls=[("note", {"text": "a"}), ("note", {"text": "b"})])

    with pytest.raises(errors.UsageLimitExceeded) as caught:
        await aios.Agent(agent, tools=[note], limits=limits).run("one two")

    assert caught.value.metadata["limit"] == name
    assert len(asked(fake)) == 1
    assert len(runs) == (0 if name == "tool_calls" else 2)


async def test_what_was_paid_for_is_returned_though_it_was_dear(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("a long answer of many words")

    limits = aios.UsageLimits(completion_tokens=1)
    assert (await aios.Agent(agent).run("x", limits=limits)).text == "a long answer of many words"


@dataclass
class Bank:
    balances: dict[str, int]


class Teller(aios.Agent[Bank]):
    @aios.tool
    async def balance(self, ctx: aios.RunContext[Bank], account: str) -> int:
        """Tell a balance."""
        assert ctx.agent == self.name == "teller"
        assert (ctx.tool_name, ctx.step, ctx.task) == ("balance", 0, "How much?")
        return ctx.deps.balances[account]


async def test_deps_reach_the_tools_and_methods_are_tools(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply(tool_calls=[("balance", {"account": "amy"})])
    fake.reply("5.")

    result = await Teller(agent).run("How much?", deps=Bank({"amy": 5}))

    assert result.tool_runs[0].result == "5"
    (shown,) = asked(fake)[0]["tools"]
    assert list(json.loads(shown["parameters_schema_json"])["properties"]) == ["account"]


async def test_deps_that_are_wanted_and_not_given_are_an_error_at_once(
    fake: FakeKernel, agent: Kernel
) -> None:
    with pytest.raises(TypeError, match=r"deps of .*Bank"):
        await Teller(agent).run("How much?")
    assert not asked(fake)


async def test_a_tool_that_takes_too_long_is_told_to_the_model_and_holds_nobody_up(
    fake: FakeKernel, agent: Kernel
) -> None:
    gate = threading.Event()

    @aios.tool(timeout=0.02)
    def stuck() -> None:
        """Wait in a thread."""
        gate.wait(30)

    @aios.tool
    async def slow() -> None:
        """Wait on the loop."""
        await asyncio.sleep(30)

    @aios.tool
    async def own() -> None:
        """Fail by a time-out of its own."""
        raise TimeoutError("the other side was silent")

    fake.reply(tool_calls=[("stuck", {}), ("slow", {}), ("own", {})])
    fake.reply("I gave up.")

    result = await aios.Agent(agent, tools=[stuck, slow, own], tool_timeout=0.03).run("x")

    assert [run.result for run in result.tool_runs] == [
        "error: timed out",
        "error: timed out",
        "error: the other side was silent",
    ]
    gate.set()


async def test_the_traceback_of_a_tool_that_raises_is_logged_and_told(
    fake: FakeKernel, agent: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(text: str) -> str:
        raise KeyError(text)

    fake.reply(tool_calls=[("broken", {"text": "a"}), ("recall", {"key": "none"})])
    fake.reply("Failed.")
    seen: list[tuple[ToolRun, BaseException]] = []

    with caplog.at_level(logging.INFO, "aios.agent"):
        clerk = aios.Agent(
            agent, tools=[broken, "recall"], on_tool_error=lambda run, error: seen.append((run, error))
        )
        await clerk.run("x")

    by_name = {run.name: error for run, error in seen}
    assert isinstance(by_name["broken"], KeyError)
    assert isinstance(by_name["recall"], errors.NotFound)
    records = {record.levelname: record for record in caplog.records if record.name == "aios.agent"}
    assert "raise KeyError(text)" in records["WARNING"].exc_text  # type: ignore[operator]  # it has one
    assert records["INFO"].exc_info is None  # the kernel's own answers are no defects


async def test_what_is_no_tool_is_refused_before_the_model_is_asked(fake: FakeKernel, agent: Kernel) -> None:
    with pytest.raises(TypeError, match="is no tool"):
        await aios.Agent(agent, tools=[7]).run("x")  # type: ignore[list-item]  # the point
    assert not asked(fake)


async def test_a_kept_conversation_has_the_form_in_what_is_sent_and_not_in_what_is_kept(
    fake: FakeKernel, agent: Kernel
) -> None:
    fake.reply(PARIS)
    await Geographer(agent).run("Paris?", context="cities")

    kept = [one.message.content for one in await agent.contexts.messages("cities")]

    assert kept == ["You know cities.", "Paris?", PARIS]
    assert "JSON Schema" in told(asked(fake)[0])[0][1]


async def test_an_agent_shows_itself(agent: Kernel) -> None:
    assert repr(Writer(agent)).startswith("<Writer 'writer' on <aios.Kernel at 127.0.0.1:")
    assert aios.Agent(agent, name="clerk").name == "clerk"


async def test_a_repair_is_an_event(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("no idea")
    fake.reply(PARIS)

    events = [event async for event in Geographer(agent).stream("x")]

    (retried,) = [event for event in events if isinstance(event, Retried)]
    assert "it is no JSON" in retried.problem
