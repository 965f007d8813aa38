"""Tools and results of the kernel in MCP's words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types.methods import serialize_server_result

from aios.api.tool.v1 import resources_pb2 as res
from gateway.http.mcp import convert
from gateway.http.mcp.failures import failed
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import FieldViolation, InvalidRequest, KernelError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def call(**result: Any) -> res.Call:
    return res.Call(name="agents/a/calls/1", result=res.CallResult(**result), attempt_count=1)


@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25", "2025-06-18", "2024-11-05"])
@given(JSON)
def test_every_result_can_be_told_in_every_revision(revision: str, value: Any) -> None:
    text = json.dumps(value)
    shown = convert.result(call(value_json=text), modern=convert.is_modern(revision))

    told = serialize_server_result(
        "tools/call", revision, shown.model_dump(by_alias=True, mode="json", exclude_none=True)
    )
    assert told["content"][0]["text"] == (value if isinstance(value, str) else text)
    if isinstance(value, dict) and revision >= "2025-06-18":
        assert told["structuredContent"] == value


@given(JSON)
def test_arguments_are_sent_on_as_they_came_or_refused(value: Any) -> None:
    try:
        text = convert.arguments_json({"a": value})
    except InvalidRequest:
        return
    assert json.loads(text) == {"a": value}


@pytest.mark.parametrize("value", ["\ud83d", float("nan"), float("inf"), {"\udc00": 1}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        convert.arguments_json({"a": value})


def test_schemas_are_shown_whole() -> None:
    schema = {
        "type": "object",
        "$defs": {"p": {"type": "string"}},
        "properties": {"x": {"$ref": "#/$defs/p"}},
    }
    tool = res.Tool(
        name="tools/t",
        parameters_schema_json=json.dumps(schema),
        result_schema_json='{"type":"array"}',
        effect=res.TOOL_EFFECT_IRREVERSIBLE,
    )

    now, before = convert.tool(tool, modern=True), convert.tool(tool, modern=False)

    assert now.input_schema == schema
    assert now.output_schema == {"type": "array"}
    assert before.output_schema is None, "until 2025-11-25 only the schema of an object could be told"
    assert now.annotations is not None
    assert now.annotations.destructive_hint
    assert now.meta is not None
    assert now.meta["aios"]["needsApproval"] is True


def test_a_tool_without_parameters_takes_none() -> None:
    shown = convert.tool(res.Tool(name="tools/t"), modern=True)

    assert shown.input_schema == {"type": "object", "properties": {}, "additionalProperties": False}


def test_a_refusal_tells_programs_all_it_knows() -> None:
    error = KernelError(
        "no",
        metadata={"tool": "t"},
        retry_after=2.5,
        violations=[FieldViolation("a", "is missing")],
    )
    error.reason, error.code = "TOOL_ARGUMENTS_INVALID", Code.INVALID_ARGUMENT

    result = failed(error)

    assert result.is_error
    assert result.meta == {
        "aios": {
            "reason": "TOOL_ARGUMENTS_INVALID",
            "metadata": {"tool": "t"},
            "retryAfterSeconds": 2.5,
            "violations": [{"field": "a", "description": "is missing"}],
        }
    }
