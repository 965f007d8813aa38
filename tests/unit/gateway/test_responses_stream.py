"""The events of a streamed response: which, in what order, under which numbers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common.text import ShownText
from gateway.http.responses.answer import Head
from gateway.http.responses.encoder import Encoder
from gateway.http.responses.offered import Offered
from gateway.http.responses.stream import Composer
from services.chassis.rpc.errors import KernelError, ServiceUnavailable

DIGITS = "0" * 32
HEAD = Head(DIGITS, 1, "tiny", {"metadata": {}})
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
CUSTOM = [kind.replace("function_call_arguments", "custom_tool_call_input") for kind in CALL]
ADMITTED = pb.StreamGenerateResponse(event=pb.GenerationEvent(admitted=pb.Admitted(prompt_tokens=3)))


def delta(text: str, *chosen: str) -> pb.StreamGenerateResponse:
    event = pb.GenerationEvent(delta=pb.Delta(text=text))
    for each in chosen:
        event.delta.top_alternatives.add(chosen=pb.Alternative(text=each, logprob=-0.5))
    return pb.StreamGenerateResponse(event=event)


def finished(
    text: str, *calls: tuple[str, str], reason: Any = pb.FINISH_REASON_STOP
) -> pb.StreamGenerateResponse:
    event = pb.GenerationEvent(finished=pb.Finished(reason=reason))
    event.finished.message.content = text
    for index, (name, arguments) in enumerate(calls):
        event.finished.message.tool_calls.add(id=f"call_{index}", name=name, arguments_json=arguments)
    return pb.StreamGenerateResponse(event=event)


def told(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(block.split("\n")[1][6:]) for block in data.decode().strip().split("\n\n") if block]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event["type"]:
            found.append(event["type"])
    return found


def run(
    *events: pb.StreamGenerateResponse, tools: bool = False, **kinds: tuple[str, str, bool]
) -> list[dict[str, Any]]:
    """Return the events of a whole stream."""
    composer = Composer(HEAD, Offered.known(kinds), ShownText(tools=tools))
    encoder = Encoder(composer)
    data = encoder.start(events[0]) + b"".join(map(encoder.event, events[1:]))
    assert composer.composed is not None
    return told(data + encoder.event(composer.composed.response(HEAD, 2)))


def test_a_text_comes_in_exactly_these_events() -> None:
    events = run(ADMITTED, delta("Hel"), delta(""), delta("lo"), finished("Hello"))

    assert kinds(events) == ["response.created", "response.in_progress", *TEXT, "response.completed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["delta"] for event in events if "delta" in event] == ["Hel", "lo"]
    last = events[-1]["response"]
    assert last["output"] == [events[-2]["item"]]
    assert last["output"][0]["content"][0]["text"] == "Hello"
    assert {"id", "object", "created_at", "model", "output"} <= last.keys()


def test_calls_come_one_after_the_other_each_whole() -> None:
    events = run(
        ADMITTED,
        delta("Let me "),
        delta('see. <tool_call>{"na'),
        delta('me": "add"}</tool_call>'),
        finished("Let me see.", ("add", '{"a":1}'), ("team.say", '{"input":"hi"}')),
        tools=True,
        **{"team.say": ("say", "team", True)},
    )

    assert kinds(events) == [
        *("response.created", "response.in_progress"),
        *(*TEXT, *CALL, *CUSTOM),
        "response.completed",
    ]
    assert (
        "".join(event["delta"] for event in events if event["type"].endswith("text.delta")) == "Let me see."
    )
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in done] == [0, 1, 2]
    assert (done[2]["item"]["name"], done[2]["item"]["namespace"], done[2]["item"]["input"]) == (
        "say",
        "team",
        "hi",
    )
    assert len({event["item"]["id"] for event in done}) == 3
    assert events[-1]["response"]["output"] == [event["item"] for event in done]


def test_an_answer_of_calls_alone_has_no_message_and_an_empty_one_has_an_empty_message() -> None:
    calls = run(ADMITTED, finished("", ("add", "{}")), tools=True)
    empty = run(ADMITTED, finished(""))

    assert kinds(calls) == ["response.created", "response.in_progress", *CALL, "response.completed"]
    assert [item["type"] for item in empty[-1]["response"]["output"]] == ["message"]
    assert kinds(empty)[2:-1] == [kind for kind in TEXT if not kind.endswith("delta")]


def test_an_answer_that_was_cut_is_incomplete() -> None:
    events = run(ADMITTED, delta("Hel"), finished("Hel", reason=pb.FINISH_REASON_LENGTH))

    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert events[-2]["item"]["status"] == "incomplete"


def test_probabilities_are_told_with_their_text_and_whole() -> None:
    events = run(ADMITTED, delta("Hel", "Hel"), delta("lo", "l", "o"), finished("Hello"))

    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [[place["token"] for place in event["logprobs"]] for event in deltas] == [["Hel"], ["l", "o"]]
    whole = events[-1]["response"]["output"][0]["content"][0]["logprobs"]
    assert [place["token"] for place in whole] == ["Hel", "l", "o"]
    assert whole[0]["bytes"] == [72, 101, 108]


def test_who_waits_is_told_so_in_events_that_count() -> None:
    composer = Composer(HEAD, Offered.known({}), ShownText())
    encoder = Encoder(composer)
    data = encoder.start(None) + encoder.alive() + encoder.alive() + encoder.event(ADMITTED) + encoder.alive()

    assert [(event["type"][9:], event["sequence_number"]) for event in told(data)] == [
        ("created", 0),
        ("queued", 1),
        ("queued", 2),
        ("in_progress", 3),
        ("in_progress", 4),
    ]


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("PROMPT_TOO_LONG", "context_length_exceeded"),
        ("QUEUE_FULL", "rate_limit_exceeded"),
        ("BACKEND_FAILED", "server_error"),
        ("INVALID_REQUEST", "invalid_prompt"),
    ],
)
def test_a_failure_in_mid_stream_is_told_by_the_codes_that_clients_know(reason: str, code: str) -> None:
    error = KernelError("it broke")
    error.reason = reason
    encoder = Encoder(Composer(HEAD, Offered.known({}), ShownText()))
    events = told(encoder.start(ADMITTED) + encoder.event(delta("Hel")) + encoder.failed(error))

    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["error"] == {"code": code, "message": "it broke"}


def by_text(after: int, pieces: list[str], *, stored: bool) -> list[dict[str, Any]]:
    """Tell an answer to who has the events up to a number: while it grows, or stored."""
    text = "".join(pieces)
    whole = Composer(HEAD, Offered.known({}), ShownText())
    whole.feed(finished(text, ("add", "{}")).event)
    assert whole.composed is not None
    response = whole.composed.response(HEAD, 2)
    composer = Composer(HEAD, Offered.known({}), ShownText(), by_text=True, after=after)
    encoder = Encoder(composer)
    growing = [] if stored else [ADMITTED, *map(delta, pieces)]
    data = encoder.start(growing[0] if growing else None)
    data += b"".join(map(encoder.event, growing[1:])) + encoder.alive() + encoder.event(response)
    events = told(data)
    return [event for event in events if event["type"] not in {"response.queued", "response.in_progress"}]


@given(
    pieces=st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5),
    regrouped=st.integers(min_value=1, max_value=7),
    stored=st.booleans(),
    data=st.data(),
)
def test_who_reads_on_after_a_number_misses_nothing_and_gets_nothing_twice(
    *, pieces: list[str], regrouped: int, stored: bool, data: st.DataObject
) -> None:
    text = "".join(pieces)
    all_events = by_text(-1, pieces, stored=False)
    after = data.draw(st.sampled_from([event["sequence_number"] for event in all_events]))
    seen = [event for event in all_events if event["sequence_number"] <= after]
    other = [text[at : at + regrouped] for at in range(0, len(text), regrouped)]
    rest = by_text(after, other, stored=stored)

    both = [*seen, *rest]
    assert "".join(event["delta"] for event in both if event["type"] == "response.output_text.delta") == text
    numbers = [event["sequence_number"] for event in both]
    assert numbers == sorted(set(numbers))
    assert kinds(both) == kinds(all_events)
    assert numbers[-1] == all_events[-1]["sequence_number"]


def test_a_stream_that_goes_on_elsewhere_ends_with_a_failure_that_can_be_repeated() -> None:
    encoder = Encoder(Composer(HEAD, Offered.known({}), ShownText(), by_text=True))
    events = told(encoder.start(ADMITTED) + encoder.failed(ServiceUnavailable("elsewhere")))

    assert events[-1]["response"]["error"]["code"] == "server_error"
