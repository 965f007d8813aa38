"""Tool calls as models write them into their text: read, or left where their caller sees them."""

import json
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConstraintUnmet
from gateway.inference.core.template import parse_output, render_call
from gateway.inference.core.text_calls import MOST_CALLS, MOST_UNREADABLE, written_calls
from gateway.inference.model import GenerationSpec, Prompt, ToolChoice
from gateway.inference.service.answers import message_of
from services.chassis.chat import ChatMessage, Role, ToolDefinition

TOOLS = [ToolDefinition("note", "Keeps a note.", '{"type": "object"}'), ToolDefinition("clock")]
ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)


def read(text: str, choice: ToolChoice = ToolChoice.AUTO) -> tuple[str, list[tuple[str, str]]]:
    """Return the content and the calls of an output."""
    message = parse_output(text, TOOLS, choice)
    return message.content, [(call.name, call.arguments) for call in message.tool_calls]


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        (
            '{"name":"note","arguments":{"text":"a <tool_call>x</tool_call> b"}}',
            '{"text":"a <tool_call>x</tool_call> b"}',
        ),
        ('{"name":"note","arguments":{"text":"</tool_call>"}}', '{"text":"</tool_call>"}'),
        ('{"arguments": {"a": 1.50}, "name": "note"}', '{"a": 1.50}'),
        (
            '{"name":"note","arguments":{"n":123456789012345678901234567890}}',
            '{"n":123456789012345678901234567890}',
        ),
        ('{"name":"note","arguments":null}', "{}"),
        ('{"name":"note"}', "{}"),
        ('{"name":"note","arguments":""}', "{}"),
        ('{"name":"note","arguments":"{\\"a\\": 1}"}', '{"a": 1}'),
        ('{"name":"note","parameters":{"a": 1}}', '{"a": 1}'),
        ('{"name":"note","arguments":{"a":"\\ud83d"}}', '{"a": "\ufffd"}'),
        ('{"name":"note","arguments":{"a":"\\ud83e\\udd17"}}', '{"a":"\\ud83e\\udd17"}'),
        ('{"name":"note","arguments":{"a":"one\ntwo"}}', '{"a": "one\\ntwo"}'),
        ('\n{ "name" : "note" , "id": 7, "arguments" : { } }\n', "{ }"),
    ],
)
@pytest.mark.parametrize("closing", ["</tool_call>", "", "</tool", "\n", "  </tool_call> "])
def test_a_call_is_read_however_it_is_written(written: str, arguments: str, closing: str) -> None:
    assert read(f"Sure. <tool_call>{written}{closing}") == ("Sure.", [("note", arguments)])


@pytest.mark.parametrize(
    "call",
    [
        '{"name":["note"],"arguments":{}}',
        '{"name":null,"arguments":{}}',
        '{"name":{},"arguments":{}}',
        '{"arguments":{}}',
        '{"name":"unknown","arguments":{}}',
        '{"name":"note","arguments":{"a":NaN}}',
        '{"name":"note","arguments":{"a":-Infinity}}',
        '{"name":"note","arguments":{"a":1e400}}',
        '{"name":"note","arguments":[1]}',
        '{"name":"note","arguments":"not json"}',
        '{"name":"note","arguments":7}',
        '{"name":"note","arguments":' + '{"a":' * 500 + "1" + "}" * 500 + "}",
        '{"name":"note","arguments":{"a":"' + "x" * 300_000 + '"}}',
        '{"name":"note","arguments":{}',
        '{"name":"note" "arguments":{}}',
        '{"name":"note","arguments":{}}}',
        '{"name":"note","arguments":{}} and more',
        "{" * 100_000,
        "[" * 100_000,
        "null",
        "",
    ],
)
def test_a_call_that_cannot_be_read_stays_in_the_text(call: str) -> None:
    text = f"Sure. <tool_call>{call}</tool_call>"

    assert read(text) == (text, [])
    assert read(f'{text}<tool_call>{{"name":"clock"}}</tool_call>') == (text, [("clock", "{}")])


@pytest.mark.parametrize(
    "text",
    [
        '<TOOL_CALL>{"name":"clock"}</TOOL_CALL>',
        '<tool_call>[{"name":"clock"}]</tool_call>',
        '<tool_call>{"name":"clock"}{"name":"note"}</tool_call>',
        "<tool_call>{'name': 'clock', 'arguments': {}}</tool_call>",
        '<tool_call>{"name":"clock","arguments":{},}</tool_call>',
        '<tool_call>```json\n{"name":"clock"}\n```</tool_call>',
        '<tool_call>{"type":"function","function":{"name":"clock","arguments":{}}}</tool_call>',
        "<tool_call>clock\n<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>",
        '[TOOL_CALLS][{"name":"clock","arguments":{}}]',
        '[TOOL_CALLS]clock{"a": 1}',
        '<function=clock>{"a": 1}</function>',
        "<tool_call><function=clock><parameter=a>1</parameter></function></tool_call>",
        '<|python_tag|>{"name":"clock","parameters":{}}',
        "```tool_code\nclock()\n```",
        '{"name":"clock","arguments":{}}',
    ],
)
def test_a_call_in_the_form_of_another_family_stays_in_the_text(text: str) -> None:
    """Servers of those models read their form and tell calls apart; here it is told that none was made."""
    spec = GenerationSpec(tools=tuple(TOOLS), tool_choice=ToolChoice.REQUIRED)

    assert read(text) == (text, [])
    with pytest.raises(ConstraintUnmet):
        message_of(spec, Prompt("x", 1), text, (), complete=True, accepts_call=None)


def test_a_call_between_fences_and_text_is_read_and_those_stay() -> None:
    text = '```json\n<tool_call>{"name":"clock"}</tool_call> then <tool_call>{"name":"note"}</tool_call>\n```'

    assert read(text) == ("```json\n then \n```", [("clock", "{}"), ("note", "{}")])


def test_calls_without_a_closing_tag_between_them_are_several() -> None:
    text = '<tool_call>{"name":"note"}\n<tool_call>{"name":"clock"}'

    assert read(text) == ("", [("note", "{}"), ("clock", "{}")])


def test_text_after_a_call_without_a_closing_tag_is_no_end_of_it() -> None:
    text = 'Write <tool_call>{"name":"note"} to call it.'

    assert read(text) == (text, [])


def test_what_the_strings_of_another_object_hold_is_no_call() -> None:
    inner = '<tool_call>{\\"name\\":\\"clock\\"}</tool_call>'
    text = f'<tool_call>{{"name":"unknown","arguments":{{"a":"{inner}"}}}}</tool_call>'

    assert read(text) == (text, [])


def test_calls_and_beginnings_without_end_stay_in_the_text() -> None:
    calls = '<tool_call>{"name":"clock"}</tool_call>' * (MOST_CALLS + 1)
    odd = "<tool_call>{" * MOST_UNREADABLE

    assert len(read(calls)[1]) == MOST_CALLS
    assert read(calls)[0] == '<tool_call>{"name":"clock"}</tool_call>'
    assert read(odd + '<tool_call>{"name":"clock"}')[1] == []


@pytest.mark.parametrize(
    "unit",
    [
        "<tool_call>",
        "<tool_call>{",
        '<tool_call>{"',
        '<tool_call>{"a":"',
        '<tool_call>{"a":[',
        '<tool_call>{"a":1}</tool_call>',
        '<tool_call>{"name":"clock"}',
        '<tool_call>{"name":"clock"} x',
    ],
)
def test_the_work_on_a_hostile_text_grows_with_its_length(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in values that the decoder was asked to read: a bounded number for a beginning."""
    steps = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> Any:
            nonlocal steps
            steps += 1
            return super().raw_decode(s, idx)

    monkeypatch.setattr("gateway.inference.core.text_calls._VALUES", Counting(strict=False))
    text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
    written_calls(text, {"clock"})

    assert steps <= 6 * (MOST_CALLS + MOST_UNREADABLE)


def forced(*calls: str) -> str:
    """Write an output with these calls in the form that is forced."""
    return f'{{"tool_calls": [{", ".join(calls)}]}}'


def test_forced_calls_are_read_the_same_way() -> None:
    text = forced('{"name":"note","arguments":{"a":1.50}}', '{"name":"clock","arguments":null}')

    assert read(text, ToolChoice.REQUIRED) == ("", [("note", '{"a":1.50}'), ("clock", "{}")])


@pytest.mark.parametrize(
    "text",
    [
        forced('{"name":"note","arguments":{"a":NaN}}', '{"name":"clock","arguments":{}}'),
        forced('{"name":["note"],"arguments":{}}'),
        forced("7"),
        forced(),
        '{"tool_calls": 7}',
        '{"tool_calls": [',
        "[]",
        "",
        "{" * 100_000,
    ],
)
def test_a_forced_call_that_cannot_be_read_is_an_unmet_constraint_and_none_of_them_runs(text: str) -> None:
    spec = GenerationSpec(tools=tuple(TOOLS), tool_choice=ToolChoice.REQUIRED)

    assert read(text, ToolChoice.REQUIRED) == (text, [])
    with pytest.raises(ConstraintUnmet):
        message_of(spec, Prompt("x", 1), text, (), complete=True, accepts_call=None)


@given(st.dictionaries(ANY_TEXT, JSON, max_size=3), st.booleans())
def test_any_arguments_are_handed_on_strictly_or_left_in_the_text(arguments: Any, ascii_only: bool) -> None:  # noqa: FBT001 - drawn
    call = json.dumps({"name": "note", "arguments": arguments}, ensure_ascii=ascii_only)
    text = f"<tool_call>{call}</tool_call>"
    content, calls = read(text)

    assert (content == text) == (not calls)
    for _, strict in calls:
        assert isinstance(orjson.loads(strict), dict)


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53), max_size=4))
def test_a_rendered_call_is_read_back_as_it_was(arguments: dict[str, Any]) -> None:
    content, [(_, told)] = read(render_call("note", json.dumps(arguments)))

    assert (content, json.loads(told)) == ("", arguments)


PIECES = st.sampled_from(
    [
        "<tool_call>",
        "</tool_call>",
        "{",
        "}",
        '"',
        ":",
        ",",
        "[",
        "]",
        "\\",
        " ",
        "\n",
        "name",
        '"name"',
        '"clock"',
        '"arguments"',
        "{}",
        "null",
        "NaN",
        "x",
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_whatever_a_model_writes_nothing_of_it_is_lost(text: str) -> None:
    calls = written_calls(text, {"clock"})
    message = parse_output(text, TOOLS, ToolChoice.AUTO)

    assert all(first.end <= second.start for first, second in pairwise(calls))
    assert len(message.tool_calls) == len(calls)
    if not calls:
        assert message == ChatMessage(Role.ASSISTANT, text)
