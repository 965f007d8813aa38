"""Schemas that refer to themselves: what ends with its value is judged, what does not end is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.constraints.schemas import (
    BadSchema,
    checkable,
    depth,
    parse,
    predicate,
    schema_cost,
    size,
    validator,
)

TREE: dict[str, Any] = {
    "$defs": {"N": {"properties": {"kids": {"items": {"$ref": "#/$defs/N"}}, "v": {"type": "integer"}}}},
    "$ref": "#/$defs/N",
}
PAIRS: dict[str, Any] = {
    "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "v": {"type": "integer"}},
    "required": ["v"],
}
ANY_JSON: dict[str, Any] = {
    "$defs": {
        "J": {
            "anyOf": [
                {"type": ["string", "number", "boolean", "null"]},
                {"items": {"$ref": "#/$defs/J"}, "type": "array"},
                {"additionalProperties": {"$ref": "#/$defs/J"}, "type": "object"},
            ]
        }
    },
    "properties": {"value": {"$ref": "#/$defs/J"}},
}
FILTER: dict[str, Any] = {
    "anyOf": [
        {"properties": {name: {"items": {"$ref": "#"}, "type": "array"}}, "required": [name]}
        for name in ("and", "or", "none")
    ]
}


def nested(levels: int, member: str = "x") -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {member: value}
    return value


@pytest.mark.parametrize("schema", [TREE, PAIRS, ANY_JSON, FILTER])
def test_what_comes_back_further_down_its_value_is_taken_where_that_is_wanted(schema: dict[str, Any]) -> None:
    with pytest.raises(BadSchema, match="refers to itself"):
        schema_cost(schema)

    found = schema_cost(schema, recursive=True)
    assert found.recursive
    assert found.returns.most == found.circle.returns == 1


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}},
        {"$defs": {"a": {"then": {"$ref": "#/$defs/a"}}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
        {"dependentSchemas": {"x": {"$ref": "#"}}},
        # Each of the two is met first below a property, and comes round for the same value all the same.
        {
            "$defs": {
                "a": {"properties": {"x": {"$ref": "#/$defs/b"}}, "allOf": [{"$ref": "#/$defs/b"}]},
                "b": {"oneOf": [{"$ref": "#/$defs/a"}]},
            },
            "$ref": "#/$defs/a",
        },
    ],
)
def test_what_comes_back_for_the_same_value_never_ends_and_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(BadSchema, match="refers to itself"):
        schema_cost(schema, recursive=True)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (TREE, {"kids": [{"kids": [{"v": 1}]}]}, {"kids": [{"kids": [{"v": "1"}]}]}),
        (PAIRS, {"v": 1, "left": {"v": 2, "right": {"v": 3}}}, {"v": 1, "left": {"right": {"v": 3}}}),
        (ANY_JSON, {"value": [{"a": [None, "x"]}]}, None),
        (FILTER, {"and": [{"or": []}, {"none": [{"or": []}]}]}, {"and": [{"other": []}]}),
    ],
)
def test_values_are_held_against_it_as_deep_as_they_go(schema: dict[str, Any], good: Any, bad: Any) -> None:
    holds = predicate(parse(json.dumps(schema)), recursive=True)

    assert holds(good)
    assert bad is None or not holds(bad)


def test_what_doubles_with_every_level_of_its_value_is_checked_for_shallow_values_only() -> None:
    schema = {"anyOf": [{"properties": {"x": {"$ref": "#"}}}, {"properties": {"x": {"$ref": "#"}}, "a": 1}]}
    holds = predicate(schema, recursive=True)

    assert holds(nested(8))
    assert not holds(nested(60))


def test_a_value_that_is_deeper_than_validators_can_go_is_not_checked() -> None:
    holds = predicate(TREE | {"properties": {"x": {"$ref": "#"}}}, recursive=True)

    assert holds(nested(100))
    assert not holds(nested(200))


NAMES = ("a", "b", "c")
REFERENCE = st.sampled_from(NAMES).map(lambda name: {"$ref": f"#/$defs/{name}"})
BELOW = st.one_of(
    st.dictionaries(st.sampled_from("xy"), REFERENCE, min_size=1, max_size=2).map(
        lambda each: {"properties": each}
    ),
    REFERENCE.map(lambda each: {"items": each}),
    REFERENCE.map(lambda each: {"additionalProperties": each}),
    st.tuples(REFERENCE, REFERENCE).map(lambda both: {"prefixItems": [both[0]], "items": both[1]}),
    st.tuples(REFERENCE, REFERENCE).map(
        lambda both: {"properties": {"x": both[0]}, "patternProperties": {"^[xy]": both[1]}}
    ),
)
FORMS = st.one_of(
    BELOW,
    st.lists(st.one_of(BELOW, REFERENCE), min_size=1, max_size=2).map(lambda each: {"anyOf": each}),
    st.tuples(BELOW, BELOW).map(lambda both: {**both[0], "allOf": [both[1]]}),
)
VALUES = st.recursive(
    st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=12,
)


def looks(root: dict[str, Any], schema: dict[str, Any], value: Any) -> int:
    """Count how often a validator that tries everything looks at an object of the schema."""
    count = 1
    same = [*schema.get("anyOf", ()), *schema.get("allOf", ())]
    if "$ref" in schema:
        same.append(root["$defs"][schema["$ref"].rpartition("/")[2]])
    count += sum(looks(root, each, value) for each in same)
    if isinstance(value, list):
        places = schema.get("prefixItems", [])
        for index, each in enumerate(value):
            below = places[index] if index < len(places) else schema.get("items")
            count += looks(root, below, each) if below else 0
    elif isinstance(value, dict):
        for name, each in value.items():
            below = [schema["properties"][name]] if name in schema.get("properties", {}) else []
            below += schema.get("patternProperties", {}).values() if name in "xy" else ()
            if not below and "additionalProperties" in schema:
                below.append(schema["additionalProperties"])
            count += sum(looks(root, sub, each) for sub in below)
    return count


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, FORMS)), VALUES)
def test_no_value_is_looked_at_more_often_than_was_judged(forms: dict[str, Any], value: Any) -> None:
    schema = {"$defs": forms, "$ref": "#/$defs/a"}
    try:
        cost = schema_cost(schema, recursive=True)
    except BadSchema:
        return

    validator(schema)
    if checkable(cost, value):
        assert looks(schema, schema, value) <= size(value) * (
            cost.parts + cost.circle.visits(cost.returns.most, depth(value), 10**9)
        )
