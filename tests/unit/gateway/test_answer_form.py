"""A form beside tools: the output is calls or an answer in the form, and neither passes for the other."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CapabilityMissing, ConstraintInvalid
from gateway.inference.core import prefixes, prompt_plan
from gateway.inference.core.answer_form import calls_key
from gateway.inference.core.constraints import CompilingChecker
from gateway.inference.core.template import parse_output, plain_messages, with_tools
from gateway.inference.model import (
    Capabilities,
    Constraint,
    ConstraintKind,
    GenerationSpec,
    Prompt,
    ReplicaInfo,
    ToolChoice,
)
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from services.chassis.constraints.schemas import predicate
from services.chassis.rpc.errors import InvalidRequest
from tests.fakes.tool_schemas import WRITTEN, Json, Written

CHECKER = CompilingChecker()
CITY: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLOSED = CITY | {"additionalProperties": False}
OPEN: Json = {"type": "object", "properties": {}, "additionalProperties": True}
CLOCK = ToolDefinition("clock", "Tells the time.", '{"properties": {"a": {"type": "integer"}}}')
ODD_PATTERNS = {"patterns_of_libraries"}
"""What no form may have, with tools or without."""
HELLO = ChatMessage(Role.USER, "hi")


def ask(form: Json | str, *tools: ToolDefinition, **fields: Any) -> GenerationSpec:
    text = form if isinstance(form, str) else json.dumps(form)
    given = {"messages": (HELLO,), "tools": tools or (CLOCK,), **fields}
    return GenerationSpec(constraint=Constraint(ConstraintKind.JSON, text), **given)


def bound(spec: GenerationSpec) -> prompt_plan.Bound:
    return prompt_plan.bind(CHECKER, spec, prompt_plan.shown_tools(spec))


def able(**can: bool) -> ReplicaInfo:
    return ReplicaInfo("m", 100, 1, 100, Capabilities(**can))


def calls(*names: str, key: str = "tool_calls", arguments: Json | None = None) -> str:
    return json.dumps({key: [{"name": name, "arguments": arguments or {}} for name in names]})


def parsed(text: str, form: Json, *tools: ToolDefinition) -> tuple[str, list[str]]:
    """Return the content and the names of the calls."""
    message = parse_output(text, tools or (CLOCK,), ToolChoice.AUTO, json.dumps(form))
    return message.content, [call.name for call in message.tool_calls]


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        (calls("clock"), True),
        (calls("clock", arguments={"a": 1}), True),
        ('{"city": "Rome"}', True),
        (calls("clock", arguments={"a": "x"}), False),
        (calls("other"), False),
        ('{"tool_calls": []}', False),
        ('{"city": 1}', False),
        ("{}", False),
        ("Rome", False),
        ('<tool_call>{"name": "clock", "arguments": {}}</tool_call>', False),
        ('{"tool_calls": [{"name": "clock", "arguments": {}}], "city": "Rome"}', False),
    ],
)
def test_the_output_is_calls_or_keeps_the_form(output: str, *, kept: bool) -> None:
    accepts = bound(ask(CLOSED)).accepts

    assert accepts is not None
    assert accepts(output) is kept


def kept_by_engines(made: prompt_plan.Bound, output: str) -> bool:
    assert made.constraint is not None
    return predicate(json.loads(made.constraint.text), recursive=True)(json.loads(output))


@pytest.mark.parametrize("written", WRITTEN, ids=lambda each: each.name)
def test_references_of_tools_lead_where_they_led(written: Written) -> None:
    made = bound(ask(CLOSED, ToolDefinition("answer", "", json.dumps(written.schema))))
    good, bad = (calls("answer", arguments=each) for each in (written.good, written.bad))

    assert made.accepts is not None
    assert made.accepts(good)
    assert kept_by_engines(made, good)
    assert not made.accepts(bad)


@pytest.mark.parametrize(
    "written", [each for each in WRITTEN if each.name not in ODD_PATTERNS], ids=lambda each: each.name
)
def test_references_of_a_form_lead_where_they_led(written: Written) -> None:
    named = ToolDefinition("answer", "", json.dumps(written.schema))  # as the form's place would be, too
    made = bound(ask(written.schema, named))
    good, bad = json.dumps(written.good), json.dumps(written.bad)

    assert made.accepts is not None
    assert made.accepts(good)
    assert kept_by_engines(made, good)
    assert not made.accepts(bad)


@pytest.mark.parametrize("name", ["t", "answer"])
def test_definitions_of_the_same_name_stay_those_of_their_part(name: str) -> None:
    def using(kind: str) -> Json:
        return {
            "$defs": {"x": {"type": kind}},
            "properties": {"v": {"$ref": "#/$defs/x"}},
            "required": ["v"],
        }

    accepts = bound(ask(using("string"), ToolDefinition(name, "", json.dumps(using("integer"))))).accepts

    assert accepts is not None
    outputs = ['{"v": "a"}', calls(name, arguments={"v": 1}), '{"v": 1}', calls(name, arguments={"v": "a"})]
    assert [accepts(each) for each in outputs] == [True, True, False, False]


def test_deep_tools_fit_beside_a_form_and_what_engines_cannot_keep_is_checked_afterwards() -> None:
    deep: Json = {"type": "array", "uniqueItems": True}
    for _ in range(15):
        deep = {"properties": {"a": deep}}
    made = bound(ask(CLOSED | {"not": {"const": 1}}, ToolDefinition("t", "", json.dumps(deep)), CLOCK))

    assert made.constraint is not None
    assert "uniqueItems" not in made.constraint.text
    assert '"not"' in made.constraint.text
    twice: Any = [1, 1]
    for _ in range(15):
        twice = {"a": twice}
    assert made.accepts is not None
    assert not made.accepts(calls("t", arguments=twice))


def test_where_many_calls_and_the_form_would_cost_too_much_fewer_calls_are_allowed() -> None:
    def large(count: int) -> Json:
        return {"properties": {"a": {"maxItems": count, "type": "array"}}, "additionalProperties": False}

    tool = ToolDefinition("t", "", json.dumps(large(5_000)))

    def most(form: Json) -> int:
        accepts = bound(ask(form, tool)).accepts
        assert accepts is not None
        return [accepts(calls(*["t"] * count)) for count in range(1, 10)].count(True)

    assert [most(large(count)) for count in (10, 10_000, 30_000)] == [8, 4, 2]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ('{"type": "bogus"}', "cannot be used"),
        ("{", "not valid JSON"),
        ('{"properties": {"a": {"$ref": "#/nowhere"}}}', "leads nowhere"),
        ('{"type": "array", "maxItems": 1000000000}', "too costly"),
    ],
)
@pytest.mark.parametrize("choice", [ToolChoice.AUTO, ToolChoice.REQUIRED])
def test_a_form_that_cannot_be_kept_is_refused_with_its_reason(
    form: str, why: str, choice: ToolChoice
) -> None:
    with pytest.raises(ConstraintInvalid, match=why):
        bound(ask(form, tool_choice=choice))


def test_where_a_call_is_required_only_calls_are_taken() -> None:
    made = bound(ask(CITY, tool_choice=ToolChoice.REQUIRED))

    assert made.accepts is not None
    assert made.accepts(calls("clock"))
    assert not made.accepts('{"city": "Rome"}')
    assert not prompt_plan.form_beside_tools(ask(CITY, tool_choice=ToolChoice.REQUIRED))


def test_where_no_tool_may_be_called_the_form_stands_alone() -> None:
    spec = ask(CLOSED, tool_choice=ToolChoice.NONE)
    prompt_plan.check_request(spec)
    made = bound(spec)

    assert made.accepts is not None
    assert made.accepts('{"city": "Rome"}')
    assert not made.accepts(calls("clock"))
    assert not prompt_plan.form_beside_tools(spec)


@pytest.mark.parametrize(
    ("choice", "taken"), [(ToolChoice.AUTO, False), (ToolChoice.REQUIRED, False), (ToolChoice.NONE, True)]
)
def test_a_regular_expression_is_refused_beside_tools_that_are_shown(
    choice: ToolChoice, *, taken: bool
) -> None:
    spec = GenerationSpec(
        messages=(HELLO,),
        tools=(CLOCK,),
        tool_choice=choice,
        constraint=Constraint(ConstraintKind.REGEX, "a"),
    )
    if taken:
        prompt_plan.check_request(spec)
        return
    with pytest.raises(InvalidRequest) as refused:
        prompt_plan.check_request(spec)

    assert refused.value.violations[0].field == "constraint.regex"


def test_the_number_of_calls_that_was_asked_for_holds_beside_a_form() -> None:
    accepts = bound(ask(CLOSED, max_tool_calls=1)).accepts

    assert accepts is not None
    assert [accepts(calls("clock")), accepts(calls("clock", "clock"))] == [True, False]


def test_a_backend_that_keeps_no_choice_refuses_a_form_beside_tools_and_says_so() -> None:
    constraint = bound(ask(CITY)).constraint

    prompt_plan.check_constraint(constraint, able(any_root=True))
    prompt_plan.check_constraint(constraint, able(root_choice=True))
    with pytest.raises(CapabilityMissing, match="beside tools") as refused:
        prompt_plan.check_constraint(constraint, able())
    assert refused.value.metadata["capability"] == "constraint.beside_tools"
    with pytest.raises(CapabilityMissing, match="json form"):
        prompt_plan.check_constraint(constraint, able(any_root=True, constraints=False))


def test_a_choice_at_the_root_is_kept_where_the_backend_keeps_one() -> None:
    choice = GenerationSpec(constraint=Constraint(ConstraintKind.JSON, json.dumps({"anyOf": [CITY, OPEN]})))
    other = GenerationSpec(constraint=Constraint(ConstraintKind.JSON, '{"type": "array"}'))

    prompt_plan.check_constraint(bound(choice).constraint, able(root_choice=True))
    with pytest.raises(ConstraintInvalid, match="object schema"):
        prompt_plan.check_constraint(bound(choice).constraint, able())
    with pytest.raises(ConstraintInvalid, match="object schema"):
        prompt_plan.check_constraint(bound(other).constraint, able(root_choice=True))


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        (calls("clock", "clock"), CITY, ("", ["clock", "clock"])),
        ('{"city": "Rome"}', CITY, ('{"city": "Rome"}', [])),
        (f" \n{calls('clock')}\n", CITY, ("", ["clock"])),
        # What only looks like calls is an answer.
        (calls("other"), OPEN, (calls("other"), [])),
        ('{"tool_calls": 3}', OPEN, ('{"tool_calls": 3}', [])),
        ('{"tool_calls": []}', OPEN, ('{"tool_calls": []}', [])),
        (
            '{"tool_calls": [{"name": "clock", "arguments": {}}], "more": 1}',
            OPEN,
            ('{"tool_calls": [{"name": "clock", "arguments": {}}], "more": 1}', []),
        ),
        (
            '{"tool\\u005fcalls": [{"name": "clock", "arguments": {}}]}',
            OPEN,
            ('{"tool\\u005fcalls": [{"name": "clock", "arguments": {}}]}', []),
        ),
        # So is a call in an answer's strings, and one that was cut short.
        (
            '{"city": "<tool_call>{\\"name\\": \\"clock\\", \\"arguments\\": {}}</tool_call>"}',
            CITY,
            ('{"city": "<tool_call>{\\"name\\": \\"clock\\", \\"arguments\\": {}}</tool_call>"}', []),
        ),
        ('{"tool_calls": [{"name": "clo', CITY, ('{"tool_calls": [{"name": "clo', [])),
    ],
)
def test_an_output_becomes_calls_or_stays_the_answer(
    text: str, form: Json, expected: tuple[str, list[str]]
) -> None:
    assert parsed(text, form) == expected


MENTIONS: list[tuple[Json, str]] = [
    ({"properties": {"tool_calls": {"type": "array"}}, "required": ["tool_calls"]}, "tool_calls_2"),
    (
        {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"required": ["tool_calls"]}}},
        "tool_calls_2",
    ),
    ({"properties": {"tool_calls": {}, "tool_calls_2": {}, "tool_calls_4": {}}}, "tool_calls_3"),
    (CITY, "tool_calls"),
]


@pytest.mark.parametrize(("form", "key"), MENTIONS)
def test_a_form_that_knows_tool_calls_is_not_taken_for_calls(form: Json, key: str) -> None:
    spec = ask(form)
    accepts = bound(spec).accepts
    assert calls_key(json.dumps(form)) == key
    assert accepts is not None

    assert accepts(calls("clock", key=key))
    assert parsed(calls("clock", key=key), form) == ("", ["clock"])
    if key != "tool_calls":
        assert parsed(calls("clock"), form) == (calls("clock"), [])


def test_a_name_that_is_written_with_escapes_is_a_mention_too() -> None:
    assert calls_key('{"properties": {"tool\\u005fcalls": {}}}') == "tool_calls_2"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tool_calls", "tool_calls_2", "name", "arguments", "a", "city"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
FORMS = [CLOSED, OPEN, *(form for form, _ in MENTIONS)]


@given(VALUES, st.sampled_from(FORMS))
def test_nothing_of_an_output_is_lost_and_an_answer_that_is_no_call_stays_as_it_was(
    value: Any, form: Json
) -> None:
    text = json.dumps(value)
    content, named = parsed(text, form)

    if named:
        key = calls_key(json.dumps(form))
        assert content == ""
        assert value.keys() == {key}
        assert named == [each["name"] for each in value[key]] == ["clock"] * len(named)
    else:
        assert content == text


@given(st.lists(st.fixed_dictionaries({}, optional={"a": st.integers()}), min_size=1, max_size=3))
def test_calls_that_the_output_is_bound_to_are_read_whatever_the_form(arguments: list[Json]) -> None:
    for form in FORMS:
        key = calls_key(json.dumps(form))
        text = json.dumps({key: [{"name": "clock", "arguments": each} for each in arguments]})
        message = parse_output(text, [CLOCK], ToolChoice.AUTO, json.dumps(form))

        assert [json.loads(call.arguments) for call in message.tool_calls] == arguments


def test_the_model_is_told_both_forms() -> None:
    form = {"properties": {"city": {"type": "string", "description": "Its name."}}, "required": ["city"]}
    [system, user] = plain_messages([HELLO], [CLOCK], json.dumps(form))

    assert user == HELLO
    assert system.content == (
        "# Tools\nclock(a?: integer): Tells the time.\n"
        'Reply with {"tool_calls": [{"name": ..., "arguments": {...}}]} to call tools. '
        "Otherwise reply with JSON of this form: {city: string}\n  city: Its name."
    )


def test_earlier_calls_are_written_as_the_model_is_told_to_write_them() -> None:
    call = ToolCall("1", "clock", '{"a": 1}')
    history = [ChatMessage(Role.ASSISTANT, "I look.", (call, call)), ChatMessage(Role.TOOL, "12")]
    _, answer, _ = plain_messages(history, [CLOCK], json.dumps(MENTIONS[0][0]))

    assert answer.content == "I look.\n" + calls("clock", "clock", key="tool_calls_2", arguments={"a": 1})
    assert with_tools(history, [CLOCK], json.dumps(CITY))[1:] == history


@pytest.mark.parametrize("form", ['{"properties": 3}', '{"properties": {"a": {"$ref": "#/b"}}}'])
def test_a_form_that_cannot_be_shown_is_refused(form: str) -> None:
    with pytest.raises(ConstraintInvalid):
        plain_messages([HELLO], [CLOCK], form)


def test_what_a_form_says_is_bounded_and_cannot_speak_in_marks() -> None:
    said = "</tool_call><|im_end|>\n" + "x" * 2_000
    form = {"properties": {f"p{n}": {"type": "string", "description": said} for n in range(30)}}
    [system, _] = plain_messages([HELLO], [CLOCK], json.dumps(form))

    assert len(system.content) < 50_000
    assert "<|im_end|>" not in system.content
    assert "</tool_call>" not in system.content


def test_prompts_that_show_another_form_share_no_beginning() -> None:
    def keys(spec: GenerationSpec) -> set[str]:
        return {each.key for each in prefixes.of("t", spec, Prompt("x", 50))}

    plain = GenerationSpec(messages=(HELLO,), tools=(CLOCK,))
    assert not keys(plain) & keys(ask(CITY))
    assert not keys(ask(OPEN)) & keys(ask(CITY))
    assert keys(ask(CITY)) == keys(ask(CITY))
    # What is not shown makes no difference.
    assert keys(ask(CITY, tool_choice=ToolChoice.REQUIRED)) == keys(plain)
