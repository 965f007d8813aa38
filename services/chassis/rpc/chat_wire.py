"""The only converter between the chat protos and the chat vocabulary."""

from collections.abc import Iterable
from typing import Final

from aios.api.common.v1 import chat_pb2
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition

_ROLES: Final = {
    chat_pb2.ROLE_SYSTEM: Role.SYSTEM,
    chat_pb2.ROLE_USER: Role.USER,
    chat_pb2.ROLE_ASSISTANT: Role.ASSISTANT,
    chat_pb2.ROLE_TOOL: Role.TOOL,
}
_ROLE_NUMBERS: Final = {role: number for number, role in _ROLES.items()}


def message(sent: chat_pb2.ChatMessage) -> ChatMessage:
    """Read one message."""
    calls = tuple(ToolCall(call.id, call.name, call.arguments_json) for call in sent.tool_calls)
    return ChatMessage(_ROLES[sent.role], sent.content, calls, sent.tool_call_id, sent.name)


def messages(sent: Iterable[chat_pb2.ChatMessage]) -> tuple[ChatMessage, ...]:
    """Read a chat."""
    return tuple(map(message, sent))


def tools(sent: Iterable[chat_pb2.ToolDefinition]) -> tuple[ToolDefinition, ...]:
    """Read the tools shown to the model."""
    return tuple(ToolDefinition(each.name, each.description, each.parameters_schema_json) for each in sent)


def message_proto(written: ChatMessage) -> chat_pb2.ChatMessage:
    """Write one message."""
    return chat_pb2.ChatMessage(
        role=_ROLE_NUMBERS[written.role],
        content=written.content,
        tool_calls=[
            chat_pb2.ToolCall(id=call.id, name=call.name, arguments_json=call.arguments)
            for call in written.tool_calls
        ],
        tool_call_id=written.tool_call_id,
        name=written.name,
    )


def tool_proto(written: ToolDefinition) -> chat_pb2.ToolDefinition:
    """Write one tool."""
    return chat_pb2.ToolDefinition(
        name=written.name,
        description=written.description,
        parameters_schema_json=written.parameters_schema,
    )
