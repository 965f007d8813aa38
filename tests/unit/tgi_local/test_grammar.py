"""Constraints are refused when they cannot be kept, and checked when the output is there."""

from typing import Any

import pytest

from services.tgi_local.core.grammar import JsonConstraint, RegexConstraint, constraint_of
from services.tgi_local.errors import InvalidRequest

OBJECT: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
}


@pytest.mark.parametrize(
    "grammar",
    [
        {"type": "json", "value": OBJECT},
        {"type": "json_object", "value": OBJECT},
        {"type": "json", "value": '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'},
        {"type": "json_schema", "value": {"name": "thing", "schema": OBJECT}},
    ],
)
def test_a_schema_may_be_given_in_several_ways(grammar: dict[str, Any]) -> None:
    constraint = constraint_of(grammar)

    assert isinstance(constraint, JsonConstraint)
    assert constraint.accepts('{"a": 1}')
    assert not constraint.accepts('{"a": "x"}')
    assert not constraint.accepts('{"a": 1')


def test_a_schema_may_be_a_choice_of_schemas() -> None:
    constraint = constraint_of({"type": "json", "value": {"anyOf": [OBJECT, {"type": "array"}]}})

    assert isinstance(constraint, JsonConstraint)
    assert [constraint.accepts(each) for each in ('{"a": 1}', "[1]", "{}")] == [True, True, False]


def test_a_pattern_must_match_all_of_the_output() -> None:
    constraint = constraint_of({"type": "regex", "value": "[0-9]{3}-[a-c]{2}|x"})

    assert isinstance(constraint, RegexConstraint)
    assert constraint.accepts("123-ab")
    assert constraint.accepts("x")
    assert not constraint.accepts("123-abx")
    assert not constraint.accepts("123-ab\n")


def test_no_grammar_is_no_constraint() -> None:
    assert constraint_of(None) is None


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ({"type": "json", "value": {"type": "bogus", "properties": {}}}, "grammar is not valid: "),
        ({"type": "json", "value": {"properties": {"a": {"$ref": "#/nope"}}}}, "grammar is not valid: "),
        ({"type": "json", "value": {"properties": {"a": {"$ref": "http://localhost:1/x"}}}}, "not followed"),
        ({"type": "json", "value": {"properties": {"a": {"$ref": "file:///etc/passwd"}}}}, "not followed"),
        ({"type": "json", "value": {"type": "object"}}, "must have a 'properties' field"),
        ({"type": "json", "value": "{"}, "grammar is not valid: "),
        ({"type": "json", "value": 3}, "grammar is not supported"),
        ({"type": "json_schema", "value": {}}, "needs a `schema`"),
        ({"type": "regex", "value": "["}, "does not compile"),
        ({"type": "regex", "value": "(?=a)"}, "does not compile"),
        ({"type": "regex", "value": "a{1000}{1000}"}, "does not compile"),
        ({"type": "regex", "value": r"\bfoo\b"}, "are not supported"),
        ({"type": "regex", "value": ""}, "needs a pattern"),
        ({"type": "regex", "value": 3}, "needs a pattern"),
        ({"type": "lark", "value": "x"}, "grammar is not supported"),
        ({"type": "json"}, "expected an object with `type` and `value`"),
        ({"value": 1}, "expected an object with `type` and `value`"),
        ("json", "expected an object with `type` and `value`"),
    ],
)
def test_what_cannot_be_enforced_is_refused(grammar: object, message: str) -> None:
    with pytest.raises(InvalidRequest, match="Input validation error: ") as caught:
        constraint_of(grammar)

    assert message in str(caught.value)


def test_an_escaped_backslash_before_b_is_no_word_boundary() -> None:
    assert constraint_of({"type": "regex", "value": r"a\\b"}) is not None
