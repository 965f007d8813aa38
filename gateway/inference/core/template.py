"""Turns a chat with tools into plain messages, and a model's output back into tool calls. Pure.

Tools are shown as one line each and called by `<tool_call>{...}</tool_call>`: the form that the Hermes and
Qwen model families were trained on, so that one path serves every backend that takes plain messages.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from gateway.errors import ConstraintInvalid
from gateway.inference.model import Constraint, ConstraintKind, ToolChoice
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from services.chassis.rpc.errors import InvalidRequest

CALL_INSTRUCTION = (
    'Reply with <tool_call>{"name": ..., "arguments": {...}}</tool_call> to call a tool; '
    "several calls may follow one another."
)
_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
MAX_FORCED_CALLS = 8


def plain_messages(messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition]) -> list[ChatMessage]:
    """Fold `tools` into the system message and tool calls into the assistant's text."""
    folded = [_fold_calls(message) for message in messages]
    if not tools:
        return folded
    listing = "\n".join(["# Tools", *(tool_line(tool) for tool in tools), CALL_INSTRUCTION])
    if folded and folded[0].role is Role.SYSTEM:
        system = ChatMessage(Role.SYSTEM, f"{folded[0].content}\n\n{listing}")
        return [system, *folded[1:]]
    return [ChatMessage(Role.SYSTEM, listing), *folded]


def tool_line(tool: ToolDefinition) -> str:
    """Show a tool as `name(param: type, optional?: type): first sentence of its description`.

    Raises ConstraintInvalid when its parameters are no JSON schema.
    """
    schema = parse_schema(tool)
    required, properties = schema.get("required", []), schema.get("properties", {})
    if not isinstance(required, list) or not isinstance(properties, dict):
        raise ConstraintInvalid(f"the parameters of tool {tool.name!r} are no JSON schema of an object")
    parameters = ", ".join(
        f"{name}{'' if name in required else '?'}: {_type_name(spec)}" for name, spec in properties.items()
    )
    sentence = tool.description.strip().split("\n", 1)[0]
    return f"{tool.name}({parameters}): {sentence}"


def parse_schema(tool: ToolDefinition) -> dict[str, Any]:
    """Parse the schema of a tool's arguments. Raises ConstraintInvalid when it is no JSON object."""
    try:
        schema = json.loads(tool.parameters_schema or "{}")
    except (ValueError, RecursionError) as error:
        raise ConstraintInvalid(f"the parameters of tool {tool.name!r} are not valid JSON") from error
    if not isinstance(schema, dict):
        raise ConstraintInvalid(f"the parameters of tool {tool.name!r} must be a JSON object")
    return schema


def render_call(name: str, arguments_json: str) -> str:
    """Write one tool call the way the model writes it. Raises InvalidRequest unless they are JSON."""
    try:
        arguments = json.loads(arguments_json or "{}")
    except (ValueError, RecursionError) as error:
        raise InvalidRequest.field(
            "messages", f"the arguments of a call of {name!r} are not valid JSON"
        ) from error
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}</tool_call>"


def forced_call_constraint(tools: Sequence[ToolDefinition], most: int = MAX_FORCED_CALLS) -> Constraint:
    """Build the schema that forces at least one call of one of `tools`, and at most `most`."""
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.name},
                "arguments": parse_schema(tool) or {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    items = calls[0] if len(calls) == 1 else {"anyOf": calls}
    schema = {
        "type": "object",
        "properties": {
            "tool_calls": {
                "type": "array",
                "minItems": 1,
                "maxItems": min(most, MAX_FORCED_CALLS),
                "items": items,
            }
        },
        "required": ["tool_calls"],
        "additionalProperties": False,
    }
    return Constraint(ConstraintKind.JSON, json.dumps(schema))


def parse_output(text: str, tools: Sequence[ToolDefinition], choice: ToolChoice) -> ChatMessage:
    """Decode a model's whole output. What does not parse as a call of a known tool stays text."""
    if not tools or choice is ToolChoice.NONE:
        return ChatMessage(Role.ASSISTANT, text)
    known = {tool.name for tool in tools}
    if choice is ToolChoice.REQUIRED:
        forced = _decode(text)
        raw = forced.get("tool_calls", []) if forced else []
        calls = [call for call in raw if _is_call(call, known)] if isinstance(raw, list) else []
        return ChatMessage(Role.ASSISTANT, "" if calls else text, _number(calls))
    found: list[dict[str, Any]] = []

    def take(match: re.Match[str]) -> str:
        call = _decode(match.group(1))
        if call is None or not _is_call(call, known):
            return match.group(0)
        found.append(call)
        return ""

    rest = _CALL.sub(take, text)
    return ChatMessage(Role.ASSISTANT, rest.strip() if found else text, _number(found))


def _number(calls: Sequence[dict[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(f"call_{index}", call["name"], json.dumps(call.get("arguments", {}), ensure_ascii=False))
        for index, call in enumerate(calls)
    )


def _decode(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_call(call: object, known: set[str]) -> bool:
    return (
        isinstance(call, dict) and call.get("name") in known and isinstance(call.get("arguments", {}), dict)
    )


def _fold_calls(message: ChatMessage) -> ChatMessage:
    if not message.tool_calls:
        return ChatMessage(message.role, message.content)
    rendered = "\n".join(render_call(call.name, call.arguments) for call in message.tool_calls)
    return ChatMessage(message.role, "\n".join(part for part in (message.content, rendered) if part))


def _type_name(spec: object) -> str:
    kind = spec.get("type", "any") if isinstance(spec, dict) else "any"
    if isinstance(kind, list):
        return " or ".join(str(each) for each in kind)
    return kind if isinstance(kind, str) else "any"
