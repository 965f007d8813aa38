"""The OpenAI protocol in and out of plain types: chats, stream events, answers, failures. Pure."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import orjson

from gateway.inference.backends.openai.tool_calls import ToolDelta
from gateway.inference.backends.reading import (
    Silence,
    count,
    decoded,
    exact_text,
    few,
    name,
    objects,
    position,
    shape,
    text_of,
)
from gateway.inference.backends.sse import EventLines
from gateway.inference.core.json_text import mended, told_arguments
from gateway.inference.core.overflow import as_overflow
from gateway.inference.core.schema_slips import in_todays_words
from gateway.inference.core.tool_schemas import closed, without_odd_patterns
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendInvalid,
    BackendOverloaded,
    BackendUnavailable,
)
from gateway.inference.model import Alternative, Chat
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from services.chassis.tool_names import ModelNames

OK: Final = 200
SERVER_ERROR: Final = 500


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


@dataclass(slots=True)
class Chunk:
    """One event of a stream; nobody changes one, but a frozen one takes three times as long to make."""

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


def names_of(chat: Chat) -> ModelNames:
    """Return what the tools of a chat are called by a model: those it may call, and those it has called."""
    called = (call.name for message in chat.messages for call in message.tool_calls)
    answered = (message.name for message in chat.messages if message.role is Role.TOOL and message.name)
    return ModelNames([*(tool.name for tool in chat.tools), *called, *answered])


def write_chat(chat: Chat, names: ModelNames) -> dict[str, Any]:
    """Write a chat and its tools. Raises BackendInvalid when a schema is no JSON."""
    body: dict[str, Any] = {"messages": [_write_message(message, names) for message in chat.messages]}
    if chat.tools:
        body["tools"] = [write_tool(tool, names) for tool in chat.tools]
    return body


def _write_message(message: ChatMessage, names: ModelNames) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.tool_calls:
        written["content"] = message.content or None
        written["tool_calls"] = [_write_call(call, names) for call in message.tool_calls]
    if message.role is Role.TOOL:
        written["tool_call_id"] = message.tool_call_id
    if message.name:
        written["name"] = names.shown(message.name) if message.role is Role.TOOL else message.name
    return written


def write_tool(tool: ToolDefinition, names: ModelNames) -> dict[str, Any]:
    """Write one tool. Raises BackendInvalid when its schema is no JSON."""
    try:
        parameters = orjson.loads(tool.parameters_schema or "{}")
    except orjson.JSONDecodeError as error:
        raise BackendInvalid(f"the parameters of tool {tool.name!r} are not valid JSON") from error
    if isinstance(parameters, dict):
        parameters = closed(without_odd_patterns(in_todays_words(parameters)))
    function = {"name": names.shown(tool.name), "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _write_call(call: ToolCall, names: ModelNames) -> dict[str, Any]:
    function = {"name": names.shown(call.name), "arguments": told_arguments(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


class EventReader:
    """Reads a stream of bytes as events, wherever the chunks happen to end."""

    def __init__(self) -> None:
        self._lines = EventLines()
        self._silence = Silence()
        self.finished = False
        """Whether the model has ended its answer; the usage may still follow."""
        self.ended = False
        """Whether the server has said that nothing follows."""

    @property
    def held(self) -> int:
        """Bytes of an event whose end is still to come."""
        return self._lines.held

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Return the events that `data` completes. Raises BackendError, as error events tell."""
        return self._read(self._lines.feed(data))

    def close(self) -> Iterator[Chunk]:
        """Return the events that only the end of the stream completes. Raises BackendError."""
        return self._read(self._lines.close())

    def whole(self, body: bytes) -> Iterator[Chunk]:
        """Read an answer that came whole instead of as a stream. Raises BackendError."""
        chunks = [chunk for raw in objects(body.strip()) if (chunk := read_chunk(raw)) is not None]
        if not chunks:
            raise BackendBroken("the answer holds no choice")
        self.finished = self.ended = True
        yield from chunks

    def _read(self, events: Iterable[bytes]) -> Iterator[Chunk]:
        for event in events:
            if event.upper() == b"[DONE]":
                self.finished = self.ended = True
                return
            for raw in objects(event):
                chunk = Chunk(text) if (text := _plain(raw)) else read_chunk(raw)
                self._silence.take(silent=chunk is None)
                if chunk is not None:
                    self.finished = self.finished or chunk.finish_reason is not None
                    yield chunk


def _plain(raw: Mapping[str, Any]) -> str:
    """Return the text of an event that tells of nothing else, as nearly all do; empty: it may tell more."""
    choices = raw.get("choices")
    if type(choices) is not list or len(choices) != 1 or raw.get("usage") or raw.get("error"):
        return ""
    choice = choices[0]
    if type(choice) is not dict or not choice.keys() <= _PLAIN_CHOICE or any(map(choice.get, _ELSE)):
        return ""
    delta = choice.get("delta")
    if type(delta) is not dict or not delta.keys() <= _PLAIN_DELTA:
        return ""
    if "error" in (raw.get("object"), raw.get("type")):
        return ""
    text = delta.get("content")
    return text if type(text) is str else ""


_ELSE: Final = ("finish_reason", "index", "logprobs", "stop_reason", "matched_stop", "token_ids")
"""What else a choice may name, as long as it says nothing there."""
_PLAIN_CHOICE: Final = frozenset({"delta", *_ELSE})
_PLAIN_DELTA: Final = frozenset({"content", "role"})


def read_chunk(raw: Mapping[str, Any]) -> Chunk | None:
    """Read one event; None: it tells nothing of the answer.

    Raises BackendBroken and whatever an error event tells of.
    """
    if raw.keys().isdisjoint(_TOLD):
        return None
    with shape("an event of the stream"):
        if raw.get("error") or "error" in (raw.get("object"), raw.get("type")):
            raise _failure(SERVER_ERROR, raw)
        usage = parse_usage(raw.get("usage"))
        choice = _choice(raw.get("choices"))
        chunk = Chunk(usage=usage) if choice is None else _chunk(choice, usage)
        return None if chunk == _NOTHING else chunk


def _choice(raw: Any) -> Mapping[str, Any] | None:
    """Return the first choice, the only one that is asked for; None: the event tells of none."""
    if raw is not None and not isinstance(raw, list):
        raise TypeError("choices are a list")
    told = few(raw or [])
    return next((each for each in told if each is not None and not position(each.get("index"))), None)


def _chunk(choice: Mapping[str, Any], usage: TokenUsage | None) -> Chunk:
    delta = choice.get("delta")
    if delta is None:
        delta = choice.get("message")  # of an answer that came whole
    if delta is None:
        delta = {"content": choice.get("text")}
    calls = delta.get("tool_calls")
    calls = list(few(calls) if isinstance(calls, list) else [calls])
    if (legacy := delta.get("function_call")) is not None:
        calls.append({"index": 0, "function": legacy})
    return Chunk(
        text_of(delta.get("content")) + text_of(delta.get("refusal")),
        bool(delta.get("reasoning_content") or delta.get("reasoning") or delta.get("thinking")),
        tuple(_tool_delta(each) for each in calls if each is not None),
        _finish_reason(choice.get("finish_reason")),
        usage,
        _likelihoods(choice.get("logprobs")),
        _stop_string(choice),
    )


def _stop_string(choice: Mapping[str, Any]) -> str:
    """Read which stop string was met: vLLM and SGLang name it, or the id of a token that ends answers."""
    told = choice.get("stop_reason") or choice.get("matched_stop")
    return mended(told) if isinstance(told, str) else ""


def _finish_reason(raw: Any) -> str | None:
    if isinstance(raw, str):
        told = raw.lower()[:MOST_REASON]
        return None if told in _NO_REASONS else told
    return "unknown" if raw else None


def _likelihoods(raw: Any) -> tuple[Likelihoods, ...]:
    """Read the likelihoods; those that cannot be read are not told, and the answer goes on."""
    try:
        with shape():
            return parse_logprobs(raw)
    except BackendBroken:
        return ()


_NOTHING: Final = Chunk()
_TOLD: Final = frozenset({"error", "object", "type", "usage", "choices"})
"""All that is read of an event."""
MOST_REASON: Final = 64
_NO_REASONS: Final = frozenset({"", "null", "none"})
"""What some servers write where an answer goes on."""
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
        Alternative.told(NO_ID, mended(str(text)), logprob) for text, logprob in sorted(told, key=_likeliest)
    )


def _chosen(text: Any, logprob: Any) -> Alternative | None:
    return None if text is None or logprob is None else Alternative.told(NO_ID, mended(str(text)), logprob)


def _likeliest(entry: tuple[str, float | None]) -> float:
    return math.inf if entry[1] is None else -entry[1]


def _tool_delta(raw: Mapping[str, Any]) -> ToolDelta:
    function = raw.get("function") or raw
    id_, arguments = raw.get("id"), function.get("arguments")
    # As an object, an empty one stands for arguments that are still to come, as text.
    if arguments and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolDelta(
        position(raw.get("index")),
        "" if id_ is None else str(id_ if isinstance(id_, int) else exact_text(id_)),
        exact_text(function.get("name") or ""),
        arguments or "",
    )


def parse_usage(raw: Any) -> TokenUsage | None:
    """Read the usage of a run, if it is told. What of it makes no sense is not told."""
    if not isinstance(raw, dict) or not raw:
        return None
    prompt, details = count(raw.get("prompt_tokens")), raw.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return TokenUsage(
        prompt, count(raw.get("completion_tokens")), None if cached is None else min(count(cached), prompt)
    )


def parse_answer(status: int, body: bytes) -> Any:
    """Decode the answer of a call. Raises the BackendError it tells of."""
    try:
        answer = decoded(body)
    except ValueError as error:
        if status == OK:
            raise BackendBroken("the answer is not JSON") from error
        raise _failure(status, body[:MOST_MESSAGE].decode(errors="replace")) from error
    if status != OK:
        raise _failure(status, answer)
    return answer


_INVALID: Final = frozenset({400, 409, 413, 415, 422, 501})
_TOO_MANY: Final = 429
_TIMED_OUT: Final = 408
_UNAUTHORIZED: Final = frozenset({401, 403})
BAD_REQUEST: Final = 400
MOST_STATUS: Final = 600
MOST_MESSAGE: Final = 1000
_STATUS_NAMES: Final = (
    ("invalid_request", 400),
    ("context_length", 400),
    ("bad_request", 400),
    ("badrequest", 400),
    ("rate_limit", 429),
)


def _failure(status: int, told: Any) -> BackendError:
    """Build the error that an answer tells of; an error event has its own status.

    A refused key and a model that is gone are nothing that the request can help: BackendBroken.
    """
    error = told
    while (isinstance(error, dict) and error.get("error")) or (isinstance(error, list) and error):
        error = error["error"] if isinstance(error, dict) else error[0]
    if status == SERVER_ERROR:
        status = _told_status(error)
    text = _message(error) or f"status {status}"
    if status in _INVALID:
        return as_overflow(BackendInvalid(text), (text, *_kinds(error)))
    if status == _TOO_MANY:
        return BackendOverloaded(f"status {status}: it has no room now", said=text)
    if status >= SERVER_ERROR or status == _TIMED_OUT:
        return BackendUnavailable(f"status {status}", said=text)
    if status in _UNAUTHORIZED:  # its words may hold a part of the key
        return BackendBroken(f"status {status}: it refused the kernel's credential")
    return BackendBroken(f"status {status}", said=text)


def _message(error: Any) -> str:
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    return error[:MOST_MESSAGE] if isinstance(error, str) else ""


def _kinds(error: Any) -> list[str]:
    """Return the names of its kind that an error tells."""
    told = [error.get("code"), error.get("type")] if isinstance(error, dict) else []
    return [each[:MOST_MESSAGE] for each in told if isinstance(each, str)]


def _told_status(error: Any) -> int:
    """Return the status that an error event tells, as a number or by a name of the protocol's."""
    if not isinstance(error, dict):
        return SERVER_ERROR
    for told in (error.get("code"), error.get("status"), error.get("type")):
        if isinstance(told, int) and BAD_REQUEST <= told < MOST_STATUS:
            return told
        if isinstance(told, str) and (known := [n for words, n in _STATUS_NAMES if words in told.lower()]):
            return known[0]
    return SERVER_ERROR


def parse_models(raw: Any) -> list[ServedModel]:
    """Read the answer of `/v1/models`; servers tell the window under different names.

    Entries without a usable name are left out. Raises BackendBroken for what is no list of models, and for
    one of more entries than one event may hold objects.
    """
    with shape():
        listed = raw.get("data") if isinstance(raw, dict) else raw
        if not isinstance(listed, list):
            raise TypeError("models are a list")
        return [found for each in few(listed) if (found := _served(each)) is not None]


def _served(raw: Any) -> ServedModel | None:
    try:
        with shape():
            meta = raw.get("meta")
            window = count(raw.get("max_model_len")) or count((meta or {}).get("n_ctx"))
            owner = raw.get("owned_by")
            return ServedModel(name(raw["id"]), owner if isinstance(owner, str) else "", window)
    except BackendBroken:
        return None
