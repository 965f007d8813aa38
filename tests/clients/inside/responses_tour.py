"""The Responses API through OpenAI's SDK in Python, strict. Every event of every stream is read."""

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from surroundings import Tour

MODEL = "scripted"
GREETING = "Hello Mira, all is well."
ADD: dict[str, Any] = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    "strict": True,
}
TEXT = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
CALL = [
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]


class Trip(BaseModel):
    city: str
    days: int


@pytest.fixture
def client(tour: Tour) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=tour.v1, api_key=tour.key, timeout=30, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def kinds(events: list[Any]) -> list[str]:
    """Return the kinds of events in their order: repeated deltas once, signs of life left out."""
    found: list[str] = []
    for event in events:
        if event.type == "response.queued" or (found and found[-1] == event.type):
            continue
        found.append(event.type)
    return found


def test_a_response_is_given_whole(client: OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input="hello")

    assert (answer.status, answer.output_text) == ("completed", GREETING)
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0
    assert answer._request_id


def test_a_text_comes_in_exactly_these_events(client: OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="hello", stream=True))

    assert kinds(events) == ["response.created", "response.in_progress", *TEXT, "response.completed"]
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert "".join(each.delta for each in events if each.type == "response.output_text.delta") == GREETING
    assert events[-1].response.output_text == GREETING
    assert len({each.response.id for each in events if hasattr(each, "response")}) == 1


def test_parallel_calls_come_one_after_the_other(client: OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="TWOCALLS", tools=[ADD], stream=True))

    assert kinds(events) == [
        *("response.created", "response.in_progress"),
        *(*TEXT, *CALL, *CALL),
        "response.completed",
    ]
    calls = [each for each in events[-1].response.output if each.type == "function_call"]
    assert [json.loads(each.arguments) for each in calls] == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    assert len({each.call_id for each in calls}) == 2
    done = [each for each in events if each.type == "response.output_item.done"]
    assert [each.output_index for each in done] == [0, 1, 2]


def test_a_tool_loop_sends_everything_again(client: OpenAI) -> None:
    items: list[Any] = [{"role": "user", "content": "ADDTASK"}]
    first = client.responses.create(model=MODEL, input=items, tools=[ADD], store=False)
    [call] = first.output
    items += [call.model_dump(exclude_none=True), result(call, "5")]
    second = client.responses.create(model=MODEL, input=items, tools=[ADD], store=False)

    assert (call.name, json.loads(call.arguments)) == ("add", {"a": 2, "b": 3})
    assert second.output_text == "five"


def test_a_tool_loop_goes_on_from_the_response_before(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="ADDTASK", tools=[ADD])
    [call] = first.output
    second = client.responses.create(
        model=MODEL, input=[result(call, "5")], previous_response_id=first.id, tools=[ADD]
    )

    assert second.output_text == "five"
    assert second.previous_response_id == first.id


def test_what_is_stored_is_found_and_deleted(client: OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="hello")

    assert client.responses.retrieve(made.id).output_text == GREETING
    assert [each.role for each in client.responses.input_items.list(made.id)] == ["user"]
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_what_is_not_to_be_stored_is_not_found(client: OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="hello", store=False)

    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_the_helper_gathers_a_stream(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="hello") as stream:
        kind = [event.type for event in stream][-1]
        answer = stream.get_final_response()

    assert (kind, answer.output_text) == ("response.completed", GREETING)


def test_an_answer_that_was_cut_is_incomplete(client: OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="LONGTEXT", max_output_tokens=16, stream=True))

    assert events[-1].type == "response.incomplete"
    assert events[-1].response.status == "incomplete"
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"


def test_a_response_keeps_to_a_schema(client: OpenAI) -> None:
    answer = client.responses.parse(model=MODEL, input="JSONTASK", text_format=Trip)

    assert answer.output_parsed == Trip(city="Paris", days=3)


def test_a_response_calls_a_tool_and_then_keeps_to_a_schema(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="TRIPTASK", tools=[ADD], text_format=Trip) as stream:
        kinds = [event.type for event in stream]
        first = stream.get_final_response()
    [call] = first.output
    second = client.responses.parse(
        model=MODEL,
        input=[result(call, "5")],
        previous_response_id=first.id,
        tools=[ADD],
        text_format=Trip,
    )

    assert not [kind for kind in kinds if "output_text" in kind]
    assert (call.name, json.loads(call.arguments)) == ("add", {"a": 2, "b": 3})
    assert second.output_parsed == Trip(city="Paris", days=5)


def test_the_input_is_counted(client: OpenAI) -> None:
    short = client.responses.input_tokens.count(model=MODEL, input="hello").input_tokens
    long = client.responses.input_tokens.count(model=MODEL, input="hello " * 100).input_tokens

    assert 0 < short < long


def test_a_stream_that_waits_longer_than_the_clients_patience_goes_on(client: OpenAI) -> None:
    events = list(
        client.with_options(timeout=2.5).responses.create(model=MODEL, input="WAITTASK", stream=True)
    )

    assert events[-1].response.output_text == "at last"
    assert [each.sequence_number for each in events] == list(range(len(events)))


def test_a_response_goes_on_in_the_background(client: OpenAI) -> None:
    begun = client.responses.create(model=MODEL, input="hello", background=True)
    ended = begun
    while ended.status in {"queued", "in_progress"}:
        time.sleep(0.05)
        ended = client.responses.retrieve(begun.id)
    events = list(client.responses.retrieve(begun.id, stream=True))
    later = list(client.responses.retrieve(begun.id, stream=True, starting_after=events[4].sequence_number))

    assert (begun.status, ended.status, ended.output_text) == ("queued", "completed", GREETING)
    assert kinds(events) == ["response.created", "response.in_progress", *TEXT, "response.completed"]
    assert [each.type for each in later] == [each.type for each in events[5:]]
    assert client.responses.cancel(begun.id).status == "completed"


def test_a_conversation_is_kept(client: OpenAI) -> None:
    made = client.conversations.create(
        items=[{"type": "message", "role": "user", "content": "hello"}], metadata={"topic": "trip"}
    )
    client.responses.create(model=MODEL, input="and again", conversation=made.id)
    items = list(client.conversations.items.list(made.id, limit=1, order="asc"))
    changed = client.conversations.update(made.id, metadata={"topic": "home"})

    assert [each.role for each in items] == ["user", "user", "assistant"]
    assert client.conversations.items.retrieve(items[0].id, conversation_id=made.id) == items[0]
    assert client.conversations.retrieve(made.id).metadata == changed.metadata == {"topic": "home"}
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


def test_a_conversation_is_made_short(client: OpenAI) -> None:
    said: list[Any] = [{"role": "user", "content": "fact " * 400} for _ in range(4)]
    short = client.responses.compact(model=MODEL, input=said)
    items: list[Any] = [each.model_dump(exclude_none=True) for each in short.output]
    answer = client.responses.create(model=MODEL, input=[*items, {"role": "user", "content": "hello"}])

    assert answer.status == "completed"


def test_leaving_a_stream_stops_the_model(client: OpenAI, tour: Tour) -> None:
    mark = "SLOWTEXT openai-responses"
    with client.responses.create(model=MODEL, input=mark, stream=True) as stream:
        next(event for event in stream if event.type == "response.output_text.delta")

    tour.waits_for(mark, asked=1, dropped=1)


def result(call: Any, text: str) -> dict[str, str]:
    return {"type": "function_call_output", "call_id": call.call_id, "output": text}
