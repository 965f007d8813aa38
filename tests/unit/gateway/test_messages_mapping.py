"""Anthropic's Messages and the kernel's requests and answers, without a server."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common.hints import Tier
from gateway.http.messages import answer, request
from gateway.http.messages.schema import Counted, Request
from gateway.http.messages.stream import MessageStream
from gateway.http.visit import decode
from services.chassis.rpc.errors import KernelError

TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
HI = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def mapped(body: Any, **headers: str) -> pb.GenerateRequest:
    asked, _, _ = request.generation(decode(json.dumps(body).encode(), Request), headers.get)
    return asked


def refusal(body: Any) -> tuple[str, str]:
    """Return reason and field of what a body is refused with."""
    with pytest.raises(KernelError) as refused:
        mapped(body)
    return refused.value.reason, refused.value.violations[0].field if refused.value.violations else ""


def test_a_plain_turn_asks_for_at_most_so_many_tokens_at_the_vendors_temperature() -> None:
    asked = mapped(HI)

    assert [(m.role, m.content) for m in asked.messages] == [(chat_pb2.ROLE_USER, "hi")]
    assert (asked.max_tokens, asked.fit_max_tokens, asked.sampling.temperature) == (9, True, 1.0)


def test_system_blocks_are_joined_and_cache_marks_do_not_matter() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    blocks = [{"type": "text", "text": "a", **mark}, {"type": "text", "text": "b"}]
    asked = mapped({**HI, "system": blocks})

    assert (asked.messages[0].role, asked.messages[0].content) == (chat_pb2.ROLE_SYSTEM, "a\n\nb")


def test_calls_and_their_results_become_messages_with_results_right_behind_the_calls() -> None:
    asked = mapped(
        {
            **HI,
            "tools": [TOOL],
            "messages": [
                {"role": "user", "content": "go"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "s"},
                        {"type": "text", "text": "I look."},
                        {
                            "type": "tool_use",
                            "id": "t1",
                            "name": "look",
                            "input": {"n": 12345678901234567890},
                        },
                        {"type": "tool_use", "id": "t2", "name": "look", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "and?"},
                        {"type": "tool_result", "tool_use_id": "t1", "content": "saw"},
                        {
                            "type": "tool_result",
                            "tool_use_id": "t2",
                            "is_error": True,
                            "content": [{"type": "text", "text": "dark"}],
                        },
                    ],
                },
            ],
        }
    )

    assistant, first, second, user = asked.messages[1:]
    assert assistant.content == "I look."
    assert [call.arguments_json for call in assistant.tool_calls] == ['{"n": 12345678901234567890}', "{}"]
    assert (first.tool_call_id, first.content) == ("t1", "saw")
    assert (second.tool_call_id, second.content) == ("t2", "error: dark")
    assert (user.role, user.content) == (chat_pb2.ROLE_USER, "and?")


@pytest.mark.parametrize(
    ("choice", "mode", "name", "most"),
    [
        ({"type": "auto"}, pb.TOOL_CHOICE_AUTO, "", 0),
        ({"type": "any", "disable_parallel_tool_use": True}, pb.TOOL_CHOICE_REQUIRED, "", 1),
        ({"type": "tool", "name": "look"}, pb.TOOL_CHOICE_REQUIRED, "look", 0),
    ],
)
def test_each_choice_of_tools(choice: Any, mode: Any, name: str, most: int) -> None:
    asked = mapped({**HI, "tools": [TOOL], "tool_choice": choice})

    assert (asked.tool_choice, asked.tool_choice_name, asked.max_tool_calls) == (mode, name, most)


def test_no_choice_offers_no_tools_and_the_vendors_own_tools_are_left_out() -> None:
    assert not mapped({**HI, "tools": [TOOL], "tool_choice": {"type": "none"}}).tools
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert [tool.name for tool in mapped({**HI, "tools": [search, TOOL]}).tools] == ["look"]


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"max_tokens": 0}, "INVALID_REQUEST", "max_tokens"),
        ({"max_tokens": "9"}, "INVALID_REQUEST", "max_tokens"),
        ({"temperature": 1.5}, "INVALID_REQUEST", "temperature"),
        ({"messages": []}, "INVALID_REQUEST", "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "INVALID_REQUEST", "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "INVALID_REQUEST", "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]},
            "CAPABILITY_MISSING",
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "INVALID_REQUEST",
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "INVALID_REQUEST",
            "messages[0].content[0].tool_use_id",
        ),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "INVALID_REQUEST", "tools[0].name"),
        ({"tools": [{"name": "a", "input_schema": []}]}, "INVALID_REQUEST", "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool", "name": "no"}}, "INVALID_REQUEST", "tool_choice.name"),
        ({"stop_sequences": ["x"] * 17}, "INVALID_REQUEST", "stop_sequences"),
        ({"output_config": {"format": {"type": "xml"}}}, "INVALID_REQUEST", "output_config.format.type"),
    ],
)
def test_what_is_refused_is_named_as_the_client_wrote_it(change: Any, reason: str, field: str) -> None:
    assert refusal({**HI, **change}) == (reason, field)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "model",
        "max_tokens",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "stop_sequences",
        "temperature",
        "stream",
    ]
)
TYPES = st.sampled_from(["text", "tool_use", "tool_result", "image", "document", "thinking", "x"])
BLOCK = st.fixed_dictionaries(
    {"type": TYPES},
    optional={"text": st.text(max_size=5), "id": JSON, "name": JSON, "input": JSON, "content": JSON},
)
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "x"]), "content": st.lists(BLOCK, max_size=4)}
)


@given(st.dictionaries(KEYS, JSON), st.lists(TURN, max_size=4))
def test_any_json_is_a_request_or_a_typed_refusal(fields: dict[str, Any], turns: list[Any]) -> None:
    refused: set[str] = set()
    for body in (fields, {**HI, **fields}, {**HI, "messages": turns}):
        try:
            mapped(body)
            request.counting(decode(json.dumps(body).encode(), Counted))
        except KernelError as error:
            refused.add(error.code.name)
    assert refused <= {"INVALID_ARGUMENT", "UNIMPLEMENTED"}


def finished(text: str = "", *calls: tuple[str, str], **fields: Any) -> pb.Finished:
    message = chat_pb2.ChatMessage(
        content=text,
        tool_calls=[
            chat_pb2.ToolCall(id=f"call_{n}", name=n_, arguments_json=a) for n, (n_, a) in enumerate(calls)
        ],
    )
    reason = pb.FINISH_REASON_TOOL_CALLS if calls else pb.FINISH_REASON_STOP
    return pb.Finished(**{"reason": reason, "message": message, "model": "m", **fields})


def test_a_whole_answer_tells_why_it_ended_and_what_came_from_a_cache() -> None:
    used = pb.Usage(prompt_tokens=10, completion_tokens=3, cached_prompt_tokens=4)
    told = answer.whole(
        pb.GenerateResponse(
            name="agents/a/generations/g", finished=finished("so", usage=used, stop_string="END")
        ),
        "m",
        "default",
    )

    assert told["stop_reason"] == "stop_sequence"
    assert told["stop_sequence"] == "END"
    assert told["content"] == [{"type": "text", "text": "so", "citations": None}]
    assert told["usage"] == {
        "input_tokens": 6,
        "output_tokens": 3,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "service_tier": "standard",
    }


def events(encoder: MessageStream, *parts: pb.GenerationEvent) -> list[Any]:
    """Return the events that parts of a stream become."""
    first = pb.StreamGenerateResponse(
        name="agents/a/generations/g", event=pb.GenerationEvent(admitted=pb.Admitted(prompt_tokens=7))
    )
    raw = encoder.start(first) + b"".join(
        encoder.event(pb.StreamGenerateResponse(event=part)) for part in parts
    )
    found = []
    for frame in raw.decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        body = json.loads(data.removeprefix("data: "))
        assert body["type"] == name.removeprefix("event: ")
        found.append(body)
    return found


def delta(text: str) -> pb.GenerationEvent:
    return pb.GenerationEvent(delta=pb.Delta(text=text, token_count=1))


def test_a_stream_of_text_opens_one_block_and_closes_it() -> None:
    encoder = MessageStream(pb.GenerateRequest(), "m", Tier(), "r")
    told = events(encoder, delta("a"), delta("b"), pb.GenerationEvent(finished=finished("ab")))

    assert [event["type"] for event in told] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert told[0]["message"]["usage"]["input_tokens"] == 7
    assert told[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


def test_calls_follow_the_text_each_in_a_block_of_its_own() -> None:
    encoder = MessageStream(pb.GenerateRequest(tools=[{"name": "look"}]), "m", Tier(), "r")
    end = finished("I look.", ("look", '{"a":1}'), ("look", ""))
    told = events(encoder, delta("I look."), delta("<tool_call>"), pb.GenerationEvent(finished=end))

    starts = [event["content_block"] for event in told if event["type"] == "content_block_start"]
    deltas = [event["delta"] for event in told if event["type"] == "content_block_delta"]
    assert [block["type"] for block in starts] == ["text", "tool_use", "tool_use"]
    assert starts[1]["input"] == {}
    assert starts[1]["id"] != starts[2]["id"]
    assert [d["partial_json"] for d in deltas if d["type"] == "input_json_delta"] == ["", '{"a":1}', "", "{}"]
    assert "".join(d["text"] for d in deltas if d["type"] == "text_delta") == "I look."
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


def test_an_error_in_mid_stream_is_an_event_of_its_own() -> None:
    error = KernelError("gone")
    error.reason = "BACKEND_FAILED"
    raw = MessageStream(pb.GenerateRequest(), "m", Tier(), "r").failed(error)

    assert raw.startswith(b"event: error\n")
    assert json.loads(raw.split(b"data: ")[1])["error"] == {"type": "overloaded_error", "message": "gone"}


def test_search_results_hold_texts_and_nothing_deeper() -> None:
    text = {"type": "text", "text": "found"}
    result: dict[str, Any] = {"type": "search_result", "content": [text]}
    asked = mapped({**HI, "messages": [{"role": "user", "content": [result]}]})
    assert asked.messages[0].content == "found"

    for _ in range(90):
        result = {"type": "search_result", "content": [result]}
    for content in ([result], [{"type": "tool_result", "tool_use_id": "t", "content": [result]}]):
        reason, field = refusal({**HI, "messages": [{"role": "user", "content": content}]})
        assert reason == "CAPABILITY_MISSING"
        assert field.startswith("messages[0].content[0].content[0]")
