"""Generations on the wire."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from aios._wire import common
from aios._wire.records import record
from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from aios.types import llm

ROLE = "ROLE_"
FINISH = "FINISH_REASON_"
CHOICE = "TOOL_CHOICE_"
SUSPEND = "SUSPEND_REASON_"


def conversation(messages: llm.Messages) -> list[llm.Message]:
    """Return messages in any accepted form as a list of `Message`.

    Raises ValueError for a dict that is none.
    """
    if isinstance(messages, str):
        return [llm.Message("user", messages)]
    if isinstance(messages, llm.Message):
        return [messages]
    return [one if isinstance(one, llm.Message) else _from_mapping(one) for one in messages]


def _from_mapping(value: Mapping[str, Any]) -> llm.Message:
    unknown = set(value) - {"role", "content", "tool_calls", "tool_call_id", "name"}
    if unknown or "role" not in value:
        raise ValueError(f"a message has a role and content, not {sorted(value)}")
    calls = tuple(
        c if isinstance(c, llm.ToolCall) else _call_from_mapping(c) for c in value.get("tool_calls") or ()
    )
    return llm.Message(
        value["role"],
        value.get("content") or "",
        calls,
        value.get("tool_call_id") or "",
        value.get("name") or "",
    )


def _call_from_mapping(value: Mapping[str, Any]) -> llm.ToolCall:
    """Return a tool call from a dict: flat, or with the OpenAI `function` level."""
    function = value.get("function", value)
    arguments = function.get("arguments", "{}")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return llm.ToolCall(value.get("id", ""), function["name"], text)


def message_of(message: llm.Message) -> chat_pb2.ChatMessage:
    """Return a message as protobuf."""
    return chat_pb2.ChatMessage(
        role=cast("chat_pb2.Role", common.number(chat_pb2.Role, ROLE, message.role, "role")),
        content=message.content,
        tool_calls=[
            chat_pb2.ToolCall(id=call.id, name=call.name, arguments_json=call.arguments_json)
            for call in message.tool_calls
        ],
        tool_call_id=message.tool_call_id,
        name=message.name,
    )


def messages_of(messages: llm.Messages) -> list[chat_pb2.ChatMessage]:
    """Return a conversation as protobuf."""
    return [message_of(one) for one in conversation(messages)]


def message(value: chat_pb2.ChatMessage) -> llm.Message:
    """Return a message from protobuf."""
    return llm.Message(
        cast("llm.Role", common.word(chat_pb2.Role, ROLE, value.role)),
        value.content,
        tool_calls(value),
        value.tool_call_id,
        value.name,
    )


def tool_calls(value: chat_pb2.ChatMessage) -> tuple[llm.ToolCall, ...]:
    """Return the tool calls of a message."""
    return tuple(llm.ToolCall(call.id, call.name, call.arguments_json or "{}") for call in value.tool_calls)


def tools_of(tools: Sequence[llm.ToolSpec]) -> list[chat_pb2.ToolDefinition]:
    """Return tools as protobuf."""
    return [
        chat_pb2.ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_schema_json=json.dumps(tool.parameters) if tool.parameters else "",
        )
        for tool in tools
    ]


def tool_choice(value: llm.ToolChoice) -> pb.ToolChoice:
    """Return a tool choice as protobuf."""
    return cast("pb.ToolChoice", common.number(pb.ToolChoice, CHOICE, value, "tool_choice"))


def answer(finished: pb.Finished, name: str) -> llm.Answer:
    """Return a finished generation as an answer."""
    usage, timings = finished.usage, finished.timings
    return llm.Answer(
        text=finished.message.content,
        tool_calls=tool_calls(finished.message),
        finish_reason=cast("llm.FinishReason", common.word(pb.FinishReason, FINISH, finished.reason)),
        usage=llm.Usage(usage.prompt_tokens, usage.completion_tokens, usage.cached_prompt_tokens),
        timings=llm.Timings(
            wait=common.seconds(timings.wait),
            run=common.seconds(timings.run),
            time_to_first_token=common.seconds(timings.time_to_first_token),
            preemption_count=timings.preemption_count,
            recovery_count=timings.recovery_count,
            seed=timings.seed if timings.HasField("seed") else None,
            replica=timings.replica,
        ),
        model=finished.model,
        stop_string=finished.stop_string,
        name=name,
    )


def event(value: pb.GenerationEvent, name: str) -> llm.StreamEvent:
    """Return one event of a stream; a kind newer than this client as a plain `StreamEvent`."""
    kind = value.WhichOneof("event")
    sequence = value.sequence
    if kind == "delta":
        delta = value.delta
        places = tuple(record(llm.Place, place) for place in delta.top_alternatives)
        return llm.TextDelta(sequence=sequence, text=delta.text, token_count=delta.token_count, places=places)
    if kind == "finished":
        return llm.Finished(sequence=sequence, answer=answer(value.finished, name))
    if kind == "admitted":
        admitted = value.admitted
        return llm.Admitted(
            sequence=sequence, wait=common.seconds(admitted.wait), prompt_tokens=admitted.prompt_tokens
        )
    if kind == "suspended":
        reason = common.word(pb.SuspendReason, SUSPEND, value.suspended.reason)
        return llm.Suspended(sequence=sequence, reason=cast("Any", reason))
    if kind == "resumed":
        return llm.Resumed(sequence=sequence, wait=common.seconds(value.resumed.wait))
    return llm.StreamEvent(sequence=sequence)


def model(value: pb.Model) -> llm.ModelInfo:
    """Return a model from protobuf."""
    return llm.ModelInfo(
        name=value.name,
        max_total_tokens=value.max_total_tokens,
        replica_count=value.replica_count,
        slots=value.slots,
        kv_snapshot=value.kv_snapshot,
        constraints=value.constraints,
        is_default=value.is_default,
    )
