"""The rules of a request are checked at a cost that its size bounds."""

import asyncio
from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.tool.v1 import tool_pb2
from services.chassis.rpc import field_count, methods
from services.chassis.rpc.errors import InvalidRequest, RequestTooLarge
from services.chassis.rpc.field_count import FieldCount, TooManyFields
from services.chassis.rpc.steps import validation

GENERATE = methods.table(inference_pb2.DESCRIPTOR)["/aios.api.inference.v1.InferenceService/Generate"]
REGISTER = methods.table(agent_pb2.DESCRIPTOR)["/aios.api.agent.v1.AgentService/RegisterAgent"]
CALL = methods.table(tool_pb2.DESCRIPTOR)["/aios.api.tool.v1.ToolService/CallTool"]
EMPTY_MESSAGE = b"\x12\x00"


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)


def fields_of(message: Message) -> int:
    """Count the fields that a message sets, those of messages within it too, as they are written."""
    found = 0
    for field, value in message.ListFields():
        if field.message_type is None:
            found += len(value) if field.is_repeated else 1
        elif field.message_type.GetOptions().map_entry:
            found += sum(3 + fields_of(each) for each in value.values())
        else:
            inside: Any = value if field.is_repeated else [value]
            found += sum(1 + fields_of(each) for each in inside)
    return found


def violations(raw: bytes) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        validation.validate(GENERATE, validation.parse(GENERATE, raw))
    return [violation.field for violation in refused.value.violations]


def test_every_mistake_of_a_small_request_is_named() -> None:
    assert violations(EMPTY_MESSAGE * 3) == ["messages[0].role", "messages[1].role", "messages[2].role"]


def test_many_mistakes_are_not_all_named() -> None:
    assert len(violations(EMPTY_MESSAGE * 500)) == 16


def test_ten_thousand_mistakes_are_one() -> None:
    assert violations(EMPTY_MESSAGE * 10_000) == ["messages"]


def test_a_million_empty_messages_are_not_made() -> None:
    with pytest.raises(RequestTooLarge) as refused:
        validation.parse(GENERATE, EMPTY_MESSAGE * 1_000_000)
    assert refused.value.metadata == {"max_fields": str(GENERATE.max_fields)}


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_fields_count_however_deep_they_lie(depth: int) -> None:
    value = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[struct_pb2.Value()] * 500_000))
    for _ in range(depth):
        value = struct_pb2.Value(struct_value=struct_pb2.Struct(fields={"a": value}))
    request = tool_pb2.CallToolRequest(tool="tools/t", arguments={"a": None})
    request.arguments.fields["a"].CopyFrom(value)
    with pytest.raises(RequestTooLarge):
        validation.parse(CALL, request.SerializeToString())


async def test_a_dense_request_within_the_count_gives_way_to_others_while_it_is_counted() -> None:
    request = inference_pb2.GenerateRequest(stop=["a"] * (GENERATE.max_fields - 2), prompt="b" * 100_000)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    assert await validation.admit(GENERATE, request.SerializeToString()) == request
    beside.cancel()
    assert turns > 20


@given(st.recursive(st.none() | st.floats(allow_nan=False) | st.text(max_size=9), nested, max_leaves=30))
def test_the_count_is_exact_for_what_a_library_writes(value: Any) -> None:
    message = struct_pb2.Struct()
    message["a"] = value
    raw, shape = message.SerializeToString(), field_count.inner(struct_pb2.Struct.DESCRIPTOR)
    fields = fields_of(message)
    assert FieldCount(raw, shape, fields).go_on(len(raw) + 1)
    with pytest.raises(TooManyFields):
        FieldCount(raw, shape, fields - 1).go_on(len(raw) + 1)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (agent_pb2.RegisterAgentRequest(kind="\x1b]0;owned\x07"), "kind"),
        (agent_pb2.RegisterAgentRequest(display_name="a\nb"), "display_name"),
        (agent_pb2.RegisterAgentRequest(labels={"team": "\x9b2J"}), 'labels["team"]'),
        (agent_pb2.RegisterAgentRequest(labels={"\x07": "a"}), 'labels["\\u{7}"]'),
    ],
)
def test_names_for_people_hold_no_control_characters(
    request_: agent_pb2.RegisterAgentRequest, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validation.validate(REGISTER, request_)

    (violation,) = refused.value.violations
    assert violation.field[:6] == field[:6]


def test_names_for_people_hold_any_letters() -> None:
    request = agent_pb2.RegisterAgentRequest(kind="рисёрчер \U0001f469\u200d\U0001f52c", labels={"é": "漢字"})
    validation.validate(REGISTER, request)


def test_a_pattern_that_a_name_breaks_is_told_in_words() -> None:
    (bad_id,) = validation.violations(agent_pb2.RegisterAgentRequest(agent_id="Bad id!"))

    assert bad_id.description.startswith("an id is 1 to 63 characters of a-z, 0-9, dot, dash and underscore")
