"""A response as clients read it: its items, its usage, its states. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import tools
from gateway.http.core.refusals import openai_error, row_of
from gateway.http.responses import ids
from gateway.http.responses.offered import Offered, input_text
from services.chassis.rpc.errors import KernelError

Json = dict[str, Any]

_TOO_LONG: Final = "context_length_exceeded"
_BUSY: Final = "rate_limit_exceeded"
_SERVER_FAULT: Final = 500
_CHANGING: Final = frozenset({"status", "error", "incomplete_details", "output", "usage", "completed_at"})


@dataclass(frozen=True, slots=True)
class Head:
    """What of a response is known before its answer: who asked for what, told again in every event."""

    digits: str
    created_at: int
    """Unix seconds."""
    model: str
    """As the client is told it."""
    echo: Json
    """Fields that only repeat the request."""

    @classmethod
    def of(cls, response: Json) -> "Head":
        """Take up the head of a response that was told before."""
        echo = {key: value for key, value in response.items() if key not in _CHANGING}
        digits = ids.digits_of(str(response["id"])) or ""
        return cls(digits, int(response["created_at"]), str(response["model"]), echo)

    def response(self, status: str, **fields: Any) -> Json:
        """Return the whole object. Every field that a strict client needs is there."""
        return {
            "id": ids.response_id(self.digits),
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": [],
            "usage": None,
            **self.echo,
            **fields,
        }


@dataclass(slots=True)
class Composed:
    """What a generation has become."""

    output: list[Json] = field(default_factory=list)
    usage: Json | None = None
    cut: bool = False
    """Whether it ended because it was as long as it might be."""
    model: str = ""
    message: chat_pb2.ChatMessage = field(default_factory=chat_pb2.ChatMessage)
    """The answer in the kernel's words, the calls named as the client is told them."""
    service_tier: str = ""

    def response(self, head: Head, now: int, **fields: Any) -> Json:
        """Return the response that has ended."""
        told: Json = {"output": self.output, "usage": self.usage, "completed_at": now, **fields}
        if self.cut:
            told["incomplete_details"] = {"reason": "max_output_tokens"}
        return head.response("incomplete" if self.cut else "completed", **told)


def composed(
    finished: pb.Finished, text: str, *, digits: str, offered: Offered, logprobs: Sequence[Json] = ()
) -> Composed:
    """Make the items of an answer. `text` is what the client sees of it."""
    cut = finished.reason == pb.FINISH_REASON_LENGTH
    made = Composed(usage=usage(finished.usage), cut=cut, model=finished.model)
    made.message.role = chat_pb2.ROLE_ASSISTANT
    made.message.content = text
    calls = finished.message.tool_calls
    if text or not calls:
        status = "incomplete" if cut else "completed"
        made.output.append(message_item(ids.output_id("message", digits, 0), status, text, logprobs))
    for index, call in enumerate(calls):
        told = tools.call_id(digits, index, call.id)
        made.message.tool_calls.add(id=told, name=call.name, arguments_json=call.arguments_json)
        made.output.append(call_item(call, told, digits, len(made.output), offered))
    return made


def message_item(ident: str, status: str, text: str, logprobs: Sequence[Json] = ()) -> Json:
    """Return a message of the model."""
    return {
        "id": ident,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [text_part(text, logprobs)],
    }


def text_part(text: str, logprobs: Sequence[Json] = ()) -> Json:
    """Return the text of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def call_item(call: chat_pb2.ToolCall, call_id: str, digits: str, index: int, offered: Offered) -> Json:
    """Return a call as an item."""
    kind = offered.kind(call.name)
    named: Json = {"call_id": call_id, "name": kind.name}
    if kind.namespace:
        named["namespace"] = kind.namespace
    if kind.custom:
        item = {"type": "custom_tool_call", **named, "input": input_text(call.arguments_json)}
    else:
        item = {"type": "function_call", **named, "arguments": call.arguments_json or "{}"}
    return {"id": ids.output_id(str(item["type"]), digits, index), **item, "status": "completed"}


def usage(used: pb.Usage) -> Json:
    """Return the tokens used."""
    return {
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": {"cached_tokens": used.cached_prompt_tokens, "cache_write_tokens": 0},
        "output_tokens": used.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": used.prompt_tokens + used.completion_tokens,
    }


def logprob(place: pb.TopAlternatives) -> Json | None:
    """Return one place of the output with its probabilities; None where none is known of the token."""
    if not place.HasField("chosen"):
        return None
    return {
        **_token(place.chosen),
        "top_logprobs": [_token(each) for each in place.alternatives],
    }


def bare(told: Json) -> Json:
    """Return a place as events tell it: without bytes."""
    return {
        "token": told["token"],
        "logprob": told["logprob"],
        "top_logprobs": [
            {"token": each["token"], "logprob": each["logprob"]} for each in told["top_logprobs"]
        ],
    }


def failure(error: KernelError) -> Json:
    """Return the `error` of a response that failed. Clients know these few codes and act on them."""
    row, told = row_of(error), openai_error(error)
    code = str(told["code"])
    if code not in {_TOO_LONG, _BUSY}:
        code = "server_error" if row.status >= _SERVER_FAULT else "invalid_prompt"
    return {"code": code, "message": told["message"]}


def _token(token: pb.Alternative) -> Json:
    return {"token": token.text, "bytes": list(token.text.encode()), "logprob": min(0.0, token.logprob)}
