"""Whatever stands in an event: the drivers tell of an answer or of a typed failure, and of nothing else."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.backends.openai import wire as openai_wire
from gateway.inference.backends.openai.backend import OpenAiBackend, OpenAiConfig
from gateway.inference.backends.tgi import wire as tgi_wire
from gateway.inference.backends.tgi.backend import TgiBackend, TgiConfig
from gateway.inference.backends.tgi.wire import TokenEvent
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendInvalid,
    BackendOverloaded,
    BackendUnavailable,
)
from gateway.inference.model import (
    BackendRequest,
    CachedPrompt,
    Chat,
    Prompt,
    PromptIds,
    Sampling,
    Stopped,
    StopReason,
    StreamItem,
    Token,
)
from services.chassis.chat import ChatMessage, Role, ToolCall
from tests.unit.inference.written import written

JOB = BackendRequest(
    run_id="r",
    prompt=Prompt("", 1, chat=Chat((ChatMessage(Role.USER, "hi"),))),
    max_new_tokens=4,
    sampling=Sampling(),
    top_alternatives=2,
    logprobs=True,
)
TEXTS = st.text(st.characters(codec=None, categories=None), max_size=6)
NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**70, 1.5, 1e308, float("inf"), float("nan"), True])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | NUMBERS | TEXTS | st.sampled_from(["stop", "length", "{}", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


class Events:
    """Stands for a driver's client: its streams bring these events, through the driver's own reader."""

    def __init__(self, reader: Any, events: Iterable[bytes]) -> None:
        self._reader = reader
        self._events = events

    async def stream(self, *_: Any) -> AsyncGenerator[Any, None]:
        """Bring the events."""
        for event in self._events:
            for chunk in self._reader.feed(b"data: " + event + b"\n\n"):
                yield chunk

    def generate_stream(self, *_: Any, **__: Any) -> AsyncGenerator[Any, None]:
        """Bring the events, as TGI's client does."""
        return self.stream()


async def items(driver: str, *events: Any) -> list[StreamItem]:
    """Run a job on a driver whose server sends these events."""
    backend: Any
    if driver == "openai":
        backend = OpenAiBackend("http://x", OpenAiConfig())
        reader: Any = openai_wire.EventReader()
    else:
        backend, reader = TgiBackend("http://x", TgiConfig()), tgi_wire.EventReader()
    backend._client = Events(reader, [each if isinstance(each, bytes) else written(each) for each in events])
    async with aclosing(backend.stream(JOB)) as stream:
        return [item async for item in stream]


def told(driver: str, *events: Any) -> list[StreamItem]:
    """Run a job to its end."""
    return asyncio.run(items(driver, *events))


def text(found: list[StreamItem]) -> str:
    """Return the text of an answer."""
    return "".join(item.text for item in found if isinstance(item, Token))


def check(found: list[StreamItem]) -> None:
    """Hold items to what the kernel's own messages can carry."""
    for item in found:
        match item:
            case Token(id=id_, text=piece, alternatives=alternatives, chosen=chosen):
                assert 0 <= id_ < 2**31
                piece.encode()
                assert len(alternatives) <= JOB.top_alternatives
                for each in [*alternatives, *([] if chosen is None else [chosen])]:
                    each.text.encode()
                    assert 0 <= each.id < 2**31
                    assert -1e6 <= each.logprob <= 0.0
            case Stopped(prompt_tokens=prompt, tool_calls=calls, stop_string=stop):
                assert 0 <= prompt < 2**31
                stop.encode()
                for call in calls:
                    (call.id + call.name + call.arguments).encode()
            case CachedPrompt(tokens) if tokens is not None:
                assert 0 <= tokens < 2**31
            case PromptIds(ids):
                assert all(type(each) is int and 0 <= each < 2**31 for each in ids)
    assert len(found) <= 8 * JOB.max_new_tokens + 1024


CHUNK = {
    "id": "x",
    "object": "chat.completion.chunk",
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "content": "hi",
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "a",
                        "type": "function",
                        "function": {"name": "now", "arguments": "{}"},
                    }
                ],
            },
            "logprobs": {
                "content": [{"token": "hi", "logprob": -1, "top_logprobs": [{"token": "hi", "logprob": -1}]}]
            },
            "finish_reason": None,
            "stop_reason": "x",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
    "error": None,
    "type": "x",
}
EVENT = {
    "index": 1,
    "token": {"id": 5, "text": "hi", "logprob": -0.5, "special": False},
    "top_tokens": [{"id": 5, "text": "hi", "logprob": -0.5, "special": False}],
    "generated_text": "hi",
    "details": {"finish_reason": "length", "generated_tokens": 1, "input_length": 3, "seed": None},
    "aios": {"prompt_ids": [1, 2, 3], "cached_tokens": 1, "suspended": False},
    "error": None,
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all places in a JSON value."""
    inner = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    return [path, *(found for key, each in inner for found in places(each, (*path, key)))]


def with_other(event: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return an event with another value at a place; a missing one for "absent"."""
    if not path:
        return value
    found = copy.deepcopy(event)
    at = found
    for key in path[:-1]:
        at = at[key]
    if value == "absent" and isinstance(at, dict):
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return found


@pytest.mark.parametrize(("driver", "event"), [("openai", CHUNK), ("tgi", EVENT)])
@given(data=st.data())
def test_anything_at_any_place_of_an_event_is_an_answer_or_a_typed_failure(
    driver: str, event: Any, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(places(event)))
    odd = with_other(event, path, data.draw(JSON | st.just("absent")))
    try:
        check(told(driver, odd, event))
    except BackendError as error:
        str(error)


@pytest.mark.parametrize("driver", ["openai", "tgi"])
@given(body=st.binary(max_size=40) | JSON.map(written))
def test_any_bytes_in_place_of_events_are_too(driver: str, body: bytes) -> None:
    reader: Any = openai_wire.EventReader() if driver == "openai" else tgi_wire.EventReader()
    for read in (reader.feed, lambda _: reader.close(), reader.whole):
        try:
            list(read(body))
        except BackendError as error:
            str(error)


def said(**delta: Any) -> dict[str, Any]:
    """Write a chunk with this delta."""
    return {"choices": [{"delta": delta}]}


END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "content",
    [
        "hi",
        [{"type": "text", "text": "hi"}],
        ["h", "i"],
        [
            {"type": "text", "text": "h"},
            {"type": "image_url", "image_url": {}},
            {"text": None},
            {"text": "i"},
        ],
        {"type": "text", "text": "hi"},
    ],
)
def test_a_content_may_be_a_list_of_parts(content: Any) -> None:
    assert text(told("openai", said(content=content), END)) == "hi"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ping"},
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        [],
        [1],
        {"choices": [{"index": 1, "delta": {"content": "of another choice"}}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {}, "finish_reason": ""}]},
        {"usage": None, "error": None, "choices": [{"delta": {"content": None, "tool_calls": None}}]},
        {"usage": {"prompt_tokens": "many", "completion_tokens": None, "prompt_tokens_details": 7}},
        {"usage": {}},
        {"usage": [1]},
        {"choices": [{"delta": {"content": ""}, "logprobs": {"content": [{"top_logprobs": 3}]}}]},
    ],
)
def test_what_tells_nothing_changes_nothing(event: Any) -> None:
    found = told("openai", said(content="h"), event, said(content="i"), END)

    assert text(found) == "hi"
    assert found[-1] == Stopped(StopReason.END)


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("whim", StopReason.END),
        (7, StopReason.END),
        ("LENGTH", StopReason.LENGTH),
        ("max_tokens", StopReason.LENGTH),
    ],
)
def test_a_finish_reason_of_its_own_is_an_end(reason: Any, stop: StopReason) -> None:
    found = told("openai", said(content="hi"), {"choices": [{"delta": {}, "finish_reason": reason}]})

    assert found[-1] == Stopped(stop)


@pytest.mark.parametrize("reasons", [["length", "stop"], ["stop", "length"], ["length", "length"]])
def test_a_cut_answer_stays_cut_whatever_else_is_said_of_its_end(reasons: list[str]) -> None:
    ends = [{"choices": [{"delta": {}, "finish_reason": reason}]} for reason in reasons]

    assert told("openai", said(content="hi"), *ends)[-1] == Stopped(StopReason.LENGTH)


@pytest.mark.parametrize("reason", ["content_filter", "abort"])
def test_an_answer_that_was_broken_off_is_none_whatever_else_is_said_of_its_end(reason: str) -> None:
    with pytest.raises(BackendError):
        told("openai", said(content="hi"), {"choices": [{"delta": {}, "finish_reason": reason}]}, END)


@pytest.mark.parametrize("reason", [None, "", "null", "None"])
def test_a_finish_reason_that_says_nothing_is_no_end(reason: Any) -> None:
    reader = openai_wire.EventReader()
    event = {"choices": [{"delta": {"content": "hi"}, "finish_reason": reason}]}

    [chunk] = reader.feed(b"data: " + written(event) + b"\n\n")
    assert (chunk.text, reader.finished) == ("hi", False)


def test_positions_may_be_texts() -> None:
    first = {"index": "0", "id": "a", "function": {"name": "now", "arguments": ""}}
    second = {"index": "1", "id": "b", "function": {"name": "now", "arguments": ""}}
    late = {"index": "0", "function": {"arguments": '{"a":1}'}}
    event = {"choices": [{"index": "0", "delta": {"content": "hi", "tool_calls": [first, second]}}]}
    found = told("openai", event, said(tool_calls=[late]), END)

    assert text(found) == "hi"
    assert isinstance(found[-1], Stopped)
    assert [call.arguments for call in found[-1].tool_calls] == ['{"a":1}', ""]


@pytest.mark.parametrize("empty", [{}, [], None, ""])
def test_empty_arguments_stand_for_those_that_are_still_to_come(empty: Any) -> None:
    begun = {"index": 0, "id": "a", "function": {"name": "now", "arguments": empty}}
    rest = {"index": 0, "function": {"arguments": '{"a":1}'}}

    assert told("openai", said(tool_calls=[begun]), said(tool_calls=[rest]), END)[-1] == Stopped(
        StopReason.END, 0, (ToolCall("a", "now", '{"a":1}'),)
    )


@pytest.mark.parametrize("more", [1, 0])
def test_a_usage_before_the_text_counts_no_token_twice(more: int) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2 + more}}
    found = told("openai", usage, said(content="h"), said(content="i"), END)

    assert sum(isinstance(item, Token) for item in found) == 2 + more


def test_done_without_a_finish_reason_is_an_end() -> None:
    assert told("openai", said(content="hi"), b"[DONE]")[-1] == Stopped(StopReason.END)


def test_a_refusal_is_text() -> None:
    assert text(told("openai", said(content=None, refusal="I must not"), END)) == "I must not"


def test_a_whole_answer_in_place_of_a_stream_is_read() -> None:
    message = {"role": "assistant", "content": "hi", "tool_calls": [{"id": "a", "function": {"name": "now"}}]}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 3}}
    [chunk] = openai_wire.EventReader().whole(written(body))
    [one, two] = tgi_wire.EventReader().whole(
        written(
            {
                "generated_text": "hi",
                "details": {"finish_reason": "length", "tokens": [EVENT["token"], EVENT["token"]]},
            }
        )
    )

    assert (chunk.text, chunk.finish_reason, len(chunk.tool_calls)) == ("hi", "tool_calls", 1)
    assert isinstance(one, TokenEvent)
    assert (one.id, one.generated_text) == (5, None)
    assert isinstance(two, TokenEvent)
    assert (two.generated_text, two.finish_reason) == ("hi", "length")


def test_a_usage_without_bounds_makes_no_tokens_without_end() -> None:
    usage = {
        "prompt_tokens": 10**30,
        "completion_tokens": 10**9,
        "prompt_tokens_details": {"cached_tokens": 1e300},
    }
    found = told("openai", said(content="hi"), {"choices": [], "usage": usage}, END)

    check(found)
    assert sum(isinstance(item, Token) for item in found) == JOB.max_new_tokens


def test_arguments_as_an_object_are_read() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "now", "arguments": {"city": "Paris"}}}

    assert told("openai", said(tool_calls=[call]), END)[-1] == Stopped(
        StopReason.END, 0, (ToolCall("a", "now", '{"city": "Paris"}'),)
    )


@pytest.mark.parametrize(
    "delta",
    [
        {"content": 7},
        {"content": [7]},
        {"tool_calls": [7]},
        {"tool_calls": [{"function": {"name": ["now"]}}]},
        7,
    ],
)
def test_what_would_lose_a_part_of_the_answer_is_a_failure(delta: Any) -> None:
    with pytest.raises(BackendBroken):
        told("openai", {"choices": [{"delta": delta}]}, END)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"error": {"message": "x", "code": "context_length_exceeded"}}, BackendInvalid),
        ({"error": {"message": "x", "type": "invalid_request_error", "code": None}}, BackendInvalid),
        ({"error": {"message": "x", "type": "BadRequestError"}}, BackendInvalid),
        ({"error": {"message": "x", "code": "rate_limit_exceeded"}}, BackendOverloaded),
        ({"error": {"error": {"message": "x", "code": 400}}}, BackendInvalid),
        ({"error": {"message": [1], "code": True}}, BackendUnavailable),
        ({"error": [1]}, BackendUnavailable),
        ([{"error": {"message": "x", "code": 400}}], BackendInvalid),
        ({"type": "error", "message": "x"}, BackendUnavailable),
        ({"error": {"message": "x", "code": 404}}, BackendBroken),
    ],
)
def test_an_error_in_a_stream_has_the_type_that_it_names(event: Any, error: type[BackendError]) -> None:
    with pytest.raises(error):
        told("openai", said(content="hi"), event)


def test_a_refused_credential_is_told_without_its_words() -> None:
    with pytest.raises(BackendBroken) as failure:
        openai_wire.parse_answer(401, written({"error": {"message": "Incorrect API key: sk-secret"}}))

    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    "token", [{"id": "5"}, {"id": -1}, {"id": 2**31}, {"id": 1.0}, {"id": None}, {"text": 5}]
)
def test_a_token_that_nothing_could_go_on_from_is_a_failure(token: dict[str, Any]) -> None:
    with pytest.raises(BackendBroken):
        told("tgi", {"token": EVENT["token"] | token})  # type: ignore[operator]  # a dict
