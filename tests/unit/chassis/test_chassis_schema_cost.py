"""The cost of a JSON schema is what it unrolls to, wherever the repetition hides."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.constraints.schema_cost import MAX_PARTS, MAX_UNROLLED, BadSchema, schema_cost
from services.chassis.constraints.schemas import MAX_SCHEMA_BYTES, checkable, parse, validator

BILLION = 1_000_000_000
MANY = {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "string"}}}} | {
    "maxItems": BILLION
}


def nested(levels: int, count: int) -> dict[str, Any]:
    """Return arrays of arrays, `count` items at each of `levels` levels."""
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema, "maxItems": count}
    return schema


def under(schema: Any) -> list[dict[str, Any]]:
    """Return the places in which a schema can hide in another."""
    return [
        {"properties": {"a": schema}},
        {"$defs": {"x": schema}, "properties": {"a": {"$ref": "#/$defs/x"}}},
        {"definitions": {"x": schema}, "properties": {"a": {"$ref": "#/definitions/x"}}},
        {"x-parts": [schema], "properties": {"a": {"$ref": "#/x-parts/0"}}},
        {"anyOf": [{"type": "string"}, schema]},
        {"oneOf": [schema]},
        {"allOf": [{"type": "array"}, schema]},
        {"not": schema},
        {"if": {"type": "array"}, "then": schema, "else": True},
        {"patternProperties": {"^x": schema}},
        {"additionalProperties": schema},
        {"unevaluatedProperties": schema},
        {"dependentSchemas": {"a": schema}},
        {"dependencies": {"a": schema}},
        {"propertyNames": schema},
        {"prefixItems": [{"type": "integer"}, schema]},
        {"items": schema},
        {"items": [schema]},
        {"additionalItems": schema},
        {"unevaluatedItems": schema},
        {"contains": schema},
        {"contentSchema": schema},
    ]


@pytest.mark.parametrize(
    "bomb",
    [
        MANY,
        {"type": "array", "minItems": BILLION},
        {"type": "string", "maxLength": BILLION},
        {"type": "string", "minLength": BILLION},
        {"type": "object", "minProperties": BILLION},
        {"type": "object", "maxProperties": BILLION, "additionalProperties": {"type": "string"}},
        {"contains": {"type": "integer"}, "minContains": BILLION},
        {"contains": {"type": "integer"}, "maxContains": BILLION},
        {"pattern": "^[a-z]{0,1000000}$"},
        {"pattern": "((a{100}){100}){100}"},
        {"patternProperties": {"^[a-z]{0,1000000}$": True}},
        {"multipleOf": 999_983},
        nested(3, 100),
        nested(40, 2),
        {"type": "array", "maxItems": 300, "items": {"type": "string", "maxLength": 50_000}},
        {"type": "array", "maxItems": 300, "items": {"pattern": "^[a-z]{200}$"}},
        {"allOf": [{"pattern": f"a.{{{n}}}b"} for n in range(30)]},
        {"allOf": [{"anyOf": [{"const": n} for n in range(10)]}] * 6},
        {"allOf": [{"anyOf": [{"type": "integer", "const": n} for n in range(120)]}] * 2},
        {"allOf": [{"properties": {"a": {"anyOf": [{"const": n} for n in range(10)]}}}] * 6},
        {"patternProperties": {f"^{n}.{{0,60}}$": True for n in range(12)}},
        {"properties": {f"p{n}": True for n in range(3_000)}},
        {"enum": [[n] for n in range(MAX_PARTS)]},
        {"const": {"a": ["x" * 100_000] * 10}},
        {"const": "x" * 60_000},
        {"enum": [{"x" * 60_000: 1}]},
        {"allOf": [{"type": "integer", "multipleOf": factor} for factor in (7, 11, 13, 17, 19)]},
        {"type": "integer", "multipleOf": 223, "allOf": [{"multipleOf": 227}]},
        {"type": "object", "required": [f"p{n}" for n in range(3_000)]},
        {"properties": {f"p{n}": True for n in range(1_500)}, "required": [f"q{n}" for n in range(1_500)]},
    ],
)
def test_what_unrolls_to_too_much_is_refused_wherever_it_stands(bomb: dict[str, Any]) -> None:
    for schema in [bomb, *under(bomb), *[outer for inner in under(bomb)[:1] for outer in under(inner)]]:
        with pytest.raises(BadSchema):
            schema_cost(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{n}": {"type": "string", "maxLength": 200} for n in range(60)}},
        {"type": "array", "maxItems": 1_000, "items": {"properties": {f"p{n}": {} for n in range(8)}}},
        nested(2, 50),
        {"enum": [f"city {n}" for n in range(1_000)]},
        {"type": "string", "maxLength": 1_000_000},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63},
        {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "format": "uuid"},
        {"allOf": [{"$ref": "#/$defs/base"}, {"required": ["a"]}], "$defs": {"base": {"type": "object"}}},
        {"type": "number", "multipleOf": 0.01},
        {"properties": {f"p{n}": {"multipleOf": 60, "minimum": 0, "maximum": 10**6} for n in range(30)}},
        {"properties": {f"p{n}": {} for n in range(200)}, "required": [f"p{n}" for n in range(200)]},
        {"const": "a sentence of some length. " * 100},
    ],
)
def test_schemas_of_everyday_size_pass(schema: dict[str, Any]) -> None:
    assert 0 < schema_cost(schema).unrolled <= MAX_UNROLLED


@pytest.mark.parametrize("value", [1e308, 3.0, 2.5, -1, True, "3", None, [3], {"a": 3}, 10**400])
@pytest.mark.parametrize("keyword", ["maxItems", "minLength", "maxProperties", "minContains"])
def test_a_count_that_is_no_plain_count_is_refused(keyword: str, value: Any) -> None:
    with pytest.raises(BadSchema):
        schema_cost({"properties": {"a": {keyword: value}}})


@pytest.mark.parametrize("value", ["1", True, None, [1], float("inf"), float("nan")])
@pytest.mark.parametrize("keyword", ["minimum", "exclusiveMaximum", "multipleOf"])
def test_a_bound_that_is_no_number_is_refused(keyword: str, value: Any) -> None:
    with pytest.raises(BadSchema):
        schema_cost({"properties": {"a": {keyword: value}}})


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    names = ["maxItems", "pattern", "$ref", "enum", "$id", "allOf", "multipleOf"]

    assert schema_cost({"properties": {name: {"type": "string"} for name in names}}).parts < 50


def test_values_that_look_like_keywords_are_only_values() -> None:
    assert schema_cost({"enum": [{"maxItems": BILLION, "$ref": "#"}], "default": {"pattern": "("}}).parts < 20


def doubling(levels: int) -> dict[str, Any]:
    """Return a short schema that stands for one twice as large with each level."""
    parts: dict[str, Any] = {
        f"d{n}": {"properties": {side: {"$ref": f"#/$defs/d{n + 1}"} for side in "lr"}} for n in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**parts, f"d{levels}": {"type": "integer"}}}


def test_shared_references_count_once_for_each_mention() -> None:
    assert schema_cost(doubling(8)).unrolled > 2**8
    for levels in (16, 30):
        with pytest.raises(BadSchema):
            schema_cost(doubling(levels))


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}},
        {"properties": {"a": {"properties": {"b": {"$ref": "#/properties/a"}}}}},
    ],
)
def test_a_schema_that_comes_round_to_itself_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(BadSchema, match="refers to itself"):
        schema_cost(schema)


@pytest.mark.parametrize("order", [1, -1])
def test_a_long_chain_of_references_is_refused_in_either_order(order: int) -> None:
    parts: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(2_000)}
    parts["d2000"] = {}
    chain = {"$defs": dict(list(parts.items())[::order]), "properties": {"a": {"$ref": "#/$defs/d0"}}}

    with pytest.raises(BadSchema, match="nested deeper"):
        schema_cost(chain)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1/x"},
        {"$ref": "other.json#/a"},
        {"$ref": "#name"},
        {"$ref": 7},
        {"$ref": "#/$defs/none"},
        {"$ref": "#/enum/01", "enum": [1, 2]},
        {"properties": {"a": {"$ref": "#/$defs/a%62"}}, "$defs": {"a%62": {}, "ab": {"type": "array"}}},
        {"properties": {"a": {"$dynamicRef": "#x"}}},
        {"properties": {"a": {"$recursiveRef": "#"}}},
        {"properties": {"a": {"$id": "x:y", "$ref": "#/$defs/b", "$defs": {"b": {}}}}, "$defs": {"b": {}}},
        {"properties": {"a": {"$schema": "http://json-schema.org/draft-04/schema#"}}},
        {"x-guidance": {"lenient": True}},
        {"properties": {"a": {"x-guidance": {"coerce_one_of": True}}}},
        {"properties": 5},
        {"allOf": {}},
        {"items": 3},
        {"pattern": 3},
        {"$defs": []},
    ],
)
def test_what_cannot_be_judged_from_the_text_alone_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(BadSchema):
        schema_cost(schema)


def test_each_object_is_looked_at_once_however_often_it_is_meant() -> None:
    looks = 0

    class Counted(dict[str, Any]):
        def items(self) -> Any:
            nonlocal looks
            looks += 1
            return super().items()

    leaf = Counted({"type": "integer"})
    chain: Any = leaf
    for _ in range(10):
        chain = Counted({"properties": dict.fromkeys("abc", chain)})
    with pytest.raises(BadSchema):
        schema_cost(chain)

    assert looks <= 11


LEAVES: list[Any] = [
    True,
    {},
    {"type": "string", "maxLength": 500},
    {"enum": [1, 2, 3]},
    {"pattern": "^a{5}$"},
    {"minimum": 3, "maximum": 999},
    {"maxItems": 40},
]
SCHEMAS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(lambda p: {"properties": p}),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"anyOf": each}),
        st.lists(inner, min_size=1, max_size=2).map(lambda each: {"allOf": each}),
        st.tuples(inner, st.integers(0, 50)).map(lambda t: {"items": t[0], "maxItems": t[1]}),
        st.tuples(inner, st.integers(0, 9)).map(
            lambda t: {"additionalProperties": t[0], "minProperties": t[1]}
        ),
    ),
    max_leaves=12,
)


def cost(schema: Any) -> float:
    try:
        return schema_cost({"properties": {"a": schema}}).unrolled
    except BadSchema:
        return float("inf")


@given(SCHEMAS)
def test_what_holds_a_schema_never_costs_less_than_it(schema: Any) -> None:
    for outer in under(schema):
        try:
            found: float = schema_cost(outer).unrolled
        except BadSchema:
            found = float("inf")
        own = schema_cost(schema).unrolled if isinstance(schema, dict) and cost(schema) < float("inf") else 0
        assert found >= own


@given(SCHEMAS, st.integers(1, 30), st.integers(1, 30))
def test_more_items_never_cost_less_and_multiply_down_the_levels(schema: Any, few: int, more: int) -> None:
    def array(count: int) -> float:
        return cost(
            {"type": "array", "items": {"type": "array", "items": schema, "maxItems": count}}
            | {"maxItems": 7}
        )

    assert array(few + more) >= array(few)


KEYWORDS = [
    *("type", "properties", "$ref", "anyOf", "allOf", "pattern", "items", "maxItems", "enum", "minimum", "a"),
    *("contains", "prefixItems", "multipleOf", "format", "required", "$defs", "if", "then"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner),
    max_leaves=15,
)


@given(JSON)
def test_any_value_is_judged_or_refused(value: Any) -> None:
    try:
        schema = parse(json.dumps(value))
        found = schema_cost(schema)
        validator(schema)
    except BadSchema:
        return

    assert 0 < found.unrolled <= MAX_UNROLLED
    assert 0 < found.parts <= MAX_PARTS


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "7",
        "NaN",
        '{"maximum": Infinity}',
        '{"maximum": 1e999}',
        '{"a": ' * 40 + "1" + "}" * 40,
        '{"a": ' * 9_000,
        "[" * 60_000,
        '{"type": "string", "type": "array"}',
        '{"properties": {"a": {"maxItems": 1000000000, "maxItems": 1}}}',
        '{"pattern": "\\ud800"}',
        '{"maxItems": ' + "9" * 5_000 + "}",
        " " * MAX_SCHEMA_BYTES + "{}",
        '{"title": "' + "é" * 40_000 + '"}',
    ],
)
def test_a_text_that_is_no_bounded_object_is_refused_before_anything_is_judged(text: str) -> None:
    before = sys.getrecursionlimit()
    with pytest.raises(BadSchema):
        schema_cost(parse(text))

    assert sys.getrecursionlimit() == before


def _chain(keyword: str, value: Any, length: int) -> dict[str, Any]:
    """Return a schema that applies a keyword so many times to each item of a list."""
    links = {
        f"d{n}": {keyword: value, "$ref": f"#/$defs/d{n + 1}"} if n < length - 1 else {keyword: value}
        for n in range(length)
    }
    return {"$defs": links, "type": "array", "items": {"$ref": "#/$defs/d0"}}


@pytest.mark.parametrize(
    ("keyword", "value"), [("multipleOf", 1), ("multipleOf", 1e-9), ("unevaluatedProperties", True)]
)
def test_what_takes_validators_long_counts_for_many_looks(keyword: str, value: Any) -> None:
    quick = schema_cost(_chain("minLength", 1, 30))
    slow = schema_cost(_chain(keyword, value, 30))

    assert slow.parts > 15 * quick.parts
    assert checkable(quick, [0] * 2_000)
    assert not checkable(slow, [0] * 2_000)


def test_a_divisor_near_nothing_is_refused() -> None:
    with pytest.raises(BadSchema, match="too small"):
        schema_cost({"multipleOf": 1e-300})
