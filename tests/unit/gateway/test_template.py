"""Chats with tools as plain messages, and output as tool calls."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConstraintInvalid
from gateway.inference.core.constraints import CompilingChecker
from gateway.inference.core.json_text import UNREADABLE
from gateway.inference.core.template import parse_output, plain_messages, render_call
from gateway.inference.core.tool_prompt import tool_lines
from gateway.inference.core.tool_schemas import forced_call_constraint
from gateway.inference.model import ToolChoice
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition

CALCULATOR = ToolDefinition(
    "calculator",
    "Evaluate an arithmetic expression.\nMore text.",
    json.dumps(
        {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}
    ),
)
RECALL = ToolDefinition(
    "recall",
    "Read a note.",
    json.dumps(
        {
            "type": "object",
            "properties": {"key": {"type": "string"}, "agent": {"type": "string"}},
            "required": ["key"],
        }
    ),
)
CLOCK = ToolDefinition("clock", "Tell the time.", "")

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_tool_is_shown_as_one_line_with_optional_parameters_marked() -> None:
    assert tool_lines(RECALL) == ["recall(key: string, agent?: string): Read a note."]
    assert tool_lines(CLOCK) == ["clock(): Tell the time."]


def test_tools_are_folded_into_the_system_message() -> None:
    messages = plain_messages([ChatMessage(Role.SYSTEM, "Be kind."), ChatMessage(Role.USER, "hi")], [CLOCK])

    assert messages[0].content.startswith("Be kind.\n\n# Tools\nclock(): Tell the time.\nReply with ")
    assert messages[1] == ChatMessage(Role.USER, "hi")


def test_tools_without_a_system_message_make_one() -> None:
    messages = plain_messages([ChatMessage(Role.USER, "hi")], [CLOCK])

    assert [message.role for message in messages] == [Role.SYSTEM, Role.USER]


def test_several_calls_of_one_answer_are_found_and_the_text_around_them_is_kept() -> None:
    text = (
        'Sure. <tool_call>{"name": "calculator", "arguments": {"expression": "1+2"}}</tool_call>\n'
        '<tool_call>{"name": "recall", "arguments": {"key": "x"}}</tool_call>'
    )

    message = parse_output(text, [CALCULATOR, RECALL], ToolChoice.AUTO)

    assert message.content == "Sure."
    assert [(call.name, json.loads(call.arguments)) for call in message.tool_calls] == [
        ("calculator", {"expression": "1+2"}),
        ("recall", {"key": "x"}),
    ]
    assert len({call.id for call in message.tool_calls}) == 2


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>not json</tool_call>",
        '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "clock", "arguments": []}</tool_call>',
        '<tool_call>{"name": "clock"',
        "<tool_call>" + "[" * 100_000 + "</tool_call>",
    ],
)
def test_what_is_no_call_of_a_known_tool_stays_text(text: str) -> None:
    assert parse_output(text, [CLOCK], ToolChoice.AUTO) == ChatMessage(Role.ASSISTANT, text)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_a_rendered_call_is_read_back_as_it_was(arguments: dict[str, object]) -> None:
    rendered = render_call("clock", json.dumps(arguments))

    message = parse_output(rendered, [CLOCK], ToolChoice.AUTO)

    if "</tool_call>" not in json.dumps(arguments, ensure_ascii=False):
        assert [json.loads(call.arguments) for call in message.tool_calls] == [arguments]


def test_a_history_with_calls_is_rendered_the_way_the_model_writes_them() -> None:
    call = ToolCall("1", "clock", "{}")

    [message] = plain_messages([ChatMessage(Role.ASSISTANT, "", (call,))], [])

    assert message.content == '<tool_call>{"name": "clock", "arguments": {}}</tool_call>'


def test_a_forced_call_is_constrained_to_the_tools_offered() -> None:
    accepts = CompilingChecker().compile(forced_call_constraint([CALCULATOR, RECALL]))
    good = '{"tool_calls": [{"name": "recall", "arguments": {"key": "x"}}]}'

    assert accepts(good)
    assert not accepts('{"tool_calls": []}')
    assert not accepts('{"tool_calls": [{"name": "other", "arguments": {}}]}')
    message = parse_output(good, [CALCULATOR, RECALL], ToolChoice.REQUIRED)
    assert [call.name for call in message.tool_calls] == ["recall"]


def test_tool_parameters_that_are_no_json_object_are_refused() -> None:
    with pytest.raises(ConstraintInvalid):
        plain_messages([ChatMessage(Role.USER, "hi")], [ToolDefinition("t", "d", "[1")])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "properties", "required", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_parameters_of_a_tool_are_shown_or_refused(schema: object) -> None:
    tool = ToolDefinition("t", "does", json.dumps(schema))
    try:
        line = tool_lines(tool)[0]
    except ConstraintInvalid:
        return

    assert line.startswith("t(")


@pytest.mark.parametrize("arguments", ["{", "[" * 20_000, "nonsense", '{"a": NaN}', "[1]"])
def test_arguments_that_a_model_wrote_in_vain_are_shown_as_they_are(arguments: str) -> None:
    message = ChatMessage(Role.ASSISTANT, "", (ToolCall("1", "t", arguments),))
    [shown] = plain_messages([message], [])

    written = shown.content.removeprefix("<tool_call>").removesuffix("</tool_call>")
    assert json.loads(written) == {"name": "t", "arguments": {UNREADABLE: arguments}}
