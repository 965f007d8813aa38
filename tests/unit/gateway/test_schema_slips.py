"""Schemas with the slips that writers of tools make are read as what they mean."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import ConstraintInvalid
from gateway.inference.backends.openai.wire import write_tool
from gateway.inference.core.constraints import CompilingChecker
from gateway.inference.core.schema_slips import in_todays_words
from services.chassis.chat import ToolDefinition
from services.chassis.tool_names import ModelNames

Json = dict[str, Any]
A_TEXT: Json = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (A_TEXT | {"required": None, "additionalProperties": None, "$defs": None}, A_TEXT),
        ({"type": "object", "properties": None}, {"type": "object"}),
        (A_TEXT | {"required": ["a", "a"]}, A_TEXT | {"required": ["a"]}),
        (A_TEXT | {"required": True}, A_TEXT),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string", "required": True}, "b": {"required": False}},
            },
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]},
        ),
        ({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}, A_TEXT),
        (
            {"properties": {"a": {"type": "float"}, "b": {"type": ["int", "Null"]}, "c": {"type": "any"}}},
            {"properties": {"a": {"type": "number"}, "b": {"type": ["integer", "null"]}, "c": {}}},
        ),
        (
            {"properties": {"n": {"minimum": 0, "exclusiveMinimum": True, "exclusiveMaximum": False}}},
            {"properties": {"n": {"exclusiveMinimum": 0}}},
        ),
        ({"properties": {"a": {"description": ["x"], "title": 7}}}, {"properties": {"a": {}}}),
        ({"$id": "#root", "properties": {"a": {"$id": "#root/a"}}}, {"properties": {"a": {}}}),
        (
            {"anyOf": [{"items": {"type": "STRING"}, "minItems": None}]},
            {"anyOf": [{"items": {"type": "string"}}]},
        ),
    ],
)
def test_a_slip_is_read_as_what_it_means(written: Json, meant: Json) -> None:
    assert in_todays_words(written) == meant


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"const": None, "default": None}, "b": {"enum": [None, "INT"]}}},
        {"properties": {"required": {"type": "boolean"}, "type": {"type": "string"}, "title": {}}},
        {"properties": {"a": {"default": {"type": "STRING", "required": True, "x": None}}}},
        {"properties": {"a": {"type": "file"}}},
    ],
)
def test_values_and_names_of_parameters_are_no_slips(schema: Json) -> None:
    assert in_todays_words(json.loads(json.dumps(schema))) == schema


def test_a_tool_with_slips_is_called_and_shown_to_servers_like_any_other() -> None:
    schema = {"type": "OBJECT", "properties": {"n": {"type": "int", "required": True}}, "required": None}
    tool = ToolDefinition("add", "", json.dumps(schema))
    accepts = CompilingChecker().compile_tools([tool])

    assert accepts("add", '{"n": 1}')
    assert not accepts("add", "{}")
    assert write_tool(tool, ModelNames([tool.name]))["function"]["parameters"] == {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
    }


WORDS = st.sampled_from(
    ["type", "required", "properties", "items", "anyOf", "minimum", "exclusiveMinimum", "$ref"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["INT", "any", "#", "object"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@example({"items": {"exclusiveMinimum": True, "minimum": False}})
@given(st.dictionaries(WORDS, VALUES, max_size=5))
def test_any_object_is_read_or_refused_and_a_second_reading_changes_nothing(schema: Json) -> None:
    tool = ToolDefinition("odd", "", json.dumps(schema))
    once = in_todays_words(json.loads(json.dumps(schema)))

    assert in_todays_words(json.loads(json.dumps(once))) == once
    write_tool(tool, ModelNames([tool.name]))
    try:
        CompilingChecker().compile_tools([tool])
    except ConstraintInvalid as error:
        str(error)
