"""Chats and streams against a fake kernel on a real socket."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from aios.errors import DeadlineExceeded, InvalidRequest, OutputInvalid, QueueFull, Unavailable, WaitExpired
from aios.kernel import Kernel
from aios.testing import FakeKernel
from aios.types.llm import Admitted, Finished, Message, TextDelta, ToolChoice, ToolSpec

STREAM = "StreamGenerate"


async def test_a_chat_returns_text_usage_and_reason(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("It is Paris.")

    answer = await agent.llm.chat("What is the capital of France?")

    assert str(answer) == answer.text == "It is Paris."
    assert answer.finish_reason == "stop"
    assert answer.usage.prompt_tokens == 6
    assert answer.usage.completion_tokens == 3
    assert answer.usage.total_tokens == 9
    assert answer.name.startswith("agents/planner/generations/")


async def test_a_chat_sends_what_it_was_given(fake: FakeKernel, agent: Kernel) -> None:
    tool = ToolSpec("clock", "Tell the time.", {"type": "object", "properties": {}})
    await agent.llm.chat(
        [{"role": "system", "content": "Be brief."}, Message("user", "Hi")],
        tools=[tool],
        tool_choice="required",
        max_tokens=7,
        temperature=0.1,
        seed=0,
        stop=["."],
    )

    (sent,) = [call.request for call in fake.calls if call.method == "Generate"]
    assert [m["role"] for m in sent["messages"]] == ["ROLE_SYSTEM", "ROLE_USER"]
    assert sent["tools"][0]["name"] == "clock"
    assert sent["tool_choice"] == "TOOL_CHOICE_REQUIRED"
    assert sent["max_tokens"] == 7
    assert sent["sampling"]["temperature"] == 0.1
    assert sent["sampling"]["seed"] == "0"
    assert sent["stop"] == ["."]
    assert sent["request_id"]


async def test_a_chat_and_a_stream_send_all_that_a_generation_can_be_asked_for(
    fake: FakeKernel, agent: Kernel
) -> None:
    asked: dict[str, Any] = {
        "tools": [ToolSpec("clock"), ToolSpec("note")],
        "tool_choice": "required",
        "tool_choice_name": "note",
        "max_tool_calls": 1,
        "max_tokens": 7,
        "fit_max_tokens": True,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "affinity_key": "planner",
    }
    await agent.llm.chat("Hi", **asked)
    await agent.llm.stream("Hi", **asked, logprobs=True).answer()
    await agent.llm.complete("Hi", fit_max_tokens=True)

    chat, stream, complete = [call.request for call in fake.calls if "Generate" in call.method]
    assert stream["generation"].pop("logprobs") is True
    assert complete["fit_max_tokens"] is True
    for sent in (chat, stream["generation"]):
        assert sent["sampling"].items() >= {"frequency_penalty": 0.5, "presence_penalty": -0.5}.items()
        assert (sent["max_tokens"], sent["fit_max_tokens"]) == (7, True)
        assert (sent["tool_choice_name"], sent["max_tool_calls"]) == ("note", 1)
        assert sent["affinity_key"] == "planner"


async def test_an_answer_tells_the_stop_string_that_ended_it(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("one two three")
    fake.reply("one two three")

    cut = await agent.llm.chat("Count", stop=["three", " two"])
    whole = await agent.llm.stream("Count", stop=["four"]).answer()

    assert (cut.text, cut.stop_string, cut.finish_reason) == ("one", " two", "stop")
    assert (whole.text, whole.stop_string) == ("one two three", "")


async def test_a_stream_is_cut_at_a_stop_string(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("one two three")

    assert [text async for text in agent.llm.stream("Count", stop=["wo"]).texts()] == ["one ", "t"]


async def test_no_more_tool_calls_arrive_than_were_asked_for(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply(tool_calls=[("clock", {}), ("note", {})])
    answer = await agent.llm.chat("?", max_tool_calls=1)

    assert [call.name for call in answer.tool_calls] == ["clock"]


@pytest.mark.parametrize("choice", ["auto", "required"])
async def test_a_tool_that_is_not_offered_or_need_not_be_called_cannot_be_named(
    agent: Kernel, choice: ToolChoice
) -> None:
    tools = [ToolSpec("clock")] if choice == "auto" else [ToolSpec("note")]
    with pytest.raises(InvalidRequest) as refused:
        await agent.llm.chat("?", tools=tools, tool_choice=choice, tool_choice_name="clock")

    assert refused.value.reason == "INVALID_REQUEST"


async def test_a_stream_tells_how_likely_its_tokens_were(agent: Kernel) -> None:
    events = [event async for event in agent.llm.stream("a b", logprobs=True)]

    deltas = [event for event in events if isinstance(event, TextDelta)]
    chosen = [place.chosen for event in deltas for place in event.places]
    assert [token.text if token else None for token in chosen] == [event.text for event in deltas]
    assert not any(place.alternatives for event in deltas for place in event.places)


async def test_tool_calls_arrive_parsed(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply(tool_calls=[("calculator", {"expression": "1+1"})])

    answer = await agent.llm.chat("1+1?")

    assert answer.finish_reason == "tool_calls"
    assert answer.tool_calls[0].arguments == {"expression": "1+1"}
    assert answer.message.tool_calls == answer.tool_calls


async def test_a_stream_delivers_every_word_then_the_answer(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("one two three")

    events = [event async for event in agent.llm.stream("Count")]

    assert isinstance(events[0], Admitted)
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["one ", "two ", "three"]
    assert isinstance(events[-1], Finished)
    assert events[-1].answer.text == "one two three"


async def test_a_stream_tells_the_likeliest_tokens_where_it_is_asked_to(agent: Kernel) -> None:
    plain = [event async for event in agent.llm.stream("a b")]
    events = [event async for event in agent.llm.stream("a b", top_alternatives=1)]

    deltas = [event for event in events if isinstance(event, TextDelta)]
    assert [place.sequence for event in deltas for place in event.places] == [
        event.sequence for event in deltas
    ]
    assert all(event.places[0].alternatives[0].text == event.text for event in deltas)
    assert not any(event.places for event in plain if isinstance(event, TextDelta))


async def test_a_stream_can_be_read_as_texts_or_as_one_answer(agent: Kernel) -> None:
    texts = [text async for text in agent.llm.stream("a b").texts()]
    answer = await agent.llm.stream("a b").answer()

    assert "".join(texts) == answer.text == "echo: a b"


async def test_a_broken_stream_goes_on_without_repeating_text(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("one two three four five")
    with fake.intercept() as calls:
        calls.fail_next(STREAM, Unavailable("gone"), after=3)
        calls.fail_next(STREAM, Unavailable("gone again"), after=2)
        events = [event async for event in agent.llm.stream("Count")]

    assert "".join(event.text for event in events) == "one two three four five"
    assert sum(isinstance(event, Admitted) for event in events) == 1
    first, second, third = calls.requests(STREAM)
    assert first["generation"]["request_id"] == second["generation"]["request_id"]
    assert "resume" not in first["generation"]
    assert second["generation"]["resume"]["after_sequence"] == "2"
    assert len(second["generation"]["resume"]["received_token_ids"]) == 2
    assert third["generation"]["resume"]["after_sequence"] == "3"


async def test_a_stream_that_breaks_after_its_end_is_complete(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("one two")
    with fake.intercept() as calls:
        calls.fail_next(STREAM, Unavailable("gone"), after=4)
        answer = await agent.llm.stream("Count").answer()

    assert answer.text == "one two"
    assert calls.count(STREAM) == 1


async def test_a_watcher_reads_a_generation_from_where_it_likes(fake: FakeKernel, agent: Kernel) -> None:
    answer = await agent.llm.stream("a b c", request_id="g1").answer()
    with fake.intercept() as calls:
        calls.fail_next("WatchGeneration", Unavailable("gone"), after=2)
        rest = [text async for text in agent.llm.watch(answer.name, after_sequence=1).texts()]

    assert "".join(rest) == "a b c"
    assert [request["after_sequence"] for request in calls.requests("WatchGeneration")] == ["1", "2"]


async def test_a_full_queue_is_retried_after_the_stated_delay(fake: FakeKernel, agent: Kernel) -> None:
    with fake.intercept() as calls:
        calls.fail_next("Generate", QueueFull("full", retry_after=0.01))
        answer = await agent.llm.chat("hello")

    assert answer.text == "echo: hello"
    first, second = calls.requests("Generate")
    assert first["request_id"] == second["request_id"]


async def test_an_expired_wait_is_not_retried(fake: FakeKernel, agent: Kernel) -> None:
    fake.fail_next("Generate", WaitExpired("waited 30 s", retry_after=1.0))

    with pytest.raises(WaitExpired) as caught:
        await agent.llm.chat("hello")

    assert caught.value.reason == "WAIT_EXPIRED"
    assert caught.value.method == "Generate"


async def test_a_call_ends_at_its_own_deadline(agent: Kernel) -> None:
    with pytest.raises(DeadlineExceeded):
        await agent.llm.chat("hello", timeout=0.0)


async def test_leaving_a_stream_early_is_clean(agent: Kernel) -> None:
    async with agent.llm.stream("a b c d") as stream:
        async for event in stream:
            if event.text:
                break

    assert (await agent.llm.chat("next")).text == "echo: next"


@dataclass(frozen=True)
class City:
    name: str
    people: int
    rivers: list[str]


async def test_structured_output_becomes_the_dataclass(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply('{"name": "Paris", "people": 2100000, "rivers": ["Seine"]}')

    city = await agent.llm.structured("Describe Paris.", City)

    assert city == City("Paris", 2_100_000, ["Seine"])
    (sent,) = [call.request for call in fake.calls if call.method == "Generate"]
    assert '"people"' in sent["constraint"]["json_schema"]


async def test_structured_output_that_was_cut_is_an_error(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply('{"name": "Pa', finish_reason="length")

    with pytest.raises(OutputInvalid) as caught:
        await agent.llm.structured("Describe Paris.", City)

    assert caught.value.metadata["finish_reason"] == "length"


async def test_a_plain_schema_gives_a_dict(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply('{"ok": true}')

    assert await agent.llm.structured("ok?", {"type": "object"}) == {"ok": True}


async def test_tokens_embeddings_and_models(agent: Kernel) -> None:
    counted = await agent.llm.count_tokens("one two three")
    each = await agent.llm.count_tokens(texts=["one", "two three"])
    vectors = await agent.llm.embed(["a", "b"])
    models = await agent.llm.models()

    assert counted.total == 3
    assert each.texts == (1, 2)
    assert len(vectors) == 2
    assert models[0].is_default


async def test_cancelling_the_task_cancels_the_call(fake: FakeKernel, agent: Kernel) -> None:
    fake.fail_next("Generate", Unavailable("down", retry_after=4.0))
    task = asyncio.create_task(agent.llm.chat("hello"))
    await asyncio.wait_for(_reached(fake, "Generate"), 30)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def _reached(fake: FakeKernel, method: str) -> None:
    while not any(call.method == method for call in fake.calls):  # noqa: ASYNC110  # another task's progress
        await asyncio.sleep(0.01)
