"""From the kernel's answer to a Messages body. Pure."""

import hashlib
from typing import Final

import msgspec

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common.tools import call_id

_STOPS: Final = {
    pb.FINISH_REASON_STOP: "end_turn",
    pb.FINISH_REASON_LENGTH: "max_tokens",
    pb.FINISH_REASON_TOOL_CALLS: "tool_use",
}
TIERS: Final = {"priority": "priority", "fast": "priority", "flex": "batch"}


def message_id(generation: str) -> str:
    """Return the id of the message that a generation made."""
    return "msg_" + hashlib.sha256(generation.encode()).hexdigest()[:24]


def stop_reason(finished: pb.Finished) -> str:
    """Return why the answer ended, in the client's words."""
    if finished.stop_string:
        return "stop_sequence"
    return _STOPS.get(finished.reason, "end_turn")


def usage(counted: pb.Usage, tier: str) -> dict[str, object]:
    """Tell the tokens: those that came from a cache are told apart from the input."""
    cached = min(counted.cached_prompt_tokens, counted.prompt_tokens)
    return {
        "input_tokens": counted.prompt_tokens - cached,
        "output_tokens": counted.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "service_tier": TIERS.get(tier, "standard"),
    }


def tool_use(generation: str, index: int, call: chat_pb2.ToolCall) -> dict[str, object]:
    """Tell one call. Its arguments are passed on as the model wrote them, so that integers stay exact."""
    return {
        "type": "tool_use",
        "id": call_id(generation, index, call.id),
        "name": call.name,
        "input": msgspec.Raw((call.arguments_json or "{}").encode()),
    }


def whole(response: pb.GenerateResponse, model: str, tier: str) -> dict[str, object]:
    """Tell a finished answer."""
    finished = response.finished
    content: list[object] = []
    if finished.message.content:
        content.append({"type": "text", "text": finished.message.content, "citations": None})
    content += [
        tool_use(response.name, index, call) for index, call in enumerate(finished.message.tool_calls)
    ]
    return {
        **head(response.name, finished.model or model),
        "content": content,
        "stop_reason": stop_reason(finished),
        "stop_sequence": finished.stop_string or None,
        "usage": usage(finished.usage, tier),
    }


def head(generation: str, model: str) -> dict[str, object]:
    """Return what a message has from its beginning."""
    return {"id": message_id(generation), "type": "message", "role": "assistant", "model": model}
