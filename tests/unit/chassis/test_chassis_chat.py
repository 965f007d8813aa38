"""A chat between protobuf, the shared vocabulary and stored rows."""

from hypothesis import given
from hypothesis import strategies as st

from services.chassis import codec
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from services.chassis.rpc import chat_wire

TEXT = st.text(max_size=8)
MESSAGES = st.builds(
    ChatMessage,
    st.sampled_from(Role),
    TEXT,
    st.lists(st.builds(ToolCall, TEXT, TEXT, TEXT)).map(tuple),
    TEXT,
    TEXT,
)


@given(MESSAGES)
def test_a_message_reads_as_it_was_written(message: ChatMessage) -> None:
    assert chat_wire.message(chat_wire.message_proto(message)) == message


@given(st.builds(ToolDefinition, TEXT, TEXT, TEXT))
def test_a_tool_reads_as_it_was_written(tool: ToolDefinition) -> None:
    assert chat_wire.tools([chat_wire.tool_proto(tool)]) == (tool,)


def test_messages_are_stored_under_names_that_never_change() -> None:
    message = ChatMessage(Role.ASSISTANT, "hm", (ToolCall("c1", "search", '{"q": 1}'),), "c0", "ada")
    stored = (
        b'{"role":"assistant","content":"hm","tool_calls":'
        b'[{"id":"c1","name":"search","arguments":"{\\"q\\": 1}"}],"tool_call_id":"c0","name":"ada"}'
    )

    assert codec.encode(message) == stored
    assert codec.decode(ChatMessage, stored) == message


def test_the_size_of_a_message_is_that_of_its_texts_in_bytes() -> None:
    message = ChatMessage(Role.TOOL, "ü", (ToolCall("c1", "find", "{}"),), "c0", "é")

    assert message.size == 2 + 2 + 4 + 2 + 2 + 2
