"""TGI's protocol in and out of plain types: request bodies, stream events, answers, failures. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

import orjson

from gateway.inference.backends.sse import EventLines
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendInvalid,
    BackendOverloaded,
    BackendUnavailable,
    ConstraintRefused,
    NotRunning,
    NotSuspendable,
    PromptOverflow,
)
from gateway.inference.model import Alternative

if TYPE_CHECKING:
    # The stock client is a dependency of this driver alone, for its types; the kernel runs without it.
    from text_generation.types import Grammar

OK: Final = 200


class SamplingOptions(TypedDict, total=False):
    """Parameters of a generation, named as in the stock client; what is absent is the server's default."""

    do_sample: bool
    max_new_tokens: int
    best_of: int
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    """Only where the server declares it: plain TGI has none and ignores the field."""
    return_full_text: bool
    seed: int
    stop_sequences: Sequence[str]
    temperature: float
    top_k: int
    top_p: float
    truncate: int
    typical_p: float
    watermark: bool
    decoder_input_details: bool
    top_n_tokens: int
    grammar: "Grammar | Mapping[str, Any]"
    adapter_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AiosOptions:
    """What only a backend that declares it understands (see `BackendInfo`)."""

    request_id: str = ""
    """Names the generation for `suspend`."""

    prompt_ids: Sequence[int] = ()
    """The prompt as token ids; used instead of the text."""

    produced: int = 0
    """How many of the last `prompt_ids` are earlier output."""

    kv_handle: str = ""
    """A saved state to restore first; without it, or if it is gone, the prompt is evaluated again."""

    def body(self) -> dict[str, Any]:
        """Return the JSON form; empty fields are left out."""
        fields = {
            "request_id": self.request_id,
            "prompt_ids": list(self.prompt_ids),
            "produced": self.produced,
            "kv_handle": self.kv_handle,
        }
        return {name: value for name, value in fields.items() if value}


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token of a stream; the last one also says how the generation ended."""

    id: int
    text: str
    special: bool
    logprob: float | None
    generated_text: str | None = None
    finish_reason: str | None = None
    generated_tokens: int | None = None
    input_length: int | None = None
    prompt_ids: tuple[int, ...] | None = None
    """With the first token of a stream that carries `AiosOptions`, where the backend tells them."""

    cached_tokens: int | None = None
    """As `prompt_ids`: how many of them the backend had in its cache."""

    top: tuple[Alternative, ...] = ()
    """The likeliest tokens, where `top_n_tokens` asks for them."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """The last event of a stream that was suspended; its state is what `suspend` returned."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The answer of a unary generation. `input_length` is None where the backend does not tell it."""

    generated_text: str
    finish_reason: str
    generated_tokens: int
    input_length: int | None
    seed: int | None
    tokens: tuple[TokenEvent, ...]


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What a backend says about itself. The last seven are this project's own and absent on plain TGI."""

    model_id: str
    model_sha: str | None
    max_concurrent_requests: int
    max_input_tokens: int
    max_total_tokens: int
    max_stop_sequences: int
    max_best_of: int
    version: str
    kv_snapshot: bool = False
    token_prompts: bool = False
    slots: int | None = None
    ctx_per_slot: int | None = None
    longest_token: int = 0
    """Bytes of the longest token; 0: it does not tell."""
    presence_penalty: bool = False
    recursive_schemas: bool = False


class TextToken(NamedTuple):
    """A token of a given text and the characters it covers. A tuple, because prompts have thousands."""

    id: int
    text: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Suspension:
    """What is needed to continue a suspended generation. `kv_handle` is None when no state could be saved."""

    kv_handle: str | None
    bytes: int
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str


def request_body(prompt: str, options: SamplingOptions, aios: AiosOptions | None) -> dict[str, Any]:
    """Build the body of a generate call; details are always asked for."""
    parameters: dict[str, Any] = {**options, "details": True}
    if "stop_sequences" in parameters:
        parameters["stop"] = list(parameters.pop("stop_sequences"))
    grammar = parameters.get("grammar")
    if grammar is not None and not isinstance(grammar, Mapping):
        parameters["grammar"] = grammar.model_dump(mode="json")
    body: dict[str, Any] = {"inputs": prompt, "parameters": parameters}
    extension = aios.body() if aios is not None else None
    if extension is not None:
        body["aios"] = extension
    return body


class EventReader:
    """Reads a stream of bytes as events, wherever the chunks happen to end."""

    def __init__(self) -> None:
        self._lines = EventLines()
        self.ended = False
        """Whether the last event has been seen."""

    @property
    def finished(self) -> bool:
        """Whether the answer is whole."""
        return self.ended

    def feed(self, chunk: bytes) -> Iterator[TokenEvent | Suspended]:
        """Return the events that `chunk` completes. Raises BackendError, as error events tell."""
        for data in self._lines.feed(chunk):
            event = parse_event(data)
            self.ended = isinstance(event, Suspended) or event.generated_text is not None
            yield event
            if self.ended:
                return


def parse_event(data: bytes) -> TokenEvent | Suspended:
    """Read the data of one event. Raises BackendBroken and whatever an error event tells of."""
    try:
        raw = orjson.loads(data)
        token = raw.get("token")
        if token is None:
            return _other_event(raw)
        if raw["generated_text"] is None and "aios" not in raw and "top_tokens" not in raw:
            return TokenEvent(token["id"], token["text"], token["special"], token["logprob"])
        return _full_event(raw)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise BackendBroken(f"an event of the stream makes no sense: {type(error).__name__}") from error


def _full_event(raw: Mapping[str, Any]) -> TokenEvent:
    token, details = raw["token"], raw.get("details") or {}
    own = raw.get("aios") or {}
    prompt_ids = own.get("prompt_ids")
    return TokenEvent(
        id=token["id"],
        text=token["text"],
        special=token["special"],
        logprob=token.get("logprob"),
        generated_text=raw["generated_text"],
        finish_reason=details.get("finish_reason"),
        generated_tokens=details.get("generated_tokens"),
        input_length=details.get("input_length"),
        prompt_ids=tuple(prompt_ids) if prompt_ids is not None else None,
        cached_tokens=own.get("cached_tokens"),
        top=tuple(Alternative.told(t["id"], t["text"], t["logprob"]) for t in raw.get("top_tokens") or ()),
    )


def _other_event(raw: Mapping[str, Any]) -> Suspended:
    if "error" in raw:
        raise _failure(OK, str(raw["error"]), str(raw.get("error_type", "")))
    if raw["aios"]["suspended"] is True:
        return Suspended()
    raise BackendBroken("an event of the stream is neither a token nor an error")


def parse_answer(status: int, body: bytes) -> Any:
    """Decode the answer of a call. Raises the BackendError it tells of."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if status == OK:
            raise BackendBroken("the answer is not JSON") from error
        raise _failure(status, body[:200].decode(errors="replace"), "") from error
    if status == OK:
        return answer
    told = answer if isinstance(answer, dict) else {}
    raise _failure(status, str(told.get("error", f"status {status}")), str(told.get("error_type", "")))


_BY_TYPE: Final[Mapping[str, type[BackendError]]] = {
    "validation": BackendInvalid,
    "template_error": BackendInvalid,
    "tool_error": BackendInvalid,
    "duplicate_request_id": BackendInvalid,
    "suspended": BackendInvalid,
    "overloaded": BackendOverloaded,
    "generation": BackendUnavailable,
    "incomplete_generation": BackendUnavailable,
    "incomplete_generation_stream": BackendUnavailable,
    "healthcheck": BackendUnavailable,
    "not_running": NotRunning,
    "not_suspendable": NotSuspendable,
}
_GRAMMAR: Final = ("grammar is not ", "does not satisfy the grammar")
"""What refusals of a constraint say, which have no error type. The caller is at fault, not the replica."""
_BY_STATUS: Final[Mapping[int, type[BackendError]]] = {
    400: BackendInvalid,
    409: BackendInvalid,
    413: BackendInvalid,
    415: BackendInvalid,
    422: BackendInvalid,
    424: BackendUnavailable,
    429: BackendOverloaded,
    500: BackendUnavailable,
    502: BackendUnavailable,
    503: BackendUnavailable,
    504: BackendUnavailable,
}


def _failure(status: int, message: str, kind: str) -> BackendError:
    found = _BY_TYPE.get(kind) or _BY_STATUS.get(status, BackendBroken)
    if any(words in message for words in _GRAMMAR):
        found = ConstraintRefused
    return found(message or f"status {status}")


@contextmanager
def _shape() -> Iterator[None]:
    """Turn a surprise inside an answer into BackendBroken."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BackendBroken(f"the answer makes no sense: {type(error).__name__}") from error


def check_count(body: bytes, most_tokens: int) -> None:
    """Raise PromptOverflow for a list of more tokens than `most_tokens`, unless 0, without reading it.

    A million tokens are 50 MB of JSON, which would hold up the event loop for a second. Inside of a text the
    mark that is counted would have its quotes escaped.
    """
    if most_tokens and (count := body.count(b'"id":')) > most_tokens:
        raise PromptOverflow(f"the prompt has {count} tokens, the window {most_tokens}")


def parse_text_tokens(raw: Any) -> list[TextToken]:
    """Read the answer of `/tokenize`."""
    with _shape():
        return [TextToken(t["id"], t["text"], t["start"], t["stop"]) for t in raw]


def parse_generation(answer: Any, prompt_tokens: str | None) -> Generation:
    """Read the answer of `/generate`; the prompt's length comes in a header."""
    with _shape():
        details = answer["details"]
        return Generation(
            generated_text=answer["generated_text"],
            finish_reason=details["finish_reason"],
            generated_tokens=details["generated_tokens"],
            input_length=int(prompt_tokens) if prompt_tokens is not None else None,
            seed=details.get("seed"),
            tokens=tuple(
                TokenEvent(t["id"], t["text"], t["special"], t.get("logprob")) for t in details["tokens"]
            ),
        )


def parse_info(raw: Any) -> BackendInfo:
    """Read the answer of `/info`."""
    with _shape():
        own = raw.get("aios") or {}
        return BackendInfo(
            model_id=str(raw["model_id"]),
            model_sha=str(raw.get("model_sha") or "") or None,
            max_concurrent_requests=int(raw["max_concurrent_requests"]),
            max_input_tokens=int(raw["max_input_tokens"]),
            max_total_tokens=int(raw["max_total_tokens"]),
            max_stop_sequences=int(raw["max_stop_sequences"]),
            max_best_of=int(raw["max_best_of"]),
            version=str(raw["version"]),
            kv_snapshot=own.get("kv_snapshot", False),
            token_prompts=own.get("token_prompts", False),
            slots=None if own.get("slots") is None else int(own["slots"]),
            ctx_per_slot=None if own.get("ctx_per_slot") is None else int(own["ctx_per_slot"]),
            longest_token=int(own.get("longest_token_bytes") or 0),
            presence_penalty=own.get("presence_penalty", False),
            recursive_schemas=own.get("recursive_schemas", False),
        )


def parse_chat_tokens(raw: Any) -> tuple[list[TextToken], str]:
    """Read the answer of `/chat_tokenize`: tokens and text."""
    with _shape():
        return parse_text_tokens(raw["tokenize_response"]), str(raw["templated_text"])


def parse_suspension(raw: Any) -> Suspension:
    """Read the answer of `/aios/v1/suspend`."""
    with _shape():
        return Suspension(
            kv_handle=raw["kv_handle"],
            bytes=raw["bytes"],
            prompt_ids=tuple(raw["prompt_ids"]),
            token_ids=tuple(raw["token_ids"]),
            text=raw["text"],
        )
