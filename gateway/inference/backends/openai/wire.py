"""The OpenAI protocol in and out of plain types: chats, stream events, answers, failures. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import orjson

from gateway.inference.backends.sse import EventLines
from gateway.inference.core.tool_schemas import closed
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendInvalid,
    BackendOverloaded,
    BackendUnavailable,
)
from gateway.inference.model import Alternative
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition

OK: Final = 200
SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """A part of a tool call; the parts with one index make one call."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of a run so far, as the server counts them."""

    prompt: int
    completion: int
    cached: int | None
    """Of the prompt, in the server's cache; None: it does not tell."""


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """What a server tells of the place of one token."""

    alternatives: tuple[Alternative, ...] = ()
    """The likeliest tokens, likeliest first."""
    chosen: Alternative | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream."""

    text: str = ""
    thought: bool = False
    """Whether the model reasoned, which is no part of its answer."""
    tool_calls: tuple[ToolDelta, ...] = ()
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    likelihoods: tuple[Likelihoods, ...] = ()
    """Of each of its tokens, where they were asked for."""
    stop_string: str = ""
    """The stop string that ended the answer, where the server tells it."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model of a server. `window` is 0 where the server does not tell it."""

    id: str
    owner: str
    window: int


def write_message(message: ChatMessage) -> dict[str, Any]:
    """Write one message of a chat."""
    written: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.tool_calls:
        written["content"] = message.content or None
        written["tool_calls"] = [_write_call(call) for call in message.tool_calls]
    if message.role is Role.TOOL:
        written["tool_call_id"] = message.tool_call_id
    if message.name:
        written["name"] = message.name
    return written


def write_tool(tool: ToolDefinition) -> dict[str, Any]:
    """Write one tool. Raises BackendInvalid when its schema is no JSON."""
    try:
        parameters = orjson.loads(tool.parameters_schema or "{}")
    except orjson.JSONDecodeError as error:
        raise BackendInvalid(f"the parameters of tool {tool.name!r} are not valid JSON") from error
    if isinstance(parameters, dict):
        parameters = closed(parameters)
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _write_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


class EventReader:
    """Reads a stream of bytes as events, wherever the chunks happen to end."""

    def __init__(self) -> None:
        self._lines = EventLines()
        self.finished = False
        """Whether the model has ended its answer; the usage may still follow."""
        self.ended = False
        """Whether the server has said that nothing follows."""

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Return the events that `data` completes. Raises BackendError, as error events tell."""
        for event in self._lines.feed(data):
            if event == b"[DONE]":
                self.ended = True
                return
            chunk = parse_chunk(event)
            self.finished = self.finished or chunk.finish_reason is not None
            yield chunk


def parse_chunk(data: bytes) -> Chunk:
    """Read the data of one event. Raises BackendBroken and whatever an error event tells of."""
    with shape("an event of the stream"):
        raw = orjson.loads(data)
        if "error" in raw or raw.get("object") == "error":
            raise _failure(SERVER_ERROR, raw)
        usage = parse_usage(raw.get("usage"))
        if not raw["choices"]:
            return Chunk(usage=usage)
        choice = raw["choices"][0]
        delta, likelihoods = choice.get("delta"), parse_logprobs(choice.get("logprobs"))
        stop = _stop_string(choice)
        if delta is None:
            reason = choice.get("finish_reason")
            return Chunk(
                choice["text"],
                finish_reason=reason,
                usage=usage,
                likelihoods=likelihoods,
                stop_string=stop,
            )
        return Chunk(
            delta.get("content") or "",
            bool(delta.get("reasoning_content") or delta.get("reasoning")),
            tuple(_tool_delta(at, each) for at, each in enumerate(delta.get("tool_calls") or ())),
            choice.get("finish_reason"),
            usage,
            likelihoods,
            stop,
        )


def _stop_string(choice: Mapping[str, Any]) -> str:
    """Read which stop string was met: vLLM and SGLang name it, or the id of a token that ends answers."""
    told = choice.get("stop_reason") or choice.get("matched_stop")
    return told if isinstance(told, str) else ""


NO_ID: Final = 0
"""Stands for the id of every token: the protocol tells texts only."""


def parse_logprobs(raw: Any) -> tuple[Likelihoods, ...]:
    """Read how likely the tokens of an event were, and the likeliest ones at their places.

    Chats tell them as a list of entries; raw prompts so on some servers, and as lists of texts and
    log-probabilities with a table for each token on others.
    """
    if not raw:
        return ()
    if (entries := raw.get("content")) is not None:
        return tuple(_of_entry(entry) for entry in entries)
    lists = (raw.get("tokens") or (), raw.get("token_logprobs") or (), raw.get("top_logprobs") or ())
    return tuple(
        Likelihoods(_sorted((table or {}).items()), _chosen(text, logprob))
        for text, logprob, table in zip_longest(*lists)
    )


def _of_entry(entry: Mapping[str, Any]) -> Likelihoods:
    likeliest = ((each["token"], each["logprob"]) for each in entry.get("top_logprobs") or ())
    return Likelihoods(_sorted(likeliest), _chosen(entry.get("token"), entry.get("logprob")))


def _sorted(told: Iterable[tuple[str, float | None]]) -> tuple[Alternative, ...]:
    return tuple(
        Alternative.told(NO_ID, str(text), logprob) for text, logprob in sorted(told, key=_likeliest)
    )


def _chosen(text: Any, logprob: Any) -> Alternative | None:
    return None if text is None or logprob is None else Alternative.told(NO_ID, str(text), logprob)


def _likeliest(entry: tuple[str, float | None]) -> float:
    return math.inf if entry[1] is None else -entry[1]


def _tool_delta(at: int, raw: Mapping[str, Any]) -> ToolDelta:
    function = raw.get("function") or {}
    index = raw.get("index")
    return ToolDelta(
        at if index is None else int(index),
        raw.get("id") or "",
        function.get("name") or "",
        function.get("arguments") or "",
    )


def parse_usage(raw: Any) -> TokenUsage | None:
    """Read the usage of a run, if it is told."""
    if not raw:
        return None
    cached = (raw.get("prompt_tokens_details") or {}).get("cached_tokens")
    return TokenUsage(
        int(raw["prompt_tokens"]),
        int(raw.get("completion_tokens") or 0),
        None if cached is None else int(cached),
    )


class ToolCallJoiner:
    """Puts the parts of tool calls together."""

    def __init__(self) -> None:
        self._parts: dict[int, list[ToolDelta]] = {}

    def add(self, deltas: Sequence[ToolDelta]) -> None:
        """Take further parts."""
        for delta in deltas:
            self._parts.setdefault(delta.index, []).append(delta)

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls so far, in the order of their indices; a call without an id gets its number."""
        return tuple(
            ToolCall(
                next((part.id for part in parts if part.id), f"call_{index}"),
                next((part.name for part in parts if part.name), ""),
                "".join(part.arguments for part in parts),
            )
            for index, parts in sorted(self._parts.items())
        )


def parse_answer(status: int, body: bytes) -> Any:
    """Decode the answer of a call. Raises the BackendError it tells of."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if status == OK:
            raise BackendBroken("the answer is not JSON") from error
        raise _failure(status, body[:200].decode(errors="replace")) from error
    if status != OK:
        raise _failure(status, answer)
    return answer


_INVALID: Final = frozenset({400, 409, 413, 415, 422, 501})
_TOO_MANY: Final = 429
_TIMED_OUT: Final = 408


def _failure(status: int, told: Any) -> BackendError:
    """Build the error that an answer tells of; an error event has its own status.

    A refused key or a model that is gone is the replica's fault, not the request's: BackendBroken.
    """
    error = told.get("error", told) if isinstance(told, dict) else told
    message, code = (error.get("message"), error.get("code")) if isinstance(error, dict) else (error, None)
    if isinstance(code, int) and status == SERVER_ERROR:
        status = code
    text = str(message or f"status {status}")
    if status in _INVALID:
        return BackendInvalid(text)
    if status == _TOO_MANY:
        return BackendOverloaded(text)
    if status >= SERVER_ERROR or status == _TIMED_OUT:
        return BackendUnavailable(text)
    return BackendBroken(f"status {status}: {text}")


@contextmanager
def shape(what: str = "the answer") -> Iterator[None]:
    """Turn a surprise inside an answer into BackendBroken."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BackendBroken(f"{what} makes no sense: {type(error).__name__}") from error


def parse_models(raw: Any) -> list[ServedModel]:
    """Read the answer of `/v1/models`; servers tell the window under different names."""
    with shape():
        return [
            ServedModel(
                str(each["id"]),
                str(each.get("owned_by") or ""),
                int(each.get("max_model_len") or (each.get("meta") or {}).get("n_ctx") or 0),
            )
            for each in raw["data"]
        ]
