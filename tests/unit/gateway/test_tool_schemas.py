"""Schemas of tools as others write them: forced calls keep them, and references lead where they led."""

import json

import pytest

from gateway.errors import ConstraintInvalid
from gateway.inference.core import prompt_plan
from gateway.inference.core.constraints import CompilingChecker
from gateway.inference.core.tool_schemas import MAX_FORCED_CALLS, forced_call_constraint, within_engines
from gateway.inference.model import (
    Capabilities,
    Constraint,
    ConstraintKind,
    GenerationSpec,
    ReplicaInfo,
    ToolChoice,
)
from services.chassis.chat import ToolDefinition
from services.chassis.constraints.schemas import MAX_SCHEMA_BYTES
from services.tgi_local.core.grammar import constraint_of
from tests.fakes.tool_schemas import RECURSIVE, WRITTEN, Json, Written

CHECKER = CompilingChecker()
PLAIN = ReplicaInfo(model="m", max_total_tokens=100, slots=1, max_batch_total_tokens=100)


def definition(written: Written) -> ToolDefinition:
    return ToolDefinition(written.name, "", json.dumps(written.schema))


def call(name: str, arguments: Json) -> str:
    return json.dumps({"tool_calls": [{"name": name, "arguments": arguments}]})


def able(**can: bool) -> ReplicaInfo:
    return ReplicaInfo("m", 100, 1, 100, Capabilities(**can))


@pytest.mark.parametrize("written", WRITTEN, ids=lambda each: each.name)
def test_a_forced_call_keeps_the_schema_of_its_tool(written: Written) -> None:
    tool = definition(written)
    accepts, accepts_call = CHECKER.compile(forced_call_constraint([tool])), CHECKER.compile_tools([tool])

    assert accepts(call(written.name, written.good))
    assert not accepts(call(written.name, written.bad))
    assert accepts_call(written.name, json.dumps(written.good))
    assert not accepts_call(written.name, json.dumps(written.bad))


def test_all_tools_can_be_forced_together() -> None:
    accepts = CHECKER.compile(forced_call_constraint([definition(each) for each in WRITTEN]))

    assert [accepts(call(each.name, each.good)) for each in WRITTEN] == [True] * len(WRITTEN)
    assert [accepts(call(each.name, each.bad)) for each in WRITTEN] == [False] * len(WRITTEN)


def test_definitions_of_the_same_name_stay_those_of_their_tool() -> None:
    tools = [
        ToolDefinition(
            name,
            "",
            json.dumps({"$defs": {"P": {"type": kind}}, "properties": {"p": {"$ref": "#/$defs/P"}}}),
        )
        for name, kind in (("of_text", "string"), ("of_number", "integer"))
    ]
    accepts = CHECKER.compile(forced_call_constraint(tools))

    assert accepts(call("of_text", {"p": "x"}))
    assert accepts(call("of_number", {"p": 1}))
    assert not accepts(call("of_text", {"p": 1}))
    assert not accepts(call("of_number", {"p": "x"}))


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "{}",
        '{"type": "object"}',
        '{"type": "object", "properties": {}, "title": "clockArguments"}',
        '{"type": "object", "properties": {}, "required": [], "$schema": "http://json-schema.org/draft-07/schema#"}',
    ],
)
def test_a_tool_that_names_no_parameter_is_called_without_arguments(schema: str) -> None:
    tool = ToolDefinition("clock", "", schema)
    accepts, accepts_call = CHECKER.compile(forced_call_constraint([tool])), CHECKER.compile_tools([tool])

    assert accepts(call("clock", {}))
    assert not accepts(call("clock", {"a": 1}))
    assert [accepts_call("clock", text) for text in ("", "{}", '{"a": 1}')] == [True, True, False]


@pytest.mark.parametrize(
    "schema",
    [
        '{"type": "object", "additionalProperties": true}',
        '{"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}}',
        '{"type": "object", "patternProperties": {"^a": {}}}',
        '{"type": "object", "required": ["a"]}',
    ],
)
def test_a_tool_that_takes_what_it_is_given_says_so(schema: str) -> None:
    accepts = CHECKER.compile(forced_call_constraint([ToolDefinition("put", "", schema)]))

    assert accepts(call("put", {"a": 1}))


@pytest.mark.parametrize(
    "schema", ['{"properties": {"a": {}}}', '{"type": ["object", "null"], "required": ["a"]}']
)
def test_arguments_are_an_object_whatever_else_a_schema_allows(schema: str) -> None:
    accepts = CHECKER.compile(forced_call_constraint([ToolDefinition("t", "", schema)]))

    assert accepts(call("t", {"a": 1}))
    assert not accepts('{"tool_calls": [{"name": "t", "arguments": null}]}')
    assert not accepts('{"tool_calls": [{"name": "t", "arguments": 7}]}')


def test_a_name_that_is_given_twice_is_no_output_that_was_checked() -> None:
    tool = ToolDefinition("t", "", '{"properties": {"n": {"type": "integer"}}}')
    accepts, accepts_call = CHECKER.compile(forced_call_constraint([tool])), CHECKER.compile_tools([tool])
    twice = '{"n": "x", "n": 3}'

    assert not accepts_call("t", twice)
    assert not accepts('{"tool_calls": [{"name": "t", "arguments": ' + twice + "}]}")
    assert not CHECKER.compile(Constraint(ConstraintKind.JSON, tool.parameters_schema))(twice)
    assert [accepts_call("t", f'{{"n": {odd}}}') for odd in ("NaN", "1e999", "3")] == [False, False, True]


def test_engines_are_given_what_they_can_keep_and_the_whole_is_checked() -> None:
    schema = {
        "$defs": {"P": {"type": "array", "uniqueItems": True, "not": {"const": []}}},
        "properties": {
            "p": {"$ref": "#/$defs/P"},
            "uniqueItems": {"type": "string", "format": "file-path"},
            "when": {"format": "date"},
            "either": {"oneOf": [{"type": "number"}, {"type": "integer"}], "anyOf": [True]},
        },
        "required": ["p"],
    }
    whole = forced_call_constraint([ToolDefinition("t", "", json.dumps(schema))])
    kept = within_engines(whole)

    for gone in ('"uniqueItems": true', '"not"', "file-path", "oneOf"):
        assert gone in whole.text
        assert gone not in kept.text
    assert '"uniqueItems": {"type": "string"}' in kept.text
    assert '"format": "date"' in kept.text
    assert CHECKER.compile(kept)(call("t", {"p": [1, 1]}))
    assert not CHECKER.compile(whole)(call("t", {"p": [1, 1]}))


def test_what_is_referred_to_is_not_left_out() -> None:
    schema = {"properties": {"a": {"not": {"type": "null"}}, "b": {"$ref": "#/properties/a/not"}}}
    whole = forced_call_constraint([ToolDefinition("t", "", json.dumps(schema))])

    assert within_engines(whole) == whole


def test_the_engine_is_bound_by_less_than_the_answer_is() -> None:
    tool = ToolDefinition("t", "", '{"properties": {"a": {"uniqueItems": true}}}')
    spec = GenerationSpec(tools=(tool,), tool_choice=ToolChoice.REQUIRED)

    bound = prompt_plan.bind(CHECKER, spec, [tool])

    assert bound.constraint is not None
    assert bound.accepts is not None
    assert "uniqueItems" not in bound.constraint.text
    assert not bound.accepts(call("t", {"a": [1, 1]}))


def test_notes_of_a_schema_take_no_room_in_a_forced_call() -> None:
    notes = {"description": "x" * 9_000, "title": "y" * 100, "examples": ["z" * 100], "default": "w" * 100}
    tools = [
        ToolDefinition(f"t{n}", "", json.dumps({"properties": {"title": {"type": "string", **notes}}}))
        for n in range(30)
    ]
    accepts = CHECKER.compile(forced_call_constraint(tools))

    assert accepts(call("t29", {"title": "a"}))
    assert not accepts(call("t29", {"title": 1}))


def test_a_hundred_everyday_tools_can_be_forced_together() -> None:
    schema = {
        "properties": {
            "owner": {"type": "string", "description": "Who owns it."},
            "state": {"enum": ["open", "closed", "all"], "type": "string"},
            "labels": {"items": {"type": "string"}, "type": "array"},
            "per_page": {"maximum": 100, "minimum": 1, "type": "integer"},
            "since": {"format": "date-time", "type": "string"},
            "files": {
                "items": {
                    "properties": {"content": {"type": "string"}, "path": {"type": "string"}},
                    "required": ["path", "content"],
                    "type": "object",
                },
                "type": "array",
            },
        },
        "required": ["owner"],
        "type": "object",
    }
    tools = [ToolDefinition(f"tool_number_{n}", "", json.dumps(schema)) for n in range(128)]
    forced = forced_call_constraint(tools)
    accepts = CHECKER.compile(forced)

    assert len(forced.text) > MAX_SCHEMA_BYTES
    assert accepts(call("tool_number_127", {"owner": "a"}))
    assert not accepts(call("tool_number_127", {"owner": 1}))
    assert constraint_of({"type": "json", "value": forced.text}) is not None


def test_where_many_calls_of_large_tools_would_cost_too_much_fewer_are_allowed() -> None:
    small = [ToolDefinition("t", "", '{"properties": {"a": {"type": "array", "maxItems": 90}}}')]
    large = [ToolDefinition("t", "", '{"properties": {"a": {"type": "array", "maxItems": 9000}}}')]
    calls = {n: json.dumps({"tool_calls": [{"name": "t", "arguments": {}}] * n}) for n in (1, 4, 5, 8, 9)}

    few, many = CHECKER.compile(forced_call_constraint(large)), CHECKER.compile(forced_call_constraint(small))

    assert [many(calls[n]) for n in calls] == [True, True, True, True, False]
    assert [few(calls[n]) for n in calls] == [True, True, False, False, False]
    assert MAX_FORCED_CALLS == 8


@pytest.mark.parametrize("written", WRITTEN, ids=lambda each: each.name)
def test_a_schema_that_refers_to_itself_needs_a_backend_that_can_keep_to_it(written: Written) -> None:
    tool = definition(written)
    spec = GenerationSpec(tools=(tool,), tool_choice=ToolChoice.REQUIRED)
    constraint = prompt_plan.bind(CHECKER, spec, [tool]).constraint

    prompt_plan.check_constraint(constraint, able(recursive_schemas=True))
    if written.name in RECURSIVE:
        with pytest.raises(ConstraintInvalid, match="refers to itself"):
            prompt_plan.check_constraint(constraint, PLAIN)
    else:
        prompt_plan.check_constraint(constraint, PLAIN)


@pytest.mark.parametrize("schema", [{"type": "array", "items": {"type": "integer"}}, {"enum": [1, [1]]}, {}])
def test_a_root_that_is_no_object_needs_a_backend_that_takes_it(schema: Json) -> None:
    spec = GenerationSpec(constraint=Constraint(ConstraintKind.JSON, json.dumps(schema)))

    bound = prompt_plan.bind(CHECKER, spec, [])

    assert bound.accepts is not None
    assert bound.accepts("[1]")
    prompt_plan.check_constraint(bound.constraint, able(any_root=True))
    with pytest.raises(ConstraintInvalid, match="object schema"):
        prompt_plan.check_constraint(bound.constraint, PLAIN)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "leads nowhere"),
        ({"properties": {"a": {"$ref": "other.json#/a"}}}, "not followed"),
        ({"properties": {"a": {"$ref": "#unnamed"}}}, "leads nowhere"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "refers to itself"),
        ({"$ref": "#"}, "refers to itself"),
        ({"properties": {"a": {"$id": "x:y"}}}, "not supported here"),
    ],
)
def test_a_schema_that_leads_out_or_round_is_refused_with_its_reason(schema: Json, why: str) -> None:
    with pytest.raises(ConstraintInvalid, match=why):
        CHECKER.compile_tools([ToolDefinition("t", "", json.dumps(schema))])
