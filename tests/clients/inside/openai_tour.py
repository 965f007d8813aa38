"""OpenAI's SDK in Python, strict: it refuses what lacks a field. Every event of every stream is read."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from surroundings import Tour

MODEL = "scripted"
GREETING = "Hello Mira, all is well."
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
ADD: dict[str, Any] = {
    "type": "function",
    "function": {"name": "add", "description": "Adds.", "parameters": PARAMETERS, "strict": True},
}

UNTOLD = {"x-stainless-read-timeout": "600", "x-stainless-timeout": "600"}
"""As of a client that does not say how long it waits: only its leaving tells."""


class Trip(BaseModel):
    city: str
    days: int


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def client(tour: Tour) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=tour.v1, api_key=tour.key, timeout=30, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def test_a_chat_is_answered_whole(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=user("hello"))

    [choice] = answer.choices
    assert (choice.message.content, choice.finish_reason) == (GREETING, "stop")
    assert answer.model == MODEL
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer._request_id


def test_a_chat_comes_in_chunks_and_its_usage_last(client: OpenAI) -> None:
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=user("hello"), stream=True, stream_options=options
        )
    )

    *body, last = chunks
    assert "".join(each.choices[0].delta.content or "" for each in body) == GREETING
    assert body[0].choices[0].delta.role == "assistant"
    assert [each.choices[0].finish_reason for each in body] == [None] * (len(body) - 1) + ["stop"]
    assert len({each.id for each in chunks}) == 1
    assert (last.choices, [each.usage for each in body]) == ([], [None] * len(body))
    assert last.usage.total_tokens > 0


def test_a_chat_stream_tells_no_usage_unasked(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=MODEL, messages=user("hello"), stream=True))

    assert all(each.choices and each.usage is None for each in chunks)


def test_a_chat_loops_over_a_tool(client: OpenAI) -> None:
    messages = user("ADDTASK")
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[ADD]).choices[0]
    [call] = first.message.tool_calls
    messages += [
        first.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "5"},
    ]
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[ADD]).choices[0]

    assert (first.finish_reason, call.type, call.function.name) == ("tool_calls", "function", "add")
    assert json.loads(call.function.arguments) == {"a": 2, "b": 3}
    assert (second.finish_reason, second.message.content) == ("stop", "five")


def test_parallel_calls_of_a_chat_come_piece_by_piece(client: OpenAI) -> None:
    heads: dict[int, tuple[str, str]] = {}
    arguments: dict[int, str] = {}
    texts, reasons = [], []
    for chunk in client.chat.completions.create(
        model=MODEL, messages=user("TWOCALLS"), tools=[ADD], stream=True
    ):
        choice = chunk.choices[0]
        texts.append(choice.delta.content or "")
        reasons.append(choice.finish_reason)
        for piece in choice.delta.tool_calls or []:
            heads.setdefault(piece.index, (piece.id, piece.function.name))
            arguments[piece.index] = arguments.get(piece.index, "") + (piece.function.arguments or "")

    assert "".join(texts) == "Let me see."
    assert [name for _, name in heads.values()] == ["add", "add"]
    assert len({call for call, _ in heads.values()}) == 2
    assert {at: json.loads(text) for at, text in arguments.items()} == {
        0: {"a": 2, "b": 3},
        1: {"a": 4, "b": 5},
    }
    assert reasons[-1] == "tool_calls"


def test_the_chat_helper_gathers_a_stream(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=user("TWOCALLS"), tools=[ADD]) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_completion()

    assert kinds.count("tool_calls.function.arguments.done") == 2
    assert [each.function.parsed_arguments for each in answer.choices[0].message.tool_calls] == [
        {"a": 2, "b": 3},
        {"a": 4, "b": 5},
    ]


def test_the_chat_helper_tells_an_answer_that_was_cut(client: OpenAI) -> None:
    with (
        pytest.raises(openai.LengthFinishReasonError),
        client.chat.completions.stream(
            model=MODEL, messages=user("LONGTEXT"), tools=[ADD], max_tokens=3
        ) as stream,
    ):
        list(stream)


def test_a_chat_keeps_to_a_schema(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model=MODEL, messages=user("JSONTASK"), response_format=Trip)

    assert answer.choices[0].message.parsed == Trip(city="Paris", days=3)


def test_a_chat_calls_a_tool_and_then_keeps_to_a_schema(client: OpenAI) -> None:
    messages = user("TRIPTASK")
    asked: dict[str, Any] = {"model": MODEL, "tools": [ADD], "response_format": Trip}
    first = client.chat.completions.parse(messages=messages, **asked).choices[0].message
    [call] = first.tool_calls or []
    messages += [
        first.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "5"},
    ]
    with client.chat.completions.stream(messages=messages, **asked) as stream:
        second = stream.get_final_completion().choices[0].message

    assert (first.content, call.function.parsed_arguments) == (None, {"a": 2, "b": 3})
    assert second.parsed == Trip(city="Paris", days=5)


def test_a_chat_tells_log_probabilities(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=user("hello"), logprobs=True, top_logprobs=2
    )

    places = answer.choices[0].logprobs.content
    assert "".join(each.token for each in places) == GREETING
    assert {len(each.top_logprobs) for each in places} == {2}


def test_stop_strings_end_a_chat(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=user("STOPTASK"), stop=[" three"])

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one two", "stop")


def test_a_stream_that_waits_longer_than_the_clients_patience_goes_on(client: OpenAI) -> None:
    patient = client.with_options(timeout=2.5)
    chunks = list(patient.chat.completions.create(model=MODEL, messages=user("WAITTASK"), stream=True))

    assert "".join(each.choices[0].delta.content or "" for each in chunks) == "at last"


def test_leaving_a_chat_stream_stops_the_model(client: OpenAI, tour: Tour) -> None:
    mark = "SLOWTEXT openai-chat"
    with client.chat.completions.create(model=MODEL, messages=user(mark), stream=True) as stream:
        next(iter(stream))

    tour.waits_for(mark, asked=1, dropped=1)


def test_giving_up_on_a_whole_chat_stops_the_model(client: OpenAI, tour: Tour) -> None:
    mark = "SLOWTEXT openai-whole"
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=2).chat.completions.create(
            model=MODEL, messages=user(mark), extra_headers=UNTOLD
        )

    tour.waits_for(mark, asked=1, dropped=1)


def test_texts_are_embedded(client: OpenAI) -> None:
    answer = client.embeddings.create(
        model="text-embedding-3-small", input=["a cat", "a cat", "prime numbers"]
    )

    first, second, third = (each.embedding for each in answer.data)
    assert first == second != third
    assert [each.index for each in answer.data] == [0, 1, 2]


def test_models_are_listed_and_looked_up(client: OpenAI) -> None:
    listed = [each.id for each in client.models.list()]

    assert MODEL in listed
    assert client.models.retrieve(MODEL).id == MODEL
