"""Writes a chat completion from what the kernel generated. Pure."""

from collections.abc import Sequence
from typing import Any

from aios.api.common.v1 import chat_pb2
from gateway.http.common import openai, openai_logprobs, tools
from gateway.http.common.answers import Answer, Head


def completion(head: Head, answers: Sequence[Answer]) -> dict[str, Any]:
    """Tell the whole completion, a choice for each answer."""
    told: dict[str, Any] = {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [_choice(head, index, answer) for index, answer in enumerate(answers)],
        "usage": openai.usage(answer.finished.usage for answer in answers),
    }
    return {**told, "service_tier": head.tier} if head.tier else told


def calls(head: Head, index: int, message: chat_pb2.ChatMessage) -> list[dict[str, Any]]:
    """Tell the tool calls of one answer."""
    generation = f"{head.id}/{index}"
    return [
        call(head, each, tools.call_id(generation, number, each.id))
        for number, each in enumerate(message.tool_calls)
    ]


def call(head: Head, made: chat_pb2.ToolCall, ident: str) -> dict[str, Any]:
    """Tell one tool call."""
    if made.name in head.custom:
        inner = {"name": made.name, "input": tools.free_text(made.arguments_json)}
        return {"id": ident, "type": "custom", "custom": inner}
    function = {"name": made.name, "arguments": made.arguments_json or "{}"}
    return {"id": ident, "type": "function", "function": function}


def _choice(head: Head, index: int, answer: Answer) -> dict[str, Any]:
    finished = answer.finished
    made = calls(head, index, finished.message)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": finished.message.content or (None if made else ""),
        "refusal": None,
        "annotations": [],
    }
    if made:
        message["tool_calls"] = made
    logprobs = None
    if answer.places is not None:
        logprobs = {"content": openai_logprobs.content(answer.places), "refusal": None}
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": openai.finish_reason(finished),
    }
