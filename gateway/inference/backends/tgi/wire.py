"""TGI's protocol in and out of plain types: request bodies, stream events, answers, failures. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

from gateway.inference.backends.reading import (
    Silence,
    count,
    decoded,
    exact_count,
    exact_text,
    name,
    number,
    objects,
    shape,
)
from gateway.inference.backends.sse import EventLines
from gateway.inference.core.json_text import mended
from gateway.inference.core.overflow import as_overflow
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
DEFAULT_CONCURRENT: Final = 128
DEFAULT_STOPS: Final = 4
MOST_SPECIAL: Final = 65_536
"""Special tokens that a server may tell of."""
MOST_PLACES: Final = 65_536
"""Calls that a server may say it runs at once."""


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
    """What a backend says about itself. The last eight are this project's own and absent on plain TGI."""

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
    root_choice: bool = False
    content_is_text: bool = False
    """Whether it finds no special tokens in what messages hold."""
    special_ids: frozenset[int] = frozenset()
    instance: str = ""


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
        self._silence = Silence()
        self.ended = False
        """Whether the last event has been seen."""

    @property
    def finished(self) -> bool:
        """Whether the answer is whole."""
        return self.ended

    @property
    def held(self) -> int:
        """Bytes of an event whose end is still to come."""
        return self._lines.held

    def feed(self, chunk: bytes) -> Iterator[TokenEvent | Suspended]:
        """Return the events that `chunk` completes. Raises BackendError, as error events tell."""
        return self._read(self._lines.feed(chunk))

    def close(self) -> Iterator[TokenEvent | Suspended]:
        """Return the events that only the end of the stream completes. Raises BackendError."""
        return self._read(self._lines.close())

    def whole(self, body: bytes) -> Iterator[TokenEvent | Suspended]:
        """Read an answer that came whole instead of as a stream. Raises BackendError."""
        answer = parse_answer(OK, body)
        if isinstance(answer, list) and answer:
            answer = answer[0]
        if isinstance(answer, dict) and answer.get("error"):
            raise told_failure(OK, answer)
        found = parse_generation(answer, None)
        yield from found.tokens[:-1]
        self.ended = True
        yield replace(
            found.tokens[-1], generated_text=found.generated_text, finish_reason=found.finish_reason
        )

    def _read(self, events: Iterable[bytes]) -> Iterator[TokenEvent | Suspended]:
        for data in events:
            for raw in objects(data):
                event = read_event(raw)
                self._silence.take(silent=event is None)
                if event is None:
                    continue
                self.ended = isinstance(event, Suspended) or event.generated_text is not None
                yield event
                if self.ended:
                    return


def read_event(raw: Mapping[str, Any]) -> TokenEvent | Suspended | None:
    """Read one event; None: it tells nothing of the answer.

    Raises BackendBroken and whatever an error event tells of.
    """
    with shape("an event of the stream"):
        token = raw.get("token")
        if token is None:
            return _other_event(raw)
        if raw.get("generated_text") is None and not any(map(raw.get, _MORE)):
            return _token(token)
        return _full_event(raw)


_MORE: Final = ("details", "aios", "top_tokens")


def _token(raw: Mapping[str, Any]) -> TokenEvent:
    """Read a token. Its id and text are exact, or the answer could not go on from it."""
    return TokenEvent(
        exact_count(raw["id"]),
        exact_text(raw["text"]),
        raw.get("special") is True,
        number(raw.get("logprob")),
    )


def _full_event(raw: Mapping[str, Any]) -> TokenEvent:
    details, own = raw.get("details") or {}, raw.get("aios") or {}
    generated, reason = raw.get("generated_text"), details.get("finish_reason")
    prompt_ids, cached = own.get("prompt_ids"), own.get("cached_tokens")
    if generated is None and reason:
        generated = ""  # it has ended, whatever its text was as a whole
    return replace(
        _token(raw["token"]),
        generated_text=None if generated is None else exact_text(generated),
        finish_reason=reason if isinstance(reason, str) else None,
        generated_tokens=count(details["generated_tokens"]) if "generated_tokens" in details else None,
        input_length=count(details["input_length"]) if "input_length" in details else None,
        prompt_ids=None if prompt_ids is None else _ids(prompt_ids),
        cached_tokens=None if cached is None else count(cached),
        top=_alternatives(raw.get("top_tokens")),
    )


def _ids(raw: Any) -> tuple[int, ...]:
    if not isinstance(raw, list):
        raise TypeError("token ids are a list")
    return tuple(map(exact_count, raw))


def _alternatives(raw: Any) -> tuple[Alternative, ...]:
    """Read the alternatives; those that cannot be read are not told, and the answer goes on."""
    try:
        with shape():
            return tuple(
                Alternative.told(exact_count(t["id"]), mended(exact_text(t["text"])), t["logprob"])
                for t in raw or ()
            )
    except BackendBroken:
        return ()


def _other_event(raw: Mapping[str, Any]) -> Suspended | None:
    if raw.get("error"):
        raise told_failure(OK, raw)
    own = raw.get("aios")
    return Suspended() if isinstance(own, dict) and own.get("suspended") is True else None


def parse_answer(status: int, body: bytes) -> Any:
    """Decode the answer of a call. Raises the BackendError it tells of."""
    try:
        answer = decoded(body)
    except ValueError as error:
        if status == OK:
            raise BackendBroken("the answer is not JSON") from error
        raise _failure(status, body[:MOST_MESSAGE].decode(errors="replace"), "") from error
    if status == OK:
        return answer
    if isinstance(answer, list) and answer:
        answer = answer[0]
    raise told_failure(status, answer if isinstance(answer, dict) else {})


def told_failure(status: int, told: Mapping[str, Any]) -> BackendError:
    """Build the error that an answer tells of."""
    error, kind = told.get("error"), told.get("error_type")
    if isinstance(error, dict):
        return told_failure(status, {"error": error.get("message"), "error_type": error.get("type")})
    return _failure(status, error if isinstance(error, str) else "", kind if isinstance(kind, str) else "")


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
MOST_MESSAGE: Final = 1000
_UNAUTHORIZED: Final = frozenset({401, 403})
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
    if found is BackendBroken and status == OK:
        found = BackendUnavailable  # an error in the middle of a stream
    if any(words in message for words in _GRAMMAR):
        found = ConstraintRefused
    if status in _UNAUTHORIZED:  # its words may hold a part of the key
        return BackendBroken(f"status {status}: it refused the kernel's credential")
    said = message[:MOST_MESSAGE]
    if issubclass(found, BackendInvalid):
        return as_overflow(found(said or f"status {status}"), (said,))
    return found(f"status {status}" if status != OK else "an error in the middle of the stream", said=said)


def check_count(body: bytes, most_tokens: int) -> None:
    """Raise PromptOverflow for a list of more tokens than `most_tokens`, unless 0, without reading it.

    A million tokens are 50 MB of JSON, which would hold up the event loop for a second. Inside of a text the
    mark that is counted would have its quotes escaped.
    """
    if most_tokens and (count := body.count(b'"id":')) > most_tokens:
        raise PromptOverflow(f"the prompt has {count} tokens, the window {most_tokens}")


def parse_text_tokens(raw: Any) -> list[TextToken]:
    """Read the answer of `/tokenize`."""
    with shape():
        if not isinstance(raw, list):
            raise TypeError("tokens are a list")
        return [
            TextToken(
                exact_count(t["id"]), exact_text(t["text"]), exact_count(t["start"]), exact_count(t["stop"])
            )
            for t in raw
        ]


def parse_generation(answer: Any, prompt_tokens: str | None) -> Generation:
    """Read the answer of `/generate`; the prompt's length comes in a header. It has a token at least."""
    with shape():
        text, details = exact_text(answer["generated_text"]), answer.get("details") or {}
        reason, seed = details.get("finish_reason"), details.get("seed")
        tokens = tuple(map(_token, details.get("tokens") or ()))
        return Generation(
            generated_text=text,
            finish_reason=reason if isinstance(reason, str) else "",
            generated_tokens=count(details.get("generated_tokens")),
            input_length=int(prompt_tokens) if prompt_tokens is not None else None,
            seed=seed if isinstance(seed, int) else None,
            tokens=tokens or (TokenEvent(0, text, special=False, logprob=None),),
        )


def parse_info(raw: Any) -> BackendInfo:
    """Read the answer of `/info`. Only the model's name and its window must be there."""
    with shape():
        own, sha = raw.get("aios") or {}, raw.get("model_sha")
        window, concurrent = exact_count(raw["max_total_tokens"]), count(raw.get("max_concurrent_requests"))
        if not window:
            raise ValueError("a window without room")
        return BackendInfo(
            model_id=name(raw["model_id"]),
            model_sha=name(sha) if sha else None,
            max_concurrent_requests=min(concurrent, MOST_PLACES) or DEFAULT_CONCURRENT,
            max_input_tokens=count(raw.get("max_input_tokens")) or window - 1,
            max_total_tokens=window,
            max_stop_sequences=count(raw.get("max_stop_sequences", DEFAULT_STOPS)),
            max_best_of=count(raw.get("max_best_of")),
            version=str(raw.get("version") or "")[:MOST_MESSAGE],
            kv_snapshot=own.get("kv_snapshot") is True,
            token_prompts=own.get("token_prompts") is True,
            slots=min(count(own.get("slots")), MOST_PLACES) or None,
            ctx_per_slot=count(own.get("ctx_per_slot")) or None,
            longest_token=count(own.get("longest_token_bytes")),
            presence_penalty=own.get("presence_penalty") is True,
            recursive_schemas=own.get("recursive_schemas") is True,
            root_choice=own.get("root_choice") is True,
            content_is_text=own.get("content_is_text") is True,
            special_ids=frozenset(map(exact_count, (own.get("special_token_ids") or [])[:MOST_SPECIAL])),
            instance=name(own["instance"]) if own.get("instance") else "",
        )


def parse_chat_tokens(raw: Any) -> tuple[list[TextToken], str]:
    """Read the answer of `/chat_tokenize`: tokens and text."""
    with shape():
        return parse_text_tokens(raw["tokenize_response"]), mended(exact_text(raw["templated_text"]))


def parse_suspension(raw: Any) -> Suspension:
    """Read the answer of `/aios/v1/suspend`."""
    with shape():
        handle = raw["kv_handle"]
        return Suspension(
            kv_handle=None if handle is None else name(handle),
            bytes=count(raw["bytes"]),
            prompt_ids=_ids(raw["prompt_ids"]),
            token_ids=_ids(raw["token_ids"]),
            text=mended(exact_text(raw["text"])),
        )
