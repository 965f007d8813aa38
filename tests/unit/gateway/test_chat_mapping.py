"""Chat completions: from a client's JSON to what the kernel is asked for."""

import json
from typing import Any

import msgspec
import protovalidate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.api.agent.v1 import agent_pb2
from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.chat.request import read
from gateway.http.chat.schema import Body
from gateway.http.visit import decode
from services.chassis.rpc.errors import KernelError
from tests.unit.gateway.chats import HELLO, TOOLS, chat

VALID = protovalidate.Validator()


def asked(**fields: Any) -> pb.GenerateRequest:
    """Return what the kernel is asked for."""
    return chat(**fields).plan.request


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"role": "system", "content": "a"}, chat_pb2.ChatMessage(role="ROLE_SYSTEM", content="a")),
        ({"role": "developer", "content": "a"}, chat_pb2.ChatMessage(role="ROLE_SYSTEM", content="a")),
        (
            {
                "role": "user",
                "name": "Ann",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            chat_pb2.ChatMessage(role="ROLE_USER", content="a\nb", name="Ann"),
        ),
        ({"role": "assistant", "content": None}, chat_pb2.ChatMessage(role="ROLE_ASSISTANT")),
        ({"role": "assistant", "refusal": "no"}, chat_pb2.ChatMessage(role="ROLE_ASSISTANT", content="no")),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            chat_pb2.ChatMessage(role="ROLE_ASSISTANT", content="no"),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "9"}]},
            chat_pb2.ChatMessage(role="ROLE_TOOL", content="9", tool_call_id="c"),
        ),
    ],
)
def test_every_kind_of_message_is_taken(sent: Any, told: chat_pb2.ChatMessage) -> None:
    assert list(asked(messages=[sent]).messages) == [told]


def test_calls_and_their_results_belong_together() -> None:
    messages = [
        {"role": "assistant", "content": "I look."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "x" * 500, "type": "function", "function": {"name": "a", "arguments": '{"n": 1}'}},
                {"id": "y", "type": "custom", "custom": {"name": "b", "input": 'say "hi"'}},
            ],
        },
        {"role": "tool", "tool_call_id": "x" * 500, "content": "1"},
    ]

    told = asked(messages=messages).messages

    assert [each.role for each in told] == [chat_pb2.ROLE_ASSISTANT, chat_pb2.ROLE_TOOL]
    assert told[0].content == "I look."
    assert [(call.name, json.loads(call.arguments_json)) for call in told[0].tool_calls] == [
        ("a", {"n": 1}),
        ("b", {"input": 'say "hi"'}),
    ]
    assert (told[1].tool_call_id, told[1].name) == (told[0].tool_calls[0].id, "a")


@pytest.mark.parametrize(
    ("choice", "offered", "mode", "name"),
    [
        (None, "abc", pb.TOOL_CHOICE_AUTO, ""),
        ("auto", "abc", pb.TOOL_CHOICE_AUTO, ""),
        ("none", "", pb.TOOL_CHOICE_UNSPECIFIED, ""),
        ("required", "abc", pb.TOOL_CHOICE_REQUIRED, ""),
        ({"type": "function", "function": {"name": "b"}}, "abc", pb.TOOL_CHOICE_REQUIRED, "b"),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "c"}}]},
            },
            "c",
            pb.TOOL_CHOICE_AUTO,
            "",
        ),
    ],
)
def test_every_form_of_tool_choice_is_taken(
    choice: Any, offered: str, mode: "pb.ToolChoice", name: str
) -> None:
    request = asked(tools=TOOLS, tool_choice=choice, parallel_tool_calls=False)

    assert "".join(each.name for each in request.tools) == offered
    assert (request.tool_choice, request.tool_choice_name) == (mode, name)
    assert request.max_tool_calls == (1 if offered else 0)


def test_tools_of_unknown_kinds_are_left_out_and_those_with_free_input_get_one_text() -> None:
    tools = [
        {"type": "web_search"},
        {"type": "custom", "custom": {"name": "run", "format": {"type": "grammar"}}},
    ]
    found = chat(tools=tools, tool_choice={"type": "custom", "custom": {"name": "run"}})

    assert [each.name for each in found.plan.request.tools] == ["run"]
    assert found.custom == {"run"}
    assert json.loads(found.plan.request.tools[0].parameters_schema_json)["required"] == ["input"]


def test_schemas_come_through_as_they_were_written() -> None:
    schema = (
        '{"type": "object", "properties": {"n": {"$ref": "#/$defs/a"}}, '
        '"$defs": {"a": {"const": 12345678901234567890}}}'
    )
    body = (
        '{"messages": [{"role": "user", "content": "a"}], "response_format": {"type": "json_schema", '
        f'"json_schema": {{"name": "x", "strict": true, "schema": {schema}}}}}}}'
    )
    request = read(
        decode(body.encode(), Body), header=lambda _: None, resolve=str, temperature=0
    ).plan.request

    assert request.constraint.json_schema == schema


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"max_tokens": 7, "max_completion_tokens": 9}, {"max_tokens": 9}),
        ({"max_tokens": 10**9}, {"max_tokens": 131_072}),
        ({}, {"max_tokens": 0}),
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stop": None}, {"stop": []}),
        ({"logprobs": True, "top_logprobs": 5}, {"logprobs": True, "top_alternatives": 5}),
        ({"prompt_cache_key": "k"}, {"affinity_key": "k"}),
        ({"logit_bias": {"5": 0}, "modalities": ["text"], "function_call": "none", "functions": []}, {}),
        ({"audio": None, "web_search_options": None, "moderation": None, "n": None, "seed": None}, {}),
        (
            {"reasoning_effort": "high", "verbosity": "low", "user": "u", "prediction": {"type": "content"}},
            {},
        ),
        ({"response_format": {"type": "text"}}, {}),
    ],
)
def test_every_field_that_clients_send_is_taken(fields: dict[str, Any], told: dict[str, Any]) -> None:
    request = asked(**fields)

    assert {name: getattr(request, name) for name in told} == told
    assert request.fit_max_tokens
    assert not request.HasField("constraint")


def test_sampling_and_seeds_are_told() -> None:
    found = chat(temperature=0.5, top_p=0.9, frequency_penalty=-1, presence_penalty=2, seed=-(2**53), n=2)
    sampling = found.plan.request.sampling

    assert (sampling.temperature, sampling.top_p) == (0.5, 0.9)
    assert (sampling.frequency_penalty, sampling.presence_penalty) == (-1, 2)
    assert sampling.seed == 0
    assert found.seeds == (-(2**53), 1 - 2**53)


def test_a_tier_becomes_a_class_and_a_session_keeps_calls_together() -> None:
    found = chat({"x-session-affinity": "s"}, service_tier="flex")

    assert found.plan.request.hints.scheduling_class == agent_pb2.SCHEDULING_CLASS_BATCH
    assert found.plan.request.affinity_key == "s"
    assert found.plan.tier.applied == "flex"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"n": 0}, "n", "INVALID_REQUEST"),
        ({"n": 17}, "n", "INVALID_REQUEST"),
        ({"max_tokens": 0}, "max_tokens", "INVALID_REQUEST"),
        ({"max_completion_tokens": -1}, "max_completion_tokens", "INVALID_REQUEST"),
        ({"temperature": 2.5}, "temperature", "INVALID_REQUEST"),
        ({"top_p": 1.5}, "top_p", "INVALID_REQUEST"),
        ({"presence_penalty": 3}, "presence_penalty", "INVALID_REQUEST"),
        ({"stop": ["x"] * 17}, "stop", "INVALID_REQUEST"),
        ({"stop": "x" * 257}, "stop[0]", "INVALID_REQUEST"),
        ({"seed": "one"}, "seed", "INVALID_REQUEST"),
        ({"top_logprobs": 2}, "top_logprobs", "INVALID_REQUEST"),
        ({"top_logprobs": -1, "logprobs": True}, "top_logprobs", "INVALID_REQUEST"),
        ({"top_logprobs": 20, "logprobs": True}, "top_logprobs", "CAPABILITY_MISSING"),
        ({"logit_bias": {"5": -100}}, "logit_bias", "CAPABILITY_MISSING"),
        ({"logit_bias": {"5": "much"}}, "logit_bias", "INVALID_REQUEST"),
        ({"logit_bias": dict.fromkeys(map(str, range(20_000)), 0)}, "logit_bias", "INVALID_REQUEST"),
        ({"modalities": ["text", "audio"]}, "modalities", "CAPABILITY_MISSING"),
        ({"audio": {}}, "audio", "CAPABILITY_MISSING"),
        ({"web_search_options": {}}, "web_search_options", "CAPABILITY_MISSING"),
        ({"moderation": {}}, "moderation", "CAPABILITY_MISSING"),
        ({"functions": [{"name": "f"}]}, "functions", "CAPABILITY_MISSING"),
        ({"function_call": {"name": "f"}}, "function_call", "CAPABILITY_MISSING"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "INVALID_REQUEST"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 3}}},
            "response_format.json_schema.schema",
            "INVALID_REQUEST",
        ),
        ({"tool_choice": "maybe"}, "tool_choice", "INVALID_REQUEST"),
        ({"tool_choice": "required"}, "tool_choice", "INVALID_REQUEST"),
        ({"tool_choice": {"type": "web_search"}, "tools": TOOLS}, "tool_choice", "INVALID_REQUEST"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "z"}}, "tools": TOOLS},
            "tool_choice",
            "INVALID_REQUEST",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "INVALID_REQUEST"),
        (
            {"tools": [{"type": "function", "function": {"name": "a/b"}}]},
            "tools[0].function.name",
            "INVALID_REQUEST",
        ),
        ({"tools": TOOLS * 50}, "tools[3].function.name", "INVALID_REQUEST"),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": "none"}}]},
            "tools[0].function.parameters",
            "INVALID_REQUEST",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "description": "x" * 32_769}}]},
            "tools[0].function.description",
            "INVALID_REQUEST",
        ),
        ({"messages": []}, "messages", "INVALID_REQUEST"),
        ({"messages": HELLO * 1025}, "messages", "INVALID_REQUEST"),
        ({"messages": [{"role": "system", "content": ""}] * 1025}, "messages", "INVALID_REQUEST"),
        ({"messages": [{"role": "system", "content": "x" * 600_000}] * 2}, "messages[1]", "PROMPT_TOO_LONG"),
        ({"messages": [{"role": "user", "content": "é" * 524_289}]}, "messages[0]", "PROMPT_TOO_LONG"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "INVALID_REQUEST"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "INVALID_REQUEST"),
        ({"messages": [{"role": "function", "content": "a"}]}, "messages[0].role", "CAPABILITY_MISSING"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].tool_call_id", "INVALID_REQUEST"),
        (
            {"messages": [{"role": "user", "content": "a", "name": "x" * 129}]},
            "messages[0].name",
            "INVALID_REQUEST",
        ),
        (
            {"messages": [{"role": "assistant", "audio": {"id": "x"}}]},
            "messages[0].audio",
            "CAPABILITY_MISSING",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0]",
            "CAPABILITY_MISSING",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "INVALID_REQUEST",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "a"}}]}]},
            "messages[0].tool_calls[0].id",
            "INVALID_REQUEST",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": ""}}]}]},
            "messages[0].tool_calls[0].function.name",
            "INVALID_REQUEST",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "a", "function": {"name": "a", "arguments": "{"}}],
                    }
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
            "INVALID_REQUEST",
        ),
        ({"model": "x" * 257}, "model", "INVALID_REQUEST"),
    ],
)
def test_what_cannot_be_done_is_refused_by_the_clients_name_of_the_field(
    fields: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(KernelError) as error:
        chat(**fields)

    assert error.value.violations[0].field == param
    assert error.value.reason == code


def test_several_answers_do_not_go_with_a_gang_of_the_clients_own() -> None:
    with pytest.raises(KernelError) as error:
        chat({"aios-gang": "g/2"}, n=2)
    assert error.value.violations[0].field == "n"
    assert chat({"aios-gang": "g/2"}).plan.request.gang.size == 2


def test_the_answers_of_one_request_have_names_and_seeds_of_their_own() -> None:
    plan = chat(seed=2**32 - 1).plan
    plan.request.request_id = "k-" + "0" * 60
    choices = [plan.choice(index, gang="g", size=2, seed=2**32 - 1 + index).request for index in range(2)]
    alone = plan.choice(1, gang="", size=2, seed=None).request

    names = {each.request_id for each in (*choices, alone)}
    assert len(names) == 3
    assert all(len(name) <= 63 for name in names)
    assert [each.sampling.seed for each in choices] == [2**32 - 1, 0]
    assert not alone.HasField("gang")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLAUSIBLE = {
    "role": st.sampled_from(["user", "assistant", "tool", "system", "developer"]),
    "type": st.sampled_from(
        ["function", "text", "custom", "json_schema", "json_object", "allowed_tools", "refusal"]
    ),
    "name": st.text(max_size=140),
    "id": st.text(max_size=140),
    "arguments": st.sampled_from(["", "{}", '{"a": 1}', "[]"]),
    "mode": st.sampled_from(["auto", "required"]),
}


PLAIN: dict[type, st.SearchStrategy[Any]] = {
    msgspec.inspect.StrType: st.text(max_size=20),
    msgspec.inspect.IntType: st.integers(-5, 30) | st.integers(),
    msgspec.inspect.FloatType: st.floats(-3, 3),
    msgspec.inspect.BoolType: st.booleans(),
    msgspec.inspect.NoneType: st.none(),
}


def struct(shape: Any) -> st.SearchStrategy[Any]:
    """Build objects with some of a shape's fields, and with wrong values now and then."""
    fields = {each.encode_name: value(each.encode_name, each.type) for each in msgspec.structs.fields(shape)}
    required = {each.encode_name for each in msgspec.structs.fields(shape) if each.required}
    return st.fixed_dictionaries(
        {name: each for name, each in fields.items() if name in required},
        optional={name: each for name, each in fields.items() if name not in required},
    )


def value(name: str, kind: Any) -> st.SearchStrategy[Any]:
    """Build values of a type; of a name's likely values where there are some."""
    if name in PLAUSIBLE:
        return PLAUSIBLE[name]
    found = msgspec.inspect.type_info(kind)
    return inside(found)


def inside(found: Any) -> st.SearchStrategy[Any]:
    """Build values of an inspected type."""
    if isinstance(found, msgspec.inspect.UnionType):
        return st.one_of([inside(each) for each in found.types])
    if isinstance(found, msgspec.inspect.ListType):
        return st.lists(inside(found.item_type), max_size=3)
    if isinstance(found, msgspec.inspect.StructType):
        return struct(found.cls)
    return PLAIN.get(type(found), JSON)


@given(struct(Body) | JSON)
def test_any_json_becomes_a_request_that_the_kernel_takes_or_a_typed_refusal(body: Any) -> None:
    assert outcome(msgspec.json.encode(body)) in {"INVALID_ARGUMENT", "UNIMPLEMENTED", "taken"}


def outcome(raw: bytes) -> str:
    """Read a body; return the code that it is refused with, or whether the kernel takes what it became."""
    try:
        found = read(decode(raw, Body), header=lambda _: None, resolve=str, temperature=0)
    except KernelError as error:
        return error.code.name
    return "taken" if not VALID.collect_violations(found.plan.request) else "not taken"
