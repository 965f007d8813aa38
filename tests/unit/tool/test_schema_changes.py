"""What a changed schema is called: compatible only if it takes every value that the old one took."""

import copy
import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from services.chassis.constraints.schemas import BadSchema, predicate
from services.tool.core.schema_changes import breaking_parameters, breaking_result

NAMES: Final = ("a", "b", "c")


def takes(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


STRING: Final = {"type": "string"}
OPEN: Final = {"type": "object"}
TREE: Final = {
    "type": "object",
    "properties": {"left": {"$ref": "#"}, "n": {"type": "integer"}},
    "additionalProperties": False,
}
WIDER_TREE: Final = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"left": {"$ref": "#/$defs/node"}, "n": {"type": "number"}, "x": True},
            "additionalProperties": False,
        }
    },
}

COMPATIBLE: Final[dict[str, tuple[Any, Any]]] = {
    "the same in another order": (
        {"type": "object", "minProperties": 1},
        {"minProperties": 1, "type": "object"},
    ),
    "an optional property more": (takes(a=STRING), takes(a=STRING, b=STRING)),
    "a property that is required no more": ({**takes(a=STRING), "required": ["a"]}, takes(a=STRING)),
    "a wider type": (takes(a={"type": "integer"}), takes(a={"type": "number"})),
    "a type more": (takes(a=STRING), takes(a={"type": ["string", "null"]})),
    "values more": (takes(a={"enum": ["x", "y"]}), takes(a={"enum": ["z", "y", "x"]})),
    "an enumeration that becomes a type": (
        takes(a={"enum": ["x", "y"]}),
        takes(a={**STRING, "maxLength": 1}),
    ),
    "wider bounds": (
        takes(a={"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 4}),
        takes(a={"type": "integer", "minimum": 0, "exclusiveMaximum": 10, "multipleOf": 2}),
    ),
    "longer texts": (takes(a={**STRING, "maxLength": 3}), takes(a={**STRING, "maxLength": 4})),
    "a pattern that goes": (takes(a={**STRING, "pattern": "^x"}), takes(a=STRING)),
    "other words about it": (takes(a=STRING), takes(a={**STRING, "description": "ü", "x-order": 1})),
    "a choice more": (takes(a=STRING), takes(a={"anyOf": [{"type": "integer"}, STRING]})),
    "a choice that is split by type": (
        takes(a={"type": ["string", "integer"]}),
        takes(a={"oneOf": [{"type": "integer"}, STRING, {"type": "null"}]}),
    ),
    "choices that all lead into one": (
        takes(a={"anyOf": [{"const": 1}, {"type": "integer", "minimum": 5}]}),
        takes(a={"type": "integer", "minimum": 1}),
    ),
    "what is closed becomes open": (takes(a=STRING), {"type": "object", "properties": {"a": STRING}}),
    "items more": (
        {"items": {"type": "integer"}, "maxItems": 2},
        {"items": {"type": "number"}, "maxItems": 3},
    ),
    "a rule for what there never was": (
        takes(a=STRING),
        {**takes(a=STRING), "minItems": 9},
    ),
    "a tree with more in its nodes": (TREE, WIDER_TREE),
    "rules in several parts": (
        {"allOf": [{"type": "object"}, {"required": ["a"]}, takes(a={"const": 5})]},
        {"allOf": [{"required": ["a"]}, takes(a={"type": "integer"})]},
    ),
    "a rule that only the old one has": ({**OPEN, "not": {"required": ["a"]}}, OPEN),
    "anything": (takes(a=STRING), {}),
    "from nothing": ({"type": "object", "not": {}, "properties": {"a": False}, "required": ["a"]}, OPEN),
}

BREAKING: Final[dict[str, tuple[Any, Any]]] = {
    "a required property more": (takes(a=STRING), {**takes(a=STRING, b=STRING), "required": ["b"]}),
    "a property that becomes required": (takes(a=STRING), {**takes(a=STRING), "required": ["a"]}),
    "a property less": (takes(a=STRING, b=STRING), takes(a=STRING)),
    "another name": (takes(a=STRING), takes(b=STRING)),
    "another type": (takes(a=STRING), takes(a={"type": "integer"})),
    "a narrower type": (takes(a={"type": "number"}), takes(a={"type": "integer"})),
    "a type less": (takes(a={"type": ["string", "null"]}), takes(a=STRING)),
    "values less": (takes(a={"enum": ["x", "y"]}), takes(a={"enum": ["x"]})),
    "one for true": (takes(a={"enum": [1]}), takes(a={"enum": [True]})),
    "a type that becomes an enumeration": (takes(a=STRING), takes(a={"enum": ["x"]})),
    "a higher minimum": (takes(a={"minimum": 1}), takes(a={"minimum": 2})),
    "an excluded bound": (takes(a={"maximum": 1}), takes(a={"exclusiveMaximum": 1})),
    "a bound more": (takes(a={"type": "integer"}), takes(a={"type": "integer", "maximum": 2**70})),
    "shorter texts": (takes(a={**STRING, "maxLength": 4}), takes(a={**STRING, "maxLength": 3})),
    "another pattern": (takes(a={**STRING, "pattern": "^x"}), takes(a={**STRING, "pattern": "^xy"})),
    "a format": (takes(a=STRING), takes(a={**STRING, "format": "date"})),
    "other multiples": (takes(a={"multipleOf": 2}), takes(a={"multipleOf": 4})),
    "what is open becomes closed": ({"type": "object", "properties": {"a": STRING}}, takes(a=STRING)),
    "a property of what is open gets a type": (OPEN, {"type": "object", "properties": {"b": STRING}}),
    "what others may be": ({"additionalProperties": STRING}, {"additionalProperties": {"type": "null"}}),
    "a choice less": (takes(a={"anyOf": [STRING, {"type": "null"}]}), takes(a={"anyOf": [STRING]})),
    "a choice that excludes another": (
        takes(a={"oneOf": [{"minimum": 0}]}),
        takes(a={"oneOf": [{"minimum": 0}, {"maximum": 9}]}),
    ),
    "something that must not be": (OPEN, {**OPEN, "not": {"required": ["a"]}}),
    "a condition": (OPEN, {**OPEN, "if": {"required": ["a"]}, "then": {"required": ["b"]}}),
    "one needs another": (OPEN, {**OPEN, "dependentRequired": {"a": ["b"]}}),
    "shorter lists": ({"items": STRING, "maxItems": 3}, {"items": STRING, "maxItems": 2}),
    "different items": ({"items": STRING}, {"items": STRING, "uniqueItems": True}),
    "another first item": ({"prefixItems": [STRING]}, {"prefixItems": [{"type": "null"}]}),
    "a reference that leads elsewhere": (
        {"$defs": {"t": STRING}, "properties": {"a": {"not": {"$ref": "#/$defs/t"}}}},
        {"$defs": {"t": {"type": "null"}}, "properties": {"a": {"not": {"$ref": "#/$defs/t"}}}},
    ),
    "a narrower tree": (WIDER_TREE, TREE),
    "unevaluated properties": (
        {"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False},
        {"allOf": [{"properties": {"b": True}}], "unevaluatedProperties": False},
    ),
}


def text(schema: Any) -> str:
    return json.dumps(schema)


@pytest.mark.parametrize("change", COMPATIBLE)
def test_a_change_that_takes_all_that_was_taken_is_compatible(change: str) -> None:
    old, new = COMPATIBLE[change]
    assert breaking_parameters(text(old), text(new)) == ""


@pytest.mark.parametrize("change", BREAKING)
def test_a_change_that_takes_less_breaks(change: str) -> None:
    old, new = BREAKING[change]
    assert breaking_parameters(text(old), text(new)) != ""


def test_what_breaks_is_named() -> None:
    old, new = takes(a=takes(b={"maximum": 3})), takes(a=takes(b={"maximum": 2}))
    assert breaking_parameters(text(old), text(new)) == "/a/b: maximum is narrower, or new"


def test_a_tool_without_a_schema_takes_no_arguments_and_returns_anything() -> None:
    assert breaking_parameters("", text(takes(a=STRING))) == ""
    assert breaking_parameters(text(takes(a=STRING)), "") != ""
    assert breaking_result("", text(takes(a=STRING))) == ""
    assert breaking_result(text(takes(a=STRING)), "") != ""


def test_of_results_the_new_ones_must_be_what_the_old_ones_were() -> None:
    assert breaking_result(text(takes(a={"type": "number"})), text(takes(a={"type": "integer"}))) == ""
    assert breaking_result(text(takes(a={"type": "integer"})), text(takes(a={"type": "number"}))) != ""


def test_the_work_is_bounded() -> None:
    wide = {"anyOf": [{"type": "object", "properties": {f"p{n}": {"const": n}}} for n in range(40)]}
    old = {"allOf": [copy.deepcopy(wide) for _ in range(12)]}
    new = {"allOf": [{"anyOf": [{"required": [f"q{n}"]} for n in range(40)]} for _ in range(12)]}
    assert "too complex" in breaking_parameters(text(old), text(new))


numbers = st.sampled_from([-1, 0, 1, 2, 3, 0.5, 1.0, 2.5])
strings = st.sampled_from(["", "a", "b", "ab", "abc"])
scalars = st.one_of(st.none(), st.booleans(), numbers, strings)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from((*NAMES, "x1")), inner, max_size=3)
    ),
    max_leaves=6,
)
types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
counts = st.integers(0, 3)


def rules(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    """Return what each keyword may say."""
    named = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    choices = st.lists(inner, min_size=1, max_size=3)
    return {
        "type": st.one_of(types, st.lists(types, min_size=1, max_size=3, unique=True)),
        "enum": st.lists(values, min_size=1, max_size=3),
        "const": values,
        "minimum": numbers,
        "exclusiveMaximum": numbers,
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "minLength": counts,
        "maxLength": counts,
        "pattern": st.sampled_from(["a", "^b", "[ab]$"]),
        "minItems": counts,
        "maxItems": counts,
        "uniqueItems": st.booleans(),
        "items": inner,
        "prefixItems": choices,
        "contains": inner,
        "required": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        "properties": named,
        "patternProperties": st.dictionaries(st.sampled_from(["^x", "a"]), inner, max_size=1),
        "additionalProperties": inner,
        "unevaluatedProperties": inner,
        "propertyNames": inner,
        "minProperties": counts,
        "maxProperties": counts,
        "dependentRequired": st.builds(lambda: {"a": ["b"]}),
        "anyOf": choices,
        "oneOf": choices,
        "allOf": choices,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "$ref": st.sampled_from(["#/$defs/one", "#/$defs/two"]),
    }


@st.composite
def keywords(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Draw one or a few rules."""
    known = rules(inner)
    chosen = draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=3, unique=True))
    return {word: draw(known[word]) for word in chosen}


leaves = st.one_of(st.booleans(), st.builds(dict), keywords(st.booleans()))
schemas = st.one_of(leaves, keywords(leaves), keywords(keywords(leaves)))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Draw a schema and a changed one: some rules go, change, or come, somewhere in it."""
    old: dict[str, Any] = {**draw(keywords(schemas)), "$defs": {"one": draw(schemas), "two": draw(schemas)}}
    old = json.loads(json.dumps(old))  # no part of it is there twice
    new = copy.deepcopy(old)
    for _ in range(draw(st.integers(1, 3))):
        places = [node for node in within(new) if isinstance(node, dict)]
        node = draw(st.sampled_from(places))
        how = draw(st.sampled_from(["drop", "drop", "wrap", "change"]))
        if how == "drop" and node:
            node.pop(draw(st.sampled_from(sorted(node))), None)
        elif how == "wrap":
            inner = dict(node)
            node.clear()
            node[draw(st.sampled_from(["anyOf", "oneOf"]))] = [inner, copy.deepcopy(draw(schemas))]
        else:
            node |= copy.deepcopy(draw(keywords(schemas)))
    new.setdefault("$defs", old["$defs"])
    return old, new


def within(node: Any) -> list[Any]:
    """Return a value and all that is in it, but for enumerations."""
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [node, *(found for key, item in below if key not in {"enum", "const"} for found in within(item))]


@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(pair=pairs(), tried=st.lists(values, min_size=12, max_size=24))
def test_what_is_called_compatible_takes_every_value_that_was_taken(pair: Any, tried: list[Any]) -> None:
    try:
        olds, news = predicate(copy.deepcopy(pair[0])), predicate(copy.deepcopy(pair[1]))
    except BadSchema:
        return
    if breaking_parameters(text(pair[0]), text(pair[1])):
        event("breaks")
        return
    event("compatible")
    literals = [each for node in within(pair[0]) if isinstance(node, dict) for each in node.get("enum", [])]
    for value in (*tried, *literals):
        assert not olds(value) or news(value), value
