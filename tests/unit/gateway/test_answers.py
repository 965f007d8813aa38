"""What a complete generation answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConstraintUnmet
from gateway.inference.model import GenerationSpec, Prompt, ToolChoice
from gateway.inference.service.answers import distinct, message_of
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition

IDS = st.sampled_from(["", "a", "a_1", "a_2", "call_0", "x" * 128])


def test_a_call_whose_id_the_conversation_knows_gets_another_one() -> None:
    earlier = ChatMessage(Role.ASSISTANT, "", (ToolCall("call_0", "add", "{}"),))
    spec = GenerationSpec(
        messages=(earlier,), tools=(ToolDefinition("add", "", ""),), tool_choice=ToolChoice.AUTO
    )
    text = '<tool_call>{"name": "add", "arguments": {}}</tool_call>'

    message = message_of(spec, Prompt("", 1), text, (), complete=True, accepts_call=None)

    assert [call.id for call in message.tool_calls] == ["call_0_1"]


def test_a_call_that_nobody_offered_is_no_empty_answer() -> None:
    calls = (ToolCall("a", "add", "{}"),)
    with pytest.raises(ConstraintUnmet):
        message_of(GenerationSpec(), Prompt("", 1), " ", calls, complete=True, accepts_call=None)
    beside = message_of(GenerationSpec(), Prompt("", 1), "hi", calls, complete=True, accepts_call=None)

    assert beside == ChatMessage(Role.ASSISTANT, "hi")


@given(st.lists(IDS, max_size=8), st.sets(IDS))
def test_ids_are_distinct_short_enough_and_kept_where_they_can_be(ids: list[str], earlier: set[str]) -> None:
    calls = [ToolCall(each, "add", "{}") for each in ids]

    found = [call.id for call in distinct(calls, earlier)]

    assert len({*found}) == len(found)
    assert not earlier & {*found}
    assert all(len(each) <= 128 for each in found)
    free = [each for each in ids if ids.count(each) == 1 and each not in earlier and "_" not in each]
    assert {*free} <= {*found}
