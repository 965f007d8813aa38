"""Schemas of tools: what is refused, and that checking is bounded whatever an agent registers."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.rpc.errors import InvalidRequest
from services.tool.core import schemas
from services.tool.errors import ArgumentsInvalid, ResultInvalid, SchemaInvalid

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
SCHEMA = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "string", "integer"]),
        "properties": st.dictionaries(
            st.sampled_from("abc"), st.fixed_dictionaries({"type": st.sampled_from(["string", "number"])})
        ),
        "required": st.lists(st.sampled_from("abc"), unique=True),
        "additionalProperties": st.booleans(),
    },
)


@given(SCHEMA, st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4))
def test_arguments_pass_exactly_when_the_schema_says_so(
    schema: dict[str, Any], value: dict[str, Any]
) -> None:
    valid = jsonschema_rs.is_valid(schema, value)
    try:
        schemas.check_arguments(json.dumps(schema), value)
        violations = 0
    except ArgumentsInvalid as refusal:
        violations = len(refusal.violations)

    assert (violations == 0) == valid


def test_a_tool_without_a_schema_takes_no_arguments() -> None:
    schemas.check_arguments("", {})
    with pytest.raises(ArgumentsInvalid):
        schemas.check_arguments("", {"a": 1})


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        value = schemas.parse_json(text, "x", InvalidRequest)
    except InvalidRequest:
        return

    assert value == json.loads(text)


@given(JSON)
def test_every_json_value_is_a_result(value: Any) -> None:
    assert json.loads(schemas.check_result("", value)) == value


@pytest.mark.parametrize(
    "value",
    [float("inf"), {1, 2}, b"bytes", "\ud800", ["x" * 1_048_577], {"a": object()}],
)
def test_what_is_no_json_or_too_large_is_no_result(value: Any) -> None:
    with pytest.raises(ResultInvalid):
        schemas.check_result("", value)


def test_a_value_nested_without_end_is_refused_not_followed() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ResultInvalid):
        schemas.check_result("", value)
    with pytest.raises(InvalidRequest):
        schemas.parse_json("[" * 100_000, "x", InvalidRequest)


def test_a_schema_that_doubles_with_every_reference_is_refused() -> None:
    parts = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    schema = {"$defs": parts | {"d60": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/d0"}}}
    with pytest.raises(SchemaInvalid, match="costly"):
        schemas.check_schema(json.dumps(schema), "s", of_object=True)


def test_arguments_too_large_for_a_large_schema_are_refused_unchecked() -> None:
    schema = json.dumps({"properties": {"a": {"items": {"anyOf": [{"const": n} for n in range(2_000)]}}}})
    schemas.check_schema(schema, "s", of_object=True)
    with pytest.raises(ArgumentsInvalid, match="too many parts"):
        schemas.check_arguments(schema, {"a": [-1] * 20_000})


def test_references_inside_the_schema_are_followed() -> None:
    schema = json.dumps({"$defs": {"a/b": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a~1b"}}})
    schemas.check_schema(schema, "s", of_object=True)
    schemas.check_arguments(schema, {"x": "text"})
    with pytest.raises(ArgumentsInvalid) as refusal:
        schemas.check_arguments(schema, {"x": 1})

    assert [violation.field for violation in refusal.value.violations] == ["x"]


def test_a_bounded_number_of_violations_is_reported() -> None:
    with pytest.raises(ArgumentsInvalid) as refusal:
        schemas.check_arguments(
            '{"items": {}, "additionalProperties": {"type": "string"}}', dict.fromkeys(map(str, range(99)))
        )

    assert len(refusal.value.violations) == schemas.MAX_VIOLATIONS
