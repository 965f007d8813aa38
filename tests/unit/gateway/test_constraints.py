"""Constraints come from agents: what compiling and checking them can cost is bounded."""

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConstraintInvalid
from gateway.inference.core.constraints import CompilingChecker
from gateway.inference.core.tool_schemas import forced_call_constraint
from gateway.inference.model import Constraint, ConstraintKind
from services.chassis.chat import ToolDefinition
from services.chassis.constraints.schemas import BadSchema, schema_cost

CHECKER = CompilingChecker()


def regex(text: str) -> Constraint:
    return Constraint(ConstraintKind.REGEX, text)


def schema(value: object) -> Constraint:
    return Constraint(ConstraintKind.JSON, value if isinstance(value, str) else json.dumps(value))


def test_a_regular_expression_must_match_the_whole_output() -> None:
    accepts = CHECKER.compile(regex("a|b+"))

    assert [accepts(text) for text in ("a", "bbb", "ab", "xa", "a\n", "")] == [True, True, *[False] * 4]


def test_a_regular_expression_is_matched_in_linear_time() -> None:
    accepts = CHECKER.compile(regex("(?:(a+)+b|a*c)"))

    assert accepts("a" * 100_000 + "c")
    assert not accepts("a" * 100_000)


@pytest.mark.parametrize("text", ["(", "(?=a)", r"(a)\1", "(" * 5_000, "((a{100}){100}){100}", "a)|(?:.*"])
def test_a_regular_expression_that_needs_more_is_refused(text: str) -> None:
    with pytest.raises(ConstraintInvalid):
        CHECKER.compile(regex(text))


def tools(*schemas: str) -> list[ToolDefinition]:
    return [ToolDefinition(f"t{number}", "", text) for number, text in enumerate(schemas)]


def test_calls_are_held_against_the_schema_of_their_tool() -> None:
    accepts = CHECKER.compile_tools(
        tools('{"required": ["a"], "properties": {"a": {"type": "integer"}}}', "")
    )

    assert [accepts("t0", '{"a": 1}'), accepts("t1", ""), accepts("t1", "{}")] == [True] * 3
    assert [accepts("t0", "{}"), accepts("t0", "{"), accepts("t2", "{}")] == [False] * 3


def test_tools_are_judged_together() -> None:
    each = '{"properties": {"a": {"type": "array", "maxItems": 900}}}'
    CHECKER.compile_tools(tools(*[each] * 3))

    with pytest.raises(ConstraintInvalid, match="together"):
        CHECKER.compile_tools(tools(*[each] * 100))


def test_a_forced_call_may_cost_no_more_than_any_other_constraint() -> None:
    each = '{"properties": {"a": {"type": "array", "maxItems": 49980}}}'
    CHECKER.compile_tools(tools(each))

    with pytest.raises(ConstraintInvalid, match="costly"):
        CHECKER.compile(forced_call_constraint(tools(each)))


def test_a_schema_accepts_what_it_describes() -> None:
    accepts = CHECKER.compile(
        schema(
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/name"}},
                "required": ["a"],
                "$defs": {"name": {"type": "string", "pattern": "^[a-z]+$"}},
            }
        )
    )

    assert [accepts(text) for text in ('{"a": "x"}', '{"a": "X"}', "{}", "no", "[" * 9_999)] == [
        True,
        *[False] * 4,
    ]


def test_output_with_too_many_parts_for_its_schema_is_not_checked_for_ever() -> None:
    choices = {"items": {"anyOf": [{"const": number} for number in range(2_000)]}}
    accepts = CHECKER.compile(schema({"properties": {"a": choices}}))

    assert accepts(json.dumps({"a": [1_999] * 100}))
    assert not accepts(json.dumps({"a": [1_999] * 50_000}))


def test_a_schema_never_makes_the_kernel_fetch_anything() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        uri = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        for reference in (uri, "file:///etc/passwd"):
            with pytest.raises(ConstraintInvalid):
                CHECKER.compile(schema({"properties": {"a": {"$ref": reference}}}))
        CHECKER.compile(schema({"$schema": uri, "$id": uri, "properties": {}}))

        with pytest.raises(TimeoutError):
            server.accept()


def doubling(levels: int) -> dict[str, object]:
    """Return a short schema whose check doubles with each level."""
    choices: dict[str, object] = {
        f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {**choices, f"d{levels}": {}}}


@pytest.mark.parametrize(
    "bad",
    [
        doubling(40),
        {"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}},
        {"properties": {"a": {"$ref": "#/$defs/none"}}},
        {"properties": {"a": {"$dynamicRef": "#x"}}},
        {"properties": {"a": {"pattern": "a" * 600}}},
        {"properties": {"a": {"type": 7}}},
        {"properties": 5},
        "{",
        "[]",
        "[" * 9_999,
    ],
)
def test_a_schema_that_costs_too_much_or_says_nothing_is_refused(bad: object) -> None:
    with pytest.raises(ConstraintInvalid) as refused:
        CHECKER.compile(schema(bad))

    assert len(refused.value.message) < 400


def test_the_size_of_a_schema_counts_what_its_references_repeat() -> None:
    assert schema_cost(doubling(8)).parts > 2**8
    with pytest.raises(BadSchema):
        schema_cost(doubling(16))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "properties", "$ref", "anyOf", "pattern", "a"]), inner)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["a", "b"]), JSON), st.text(max_size=20))
def test_any_schema_compiles_or_is_refused(properties: dict[str, object], output: str) -> None:
    try:
        accepts = CHECKER.compile(schema({"properties": properties}))
    except ConstraintInvalid:
        return

    assert accepts(output) in {True, False}
