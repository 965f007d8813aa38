"""What clients of Responses send, in the kernel's words, and what is refused in theirs."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.responses.answer import composed
from gateway.http.responses.items import packed
from gateway.http.responses.request import Prepared, Surroundings, prepare
from gateway.http.responses.schema import Create
from gateway.http.visit import decode
from services.chassis.rpc import methods
from services.chassis.rpc.errors import InvalidRequest, KernelError, MalformedRequest
from services.chassis.rpc.steps import validation
from tests.fakes.examples import examples

DIGITS = "0" * 32
ADD = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}
SHELL = {"type": "custom", "name": "shell", "format": {"type": "grammar", "definition": "start: /x/"}}
TEAM = {"type": "namespace", "name": "team", "tools": [{**ADD, "name": "spawn"}]}
ASK = {"role": "user", "content": "ask"}
CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "2"}


def read(body: Any, earlier: Sequence[chat_pb2.ChatMessage] = (), **headers: str) -> Prepared:
    """Read a body as the door does."""
    asked = decode(json.dumps(body).encode(), Create)
    return prepare(asked, Surroundings(DIGITS, "tiny", headers.get, 0.5, earlier))


def said(prepared: Prepared) -> list[tuple[str, str]]:
    """Return role and content of each message."""
    return [(chat_pb2.Role.Name(each.role)[5:], each.content) for each in prepared.generation.messages]


def refused(body: Any) -> str:
    """Name the field that a body is refused for."""
    with pytest.raises(KernelError) as error:
        read(body)
    return error.value.violations[0].field if error.value.violations else error.value.reason


def test_a_text_is_one_message_of_the_user() -> None:
    assert said(read({"input": "hello"})) == [("USER", "hello")]
    assert said(read({"input": "hello", "instructions": "be brief"})) == [
        ("SYSTEM", "be brief"),
        ("USER", "hello"),
    ]
    assert said(read({})) == [("USER", "")]


def test_items_become_messages_in_order_and_calls_one_message() -> None:
    prepared = read(
        {
            "input": [
                {"type": "message", "role": "developer", "content": "be kind"},
                {
                    "role": "user",
                    "content": [{"type": "input_text", "text": "a"}, {"type": "text", "text": "b"}],
                },
                {"type": "reasoning", "id": "rs_1", "summary": [], "content": None},
                {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}},
                {
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "well", "annotations": []}],
                },
                CALL,
                {**CALL, "call_id": "c2", "namespace": "team"},
                OUTPUT,
                {**OUTPUT, "call_id": "c2", "output": [{"type": "input_text", "text": "3"}]},
            ],
            "instructions": "be brief",
        }
    )

    assert said(prepared) == [
        ("SYSTEM", "be brief\n\nbe kind"),
        ("USER", "a\nb"),
        ("ASSISTANT", "well"),
        ("TOOL", "2"),
        ("TOOL", "3"),
    ]
    calls = prepared.generation.messages[2].tool_calls
    assert [(call.id, call.name) for call in calls] == [("c1", "add"), ("c2", "team.add")]
    assert [item["type"] for item in prepared.items] == [
        *("message", "message", "message", "function_call"),
        *("function_call", "function_call_output", "function_call_output"),
    ]
    assert len({item["id"] for item in prepared.items}) == len(prepared.items)


def test_tools_of_every_kind_are_functions_to_the_kernel_and_are_told_back_as_they_were() -> None:
    hosted = {"type": "web_search"}
    prepared = read({"input": "x", "tools": [ADD, SHELL, TEAM, hosted, {"type": "unheard_of"}]})
    finished = pb.Finished(reason=pb.FINISH_REASON_TOOL_CALLS)
    for name, arguments in (("add", '{"a":1}'), ("shell", '{"input":"ls -l"}'), ("team.spawn", "{}")):
        finished.message.tool_calls.add(id="call_0", name=name, arguments_json=arguments)
    made = composed(finished, "", digits=DIGITS, offered=prepared.offered)

    assert [tool.name for tool in prepared.generation.tools] == ["add", "shell", "team.spawn"]
    assert "start: /x/" in prepared.generation.tools[1].description
    assert len(prepared.offered.echo) == 3
    plain, custom, spaced = made.output
    assert (plain["type"], plain["name"], plain["arguments"]) == ("function_call", "add", '{"a":1}')
    assert (custom["type"], custom["name"], custom["input"]) == ("custom_tool_call", "shell", "ls -l")
    assert (spaced["name"], spaced["namespace"]) == ("spawn", "team")
    assert len({item["call_id"] for item in made.output}) == 3


def test_a_custom_tools_call_comes_back_as_its_text() -> None:
    call = {"type": "custom_tool_call", "call_id": "c1", "name": "shell", "input": "ls"}
    output = {"type": "custom_tool_call_output", "call_id": "c1", "output": "a file"}
    prepared = read({"input": [ASK, call, output], "tools": [SHELL]})

    assert prepared.generation.messages[1].tool_calls[0].arguments_json == '{"input":"ls"}'
    assert prepared.items[1]["input"] == "ls"


def test_tools_may_come_among_the_items() -> None:
    prepared = read(
        {"input": [{"type": "additional_tools", "role": "developer", "tools": [TEAM, SHELL]}, ASK]}
    )

    assert [tool.name for tool in prepared.generation.tools] == ["team.spawn", "shell"]
    assert prepared.echo["tools"] == []


@pytest.mark.parametrize(
    ("choice", "mode", "name", "offered"),
    [
        (None, pb.TOOL_CHOICE_AUTO, "", ["add", "shell", "team.spawn"]),
        ("none", pb.TOOL_CHOICE_UNSPECIFIED, "", []),
        ("required", pb.TOOL_CHOICE_REQUIRED, "", ["add", "shell", "team.spawn"]),
        ({"type": "function", "name": "add"}, pb.TOOL_CHOICE_REQUIRED, "add", ["add", "shell", "team.spawn"]),
        (
            {"type": "custom", "name": "shell"},
            pb.TOOL_CHOICE_REQUIRED,
            "shell",
            ["add", "shell", "team.spawn"],
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "add"}]},
            *(pb.TOOL_CHOICE_REQUIRED, "", ["add"]),
        ),
    ],
)
def test_the_choice_of_tools(choice: Any, mode: Any, name: str, offered: list[str]) -> None:
    asked = read({"input": "x", "tools": [ADD, SHELL, TEAM], "tool_choice": choice}).generation

    assert (asked.tool_choice, asked.tool_choice_name) == (mode, name)
    assert [tool.name for tool in asked.tools] == offered


def test_what_else_is_asked_reaches_the_kernel() -> None:
    asked = read(
        {
            "input": "x",
            "max_output_tokens": 7,
            "temperature": 1.5,
            "top_p": 0.5,
            "top_logprobs": 3,
            "parallel_tool_calls": False,
            "tools": [ADD],
            "prompt_cache_key": "session",
            "service_tier": "flex",
        }
    ).generation
    plain = read(
        {"input": "x", "include": ["message.output_text.logprobs", "file_search_call.results"]}
    ).generation

    assert (asked.max_tokens, asked.fit_max_tokens, asked.max_tool_calls) == (7, True, 1)
    assert (asked.sampling.temperature, asked.sampling.top_p) == (1.5, 0.5)
    assert (asked.logprobs, asked.top_alternatives, asked.affinity_key) == (True, 3, "session")
    assert asked.hints.scheduling_class
    assert (plain.logprobs, plain.top_alternatives, plain.sampling.temperature) == (True, 0, 0.5)


def test_a_format_is_a_constraint() -> None:
    form = {
        "type": "json_schema",
        "name": "trip",
        "schema": {"type": "object", "properties": {}},
        "strict": True,
    }
    prepared = read({"input": "x", "text": {"format": form}})

    assert json.loads(prepared.generation.constraint.json_schema)["type"] == "object"
    assert prepared.echo["text"]["format"]["name"] == "trip"


def test_what_goes_before_stands_between_instructions_and_input() -> None:
    earlier = [
        chat_pb2.ChatMessage(role=chat_pb2.ROLE_USER, content="before"),
        chat_pb2.ChatMessage(role=chat_pb2.ROLE_ASSISTANT, tool_calls=[{"id": "c1", "name": "add"}]),
    ]
    prepared = read({"input": [OUTPUT], "instructions": "be brief"}, earlier)

    assert [role for role, _ in said(prepared)] == ["SYSTEM", "USER", "ASSISTANT", "TOOL"]
    assert [each.content for each in prepared.own] == ["2"]
    assert prepared.words.translate("messages[3].content") == "input[0].content"


def test_a_conversation_is_bounded_wherever_its_messages_come_from() -> None:
    earlier = [chat_pb2.ChatMessage(role=chat_pb2.ROLE_USER, content="before")] * 1000
    packs = [{"type": "compaction", "encrypted_content": packed(earlier[:600])}] * 2

    with pytest.raises(InvalidRequest) as long:
        read({"input": [ASK] * 30}, earlier)
    assert long.value.violations[0].field == "input"
    assert refused({"input": packs}) == "input[1].encrypted_content"


def test_a_compaction_stands_for_its_messages() -> None:
    call = chat_pb2.ChatMessage(role=chat_pb2.ROLE_ASSISTANT, tool_calls=[{"id": "c1", "name": "add"}])
    item = {"type": "compaction", "encrypted_content": packed([call])}

    assert said(read({"input": [item, OUTPUT]})) == [("ASSISTANT", ""), ("TOOL", "2")]
    for broken in ("", "%%%", "bm8=", 7, packed([chat_pb2.ChatMessage()])):
        assert refused({"input": [{**item, "encrypted_content": broken}]}) == "input[0].encrypted_content"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"content": "x"}]}, "input[0].type"),
        ({"input": [ASK, {"type": "poem"}]}, "input[1].type"),
        ({"input": [OUTPUT]}, "input[0].call_id"),
        ({"input": [CALL, {**OUTPUT, "output": 7}]}, "input[1].output"),
        ({"input": [{**CALL, "arguments": "{"}]}, "input[0].arguments"),
        ({"input": [{**CALL, "arguments": 7}]}, "input[0].arguments"),
        ({"input": [{**CALL, "name": ""}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [CALL, {**OUTPUT, "output": [{"type": "input_file"}]}]}, "input[1].output[0]"),
        ({"input": "x", "tools": [{**ADD, "name": "a b"}]}, "tools[0].name"),
        ({"input": "x", "tools": [{**ADD, "parameters": []}]}, "tools[0].parameters"),
        ({"input": "x", "tools": [7]}, "tools[0]"),
        ({"input": "x", "tools": [{**ADD, "name": 7}]}, "tools[0].name"),
        ({"input": "x", "tool_choice": "required"}, "tool_choice"),
        ({"input": "x", "tool_choice": "perhaps"}, "tool_choice"),
        ({"input": "x", "tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"input": "x", "tools": [ADD], "tool_choice": {"type": "function", "name": "b"}}, "tool_choice"),
        ({"input": "x", "text": {"format": {"type": "poem"}}}, "text.format.type"),
        ({"input": "x", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "x", "temperature": 3}, "temperature"),
        ({"input": "x", "top_logprobs": 6}, "top_logprobs"),
        ({"input": "x", "truncation": "perhaps"}, "truncation"),
        ({"input": "x", "prompt": {"id": "p"}}, "prompt"),
        ({"input": "x", "metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"input": "x", "metadata": {"a": "b" * 513}}, "metadata.a"),
        ({"input": [ASK] * 1025}, "input"),
        ({"input": 7}, "input"),
    ],
)
def test_what_cannot_be_is_refused_by_the_clients_name_of_it(body: Any, field: str) -> None:
    assert refused(body) == field


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KINDS = (
    *("message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"),
    *("additional_tools", "compaction", "item_reference", "reasoning", "other"),
)
ITEM_FIELDS = (
    *("id", "role", "content", "call_id", "name", "namespace", "arguments", "input", "output", "tools"),
    "encrypted_content",
)
LIKELY = JSON | st.sampled_from(
    ["user", "assistant", "c1", "add", "{}", "text", [{"type": "text", "text": "x"}]]
)
ITEM = st.fixed_dictionaries({"type": st.sampled_from(KINDS)}, optional=dict.fromkeys(ITEM_FIELDS, LIKELY))
TOOL = st.fixed_dictionaries(
    {"type": st.sampled_from(("function", "custom", "namespace", "other"))},
    optional=dict.fromkeys(("name", "description", "parameters", "strict", "tools", "format"), LIKELY),
)
BODY = st.fixed_dictionaries(
    {"input": st.lists(ITEM | JSON, max_size=4) | JSON},
    optional={
        "tools": st.lists(TOOL | JSON, max_size=3) | JSON,
        **{name: JSON for name in Create.__struct_fields__ if name not in {"input", "tools"}},
    },
)


@settings(max_examples=examples(150))
@given(body=BODY)
def test_any_json_is_a_valid_request_or_a_typed_refusal(body: Any) -> None:
    try:
        prepared = read(body)
    except KernelError:
        return
    asked = prepared.generation
    method = methods.table(pb.DESCRIPTOR)["/aios.api.inference.v1.InferenceService/Generate"]
    validation.validate(method, asked)
    json.dumps(prepared.items)
    decode(json.dumps({"input": prepared.items}).encode(), Create)


@given(text=st.text(max_size=40))
def test_any_text_is_a_request_or_is_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest, MalformedRequest):
        decode(text.encode("utf-8", "surrogatepass"), Create)
