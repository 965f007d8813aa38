"""Anthropic's SDK in Python, strict: it refuses what lacks a field. Every event of every stream is read."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from pydantic import BaseModel
from surroundings import Tour

MODEL = "scripted"
GREETING = "Hello Mira, all is well."
ADD: dict[str, Any] = {
    "name": "add",
    "description": "Adds.",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
BLOCK = ["content_block_start", "content_block_delta", "content_block_stop"]

UNTOLD = {"x-stainless-read-timeout": "600", "x-stainless-timeout": "600"}
"""As of a client that does not say how long it waits: only its leaving tells."""


class Trip(BaseModel):
    city: str
    days: int


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def client(tour: Tour) -> Iterator[Anthropic]:
    with Anthropic(
        base_url=tour.url, api_key=tour.key, timeout=30, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def kinds(events: list[Any]) -> list[str]:
    """Return the kinds of events in their order: repeated deltas once, signs of life left out."""
    found: list[str] = []
    for event in events:
        if event.type == "ping" or (found and found[-1] == event.type):
            continue
        found.append(event.type)
    return found


def test_a_message_is_answered_whole(client: Anthropic) -> None:
    answer = client.messages.create(model=MODEL, max_tokens=100, system="Be kind.", messages=user("hello"))

    [block] = answer.content
    assert (block.type, block.text, answer.stop_reason) == ("text", GREETING, "end_turn")
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0
    assert answer._request_id


def test_a_text_comes_in_exactly_these_events(client: Anthropic) -> None:
    events = list(client.messages.create(model=MODEL, max_tokens=100, messages=user("hello"), stream=True))

    assert kinds(events) == ["message_start", *BLOCK, "message_delta", "message_stop"]
    texts = [each.delta.text for each in events if each.type == "content_block_delta"]
    assert "".join(texts) == GREETING
    [end] = [each for each in events if each.type == "message_delta"]
    assert end.delta.stop_reason == "end_turn"
    assert end.usage.output_tokens > 0


def test_parallel_calls_come_one_after_the_other(client: Anthropic) -> None:
    events = list(
        client.messages.create(
            model=MODEL, max_tokens=100, messages=user("TWOCALLS"), tools=[ADD], stream=True
        )
    )

    assert kinds(events) == ["message_start", *BLOCK, *BLOCK, *BLOCK, "message_delta", "message_stop"]
    starts = [each for each in events if each.type == "content_block_start"]
    assert [each.content_block.type for each in starts] == ["text", "tool_use", "tool_use"]
    assert [each.index for each in starts] == [0, 1, 2]
    written = {1: "", 2: ""}
    for each in events:
        if each.type == "content_block_delta" and each.delta.type == "input_json_delta":
            written[each.index] += each.delta.partial_json
    assert [json.loads(each) for each in written.values()] == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]


def test_a_tool_loop_ends_with_an_answer(client: Anthropic) -> None:
    messages = user("ADDTASK")
    first = client.messages.create(model=MODEL, max_tokens=100, messages=messages, tools=[ADD])
    [call] = first.content
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "5"}]}
    messages += [
        {"role": "assistant", "content": [call.model_dump(exclude_none=True)]},
        {"role": "user", "content": [result]},
    ]
    second = client.messages.create(model=MODEL, max_tokens=100, messages=messages, tools=[ADD])

    assert (first.stop_reason, call.name, call.input) == ("tool_use", "add", {"a": 2, "b": 3})
    assert (second.stop_reason, second.content[0].text) == ("end_turn", "five")


def test_the_helper_gathers_a_stream(client: Anthropic) -> None:
    with client.messages.stream(
        model=MODEL, max_tokens=100, messages=user("TWOCALLS"), tools=[ADD]
    ) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()

    assert text == "Let me see."
    assert [each.input for each in answer.content[1:]] == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    assert answer.stop_reason == "tool_use"


def test_an_answer_that_was_cut_says_so(client: Anthropic) -> None:
    answer = client.messages.create(model=MODEL, max_tokens=3, messages=user("LONGTEXT"))

    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 3)


def test_the_stop_sequence_that_was_met_is_named(client: Anthropic) -> None:
    answer = client.messages.create(
        model=MODEL, max_tokens=100, messages=user("STOPTASK"), stop_sequences=["never", " three"]
    )

    assert answer.content[0].text == "one two"
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", " three")


def test_a_message_keeps_to_a_schema(client: Anthropic) -> None:
    answer = client.messages.parse(model=MODEL, max_tokens=100, messages=user("JSONTASK"), output_format=Trip)

    assert answer.parsed_output == Trip(city="Paris", days=3)


def test_a_message_calls_a_tool_and_then_keeps_to_a_schema(client: Anthropic) -> None:
    messages = user("TRIPTASK")
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 100, "tools": [ADD], "output_format": Trip}
    [call] = client.messages.parse(messages=messages, **asked).content
    messages += [
        {"role": "assistant", "content": [call.model_dump(include={"type", "id", "name", "input"})]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "5"}]},
    ]
    second = client.messages.parse(messages=messages, **asked)

    assert (call.type, call.input) == ("tool_use", {"a": 2, "b": 3})
    assert second.parsed_output == Trip(city="Paris", days=5)


def test_tokens_are_counted(client: Anthropic) -> None:
    short = client.messages.count_tokens(model=MODEL, messages=user("hello")).input_tokens
    long = client.messages.count_tokens(model=MODEL, messages=user("hello " * 100)).input_tokens

    assert 0 < short < long


def test_models_are_listed_with_their_windows(client: Anthropic) -> None:
    [model] = [each for each in client.models.list() if each.id == MODEL]

    assert model.max_input_tokens == 262_144
    assert client.models.retrieve(MODEL).id == MODEL


def test_a_stream_that_waits_longer_than_the_clients_patience_goes_on(client: Anthropic) -> None:
    patient = client.with_options(timeout=2.5)
    with patient.messages.stream(model=MODEL, max_tokens=50, messages=user("WAITTASK")) as stream:
        assert stream.get_final_text() == "at last"


def test_leaving_a_stream_stops_the_model(client: Anthropic, tour: Tour) -> None:
    mark = "SLOWTEXT anthropic"
    with client.messages.create(model=MODEL, max_tokens=500, messages=user(mark), stream=True) as stream:
        next(event for event in stream if event.type == "content_block_delta")

    tour.waits_for(mark, asked=1, dropped=1)


def test_giving_up_on_a_whole_message_stops_the_model(client: Anthropic, tour: Tour) -> None:
    mark = "SLOWTEXT anthropic-whole"
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=2).messages.create(
            model=MODEL, max_tokens=500, messages=user(mark), extra_headers=UNTOLD
        )

    tour.waits_for(mark, asked=1, dropped=1)
