"""Turns a chat with tools into plain messages, and a model's output back into tool calls. Pure.

Tools are shown in the system message (`tool_prompt`) and called by `<tool_call>{...}</tool_call>`: the form
that the Hermes and Qwen model families were trained on, so that one path serves every backend that takes
plain messages.
"""

import json
from collections.abc import Sequence
from typing import Any

from gateway.inference.core.answer_form import calls_key
from gateway.inference.core.json_text import told_arguments
from gateway.inference.core.text_calls import (
    WrittenCall,
    chosen_calls,
    forced_calls,
    without,
    written_calls,
)
from gateway.inference.core.tool_prompt import answer_lines, listing
from gateway.inference.model import ToolChoice
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition

CALL_INSTRUCTION = (
    'Reply with <tool_call>{"name": ..., "arguments": {...}}</tool_call> to call a tool; '
    "several calls may follow one another."
)


def plain_messages(
    messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition], form: str = ""
) -> list[ChatMessage]:
    """Fold `tools` into the system message and tool calls into the assistant's text.

    `form`: the schema that an answer has to keep when no tool is called; empty: it may be anything.
    """
    key = calls_key(form) if form else ""
    folded = [_fold_calls(message, key) for message in messages]
    return with_tools(folded, tools, form) if tools else folded


def with_tools(
    messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition], form: str = ""
) -> list[ChatMessage]:
    """Fold `tools` into the system message and leave the other messages as they are."""
    shown = "\n".join(("# Tools", listing(tools), _instruction(form)))
    if messages and messages[0].role is Role.SYSTEM:
        system = ChatMessage(Role.SYSTEM, f"{messages[0].content}\n\n{shown}")
        return [system, *messages[1:]]
    return [ChatMessage(Role.SYSTEM, shown), *messages]


def render_call(name: str, arguments_json: str) -> str:
    """Write one tool call the way the model writes it."""
    return f"<tool_call>{_written(_object(name, arguments_json))}</tool_call>"


def parse_output(
    text: str, tools: Sequence[ToolDefinition], choice: ToolChoice, form: str = ""
) -> ChatMessage:
    """Decode a model's whole output. What does not parse as a call of a known tool stays text.

    `form`: the schema of an answer that was bound to be either calls or in this form; empty: it was not.
    """
    if not tools or choice is ToolChoice.NONE:
        return ChatMessage(Role.ASSISTANT, text)
    known = {tool.name for tool in tools}
    if choice is ToolChoice.REQUIRED:
        calls = forced_calls(text, known)
        return ChatMessage(Role.ASSISTANT, "" if calls else text, _number(calls))
    if form:
        calls = chosen_calls(text, known, calls_key(form))
        return ChatMessage(Role.ASSISTANT, "" if calls else text, _number(calls))
    calls = written_calls(text, known)
    return ChatMessage(Role.ASSISTANT, without(text, calls) if calls else text, _number(calls))


def _instruction(form: str) -> str:
    """Say how to call a tool; with a form both what a call and what an answer has to look like."""
    if not form:
        return CALL_INSTRUCTION
    call = f'{{"{calls_key(form)}": [{{"name": ..., "arguments": {{...}}}}]}}'
    answer, *below = answer_lines(form)
    return "\n".join(
        (f"Reply with {call} to call tools. Otherwise reply with JSON of this form: {answer}", *below)
    )


def _number(calls: Sequence[WrittenCall]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(f"call_{index}", call.name, call.arguments) for index, call in enumerate(calls))


def _fold_calls(message: ChatMessage, key: str) -> ChatMessage:
    """Put the calls into the text as the model writes them; with a key all under it."""
    if not message.tool_calls:
        return ChatMessage(message.role, message.content)
    if key:
        rendered = _written({key: [_object(call.name, call.arguments) for call in message.tool_calls]})
    else:
        rendered = "\n".join(render_call(call.name, call.arguments) for call in message.tool_calls)
    return ChatMessage(message.role, "\n".join(part for part in (message.content, rendered) if part))


def _object(name: str, arguments_json: str) -> dict[str, Any]:
    return {"name": name, "arguments": json.loads(told_arguments(arguments_json))}


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
