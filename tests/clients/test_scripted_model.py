"""The scripted model behind the kernel: what all tests of this folder stand on."""

from aios.types.llm import Message, ToolSpec
from tests.clients.door import Door
from tests.fakes.scripted import GREETING, Call, Rule, ScriptedModel
from tests.fakes.waiting import until

TOOLS = [ToolSpec("numbers.add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})]


async def test_without_a_rule_the_model_greets(door: Door) -> None:
    assert (await door.kernel.llm.chat("hello", model="scripted")).text == GREETING


async def test_rules_make_a_tool_loop_whose_results_are_taken_up(door: Door, model: ScriptedModel) -> None:
    rules = (
        Rule(has="LOOP", outputs=0, calls=(Call("numbers.add", {"a": 2}),)),
        Rule(has="LOOP", outputs=1, calls=(Call("numbers.add", {"a": "$sum"}),)),
        Rule(has="LOOP", lacks="NEVER", text="done"),
    )
    with model.rules(*rules):
        turns = [Message("user", "LOOP")]
        asked = []
        while (answer := await door.kernel.llm.chat(turns, model="scripted", tools=TOOLS)).tool_calls:
            asked += [each.arguments for each in answer.tool_calls]
            results = [Message("tool", '{"sum": "five"}', tool_call_id=each.id) for each in answer.tool_calls]
            turns += [answer.message, *results]

    assert asked == [{"a": 2}, {"a": "five"}]
    assert answer.text == "done"


async def test_an_answer_that_nobody_waits_for_is_dropped(door: Door, model: ScriptedModel) -> None:
    slow = Rule(has="SLOW", text="one two three", behaviour={"token_delay": 60.0})
    with model.rules(slow):
        async with door.kernel.llm.stream("SLOW", model="scripted") as events:
            assert await anext(events.texts()) == "one"
        await until(lambda: [each.state for each in model.asked("SLOW")] == ["dropped"])
