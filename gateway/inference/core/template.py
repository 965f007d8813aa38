"""Turns a chat with tools into plain messages, and a model's output back into tool calls. Pure.

Tools are shown in the system message (`tool_prompt`) and called by `<tool_call>{...}</tool_call>`: the form
that the Hermes and Qwen model families were trained on, so that one path serves every backend that takes
plain messages.
"""

import json
from collections.abc import Sequence

from gateway.inference.core.text_calls import WrittenCall, forced_calls, without, written_calls
from gateway.inference.core.tool_prompt import listing
from gateway.inference.model import ToolChoice
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from services.chassis.rpc.errors import InvalidRequest

CALL_INSTRUCTION = (
    'Reply with <tool_call>{"name": ..., "arguments": {...}}</tool_call> to call a tool; '
    "several calls may follow one another."
)


def plain_messages(messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition]) -> list[ChatMessage]:
    """Fold `tools` into the system message and tool calls into the assistant's text."""
    folded = [_fold_calls(message) for message in messages]
    if not tools:
        return folded
    shown = f"# Tools\n{listing(tools)}\n{CALL_INSTRUCTION}"
    if folded and folded[0].role is Role.SYSTEM:
        system = ChatMessage(Role.SYSTEM, f"{folded[0].content}\n\n{shown}")
        return [system, *folded[1:]]
    return [ChatMessage(Role.SYSTEM, shown), *folded]


def render_call(name: str, arguments_json: str) -> str:
    """Write one tool call the way the model writes it. Raises InvalidRequest unless they are JSON."""
    try:
        arguments = json.loads(arguments_json or "{}")
    except (ValueError, RecursionError) as error:
        raise InvalidRequest.field(
            "messages", f"the arguments of a call of {name!r} are not valid JSON"
        ) from error
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}</tool_call>"


def parse_output(text: str, tools: Sequence[ToolDefinition], choice: ToolChoice) -> ChatMessage:
    """Decode a model's whole output. What does not parse as a call of a known tool stays text."""
    if not tools or choice is ToolChoice.NONE:
        return ChatMessage(Role.ASSISTANT, text)
    known = {tool.name for tool in tools}
    if choice is ToolChoice.REQUIRED:
        calls = forced_calls(text, known)
        return ChatMessage(Role.ASSISTANT, "" if calls else text, _number(calls))
    calls = written_calls(text, known)
    return ChatMessage(Role.ASSISTANT, without(text, calls) if calls else text, _number(calls))


def _number(calls: Sequence[WrittenCall]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(f"call_{index}", call.name, call.arguments) for index, call in enumerate(calls))


def _fold_calls(message: ChatMessage) -> ChatMessage:
    if not message.tool_calls:
        return ChatMessage(message.role, message.content)
    rendered = "\n".join(render_call(call.name, call.arguments) for call in message.tool_calls)
    return ChatMessage(message.role, "\n".join(part for part in (message.content, rendered) if part))
