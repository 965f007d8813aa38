"""What reaches a server is a conversation in the order that servers take."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2
from gateway.errors import OrphanToolResult
from gateway.inference import wire
from gateway.inference.core.conversation import NO_RESULT, in_order
from services.chassis.chat import ChatMessage, Role, ToolCall
from services.chassis.rpc.errors import InvalidRequest

SYSTEM = ChatMessage(Role.SYSTEM, "Be kind.")
ASKED = ChatMessage(Role.USER, "Find it.")
AGAIN = ChatMessage(Role.USER, "Hurry.")
ANSWER = ChatMessage(Role.ASSISTANT, "Soon.")


def call(*ids: str) -> ChatMessage:
    return ChatMessage(Role.ASSISTANT, "", tuple(ToolCall(each, "find", "{}") for each in ids))


def result(id_: str, content: str = "found") -> ChatMessage:
    return ChatMessage(Role.TOOL, content, tool_call_id=id_, name="find")


def missing(id_: str) -> ChatMessage:
    return result(id_, NO_RESULT)


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        ([SYSTEM, ASKED], [SYSTEM, ASKED]),
        ([ASKED, call("a"), result("a"), ANSWER], [ASKED, call("a"), result("a"), ANSWER]),
        ([SYSTEM, ASKED, call("a"), AGAIN], [SYSTEM, ASKED, call("a"), missing("a"), AGAIN]),
        ([ASKED, call("a"), AGAIN, result("a")], [ASKED, call("a"), result("a"), AGAIN]),
        ([ASKED, call("a"), AGAIN, ANSWER, result("a")], [ASKED, call("a"), result("a"), AGAIN, ANSWER]),
        ([ASKED, call("a")], [ASKED, call("a"), missing("a")]),
        ([call("a", "b"), result("b"), AGAIN], [call("a", "b"), result("b"), missing("a"), AGAIN]),
        # Ids that a model uses again: a result is the newest call's.
        (
            [call("a"), AGAIN, call("a"), result("a")],
            [call("a"), missing("a"), AGAIN, call("a"), result("a")],
        ),
        (
            [call("a"), result("a", "1"), call("a"), result("a", "2")],
            [call("a"), result("a", "1"), call("a"), result("a", "2")],
        ),
        ([call("a", "a"), result("a")], [call("a", "a"), result("a"), missing("a")]),
    ],
)
def test_results_stand_behind_their_call_and_none_is_missing(
    messages: list[ChatMessage], sent: list[ChatMessage]
) -> None:
    assert in_order(messages) == tuple(sent)


@pytest.mark.parametrize(
    "messages",
    [
        [result("a")],
        [ASKED, result("a"), call("a")],
        [call("a"), result("b")],
        [call("a"), result("a"), result("a")],
    ],
)
def test_a_result_without_a_call_is_refused(messages: list[ChatMessage]) -> None:
    with pytest.raises(OrphanToolResult) as refused:
        in_order(messages)

    assert refused.value.metadata["tool_call_id"] in {"a", "b"}


IDS = st.sampled_from("abc")
MESSAGES = st.lists(
    st.one_of(
        st.sampled_from([SYSTEM, ASKED, ANSWER]),
        st.lists(IDS, min_size=1, max_size=3).map(lambda ids: call(*ids)),
        IDS.map(result),
    ),
    max_size=12,
)


@given(MESSAGES)
def test_whatever_was_said_servers_take_it_or_it_is_refused(messages: list[ChatMessage]) -> None:
    try:
        sent = in_order(messages)
    except OrphanToolResult:
        return

    assert in_order(sent) == sent
    assert Counter(map(repr, messages)) <= Counter(map(repr, sent))
    assert [each for each in sent if each.role is not Role.TOOL] == [
        each for each in messages if each.role is not Role.TOOL
    ]
    waiting: Counter[str] = Counter()
    for each in [*sent, ASKED]:
        if each.role is Role.TOOL:
            waiting[each.tool_call_id] -= 1
            assert waiting[each.tool_call_id] >= 0
        else:
            assert not any(waiting.values())
            waiting = Counter(call.id for call in each.tool_calls)


@pytest.mark.parametrize("read", [wire.spec, wire.count_spec])
def test_a_conversation_of_more_tool_calls_than_any_has_is_refused_before_it_is_read(read: Any) -> None:
    said = chat_pb2.ChatMessage(role=chat_pb2.ROLE_ASSISTANT, tool_calls=[chat_pb2.ToolCall(id="c")] * 128)
    kind = inference_pb2.GenerateRequest if read is wire.spec else inference_pb2.CountTokensRequest
    assert read(kind(messages=[said] * 16)).messages
    with pytest.raises(InvalidRequest):
        read(kind(messages=[said] * 17))
