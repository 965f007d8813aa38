"""A generate request: what may be asked, within which limits. Pure.

Field names, ranges and messages are those of text-generation-inference, so that its clients
read our refusals as they read its own.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from services.tgi_local.core.grammar import Constraint, constraint_of
from services.tgi_local.errors import InvalidRequest, MalformedBody

MAX_REQUEST_ID: int = 200
_HANDLE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestLimits:
    """What `/info` promises and validation enforces."""

    max_total_tokens: int = 2048
    """Prompt and answer together, in tokens."""

    max_input_tokens: int = 2047
    """Prompt, in tokens."""

    max_best_of: int = 2
    max_stop_sequences: int = 4
    max_top_n_tokens: int = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the next token is drawn. `temperature` 0 means greedy."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    """None: drawn at random when sampling."""

    @property
    def greedy(self) -> bool:
        """Whether the same prompt always gives the same tokens."""
        return self.temperature == 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Extension:
    """The `aios` part of a body: what plain TGI does not offer."""

    request_id: str = ""
    prompt_ids: tuple[int, ...] = ()
    """Used instead of `inputs` when not empty."""

    produced: int = 0
    """How many of the last `prompt_ids` are earlier output: stop strings go on across the cut."""

    kv_handle: str = ""
    """A snapshot to restore first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateRequest:
    """A request whose every field is in range; only token counts are still unchecked."""

    inputs: str
    sampling: Sampling = field(default_factory=Sampling)
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()
    truncate: int | None = None
    best_of: int = 1
    details: bool = False
    decoder_input_details: bool = False
    return_full_text: bool = False
    top_n_tokens: int = 0
    constraint: Constraint | None = None
    stream: bool = False
    extension: Extension | None = None


class _Kind(NamedTuple):
    """A JSON type: what the message calls it and how it is told."""

    expected: str
    accepts: Callable[[object], bool]


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value < high


def _list_of(value: object, accepts: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(map(accepts, value))


_STRING = _Kind("a string", lambda value: isinstance(value, str))
_STRINGS = _Kind("a list of strings", lambda value: _list_of(value, _STRING.accepts))
_BOOLEAN = _Kind("a boolean", lambda value: isinstance(value, bool))
_NUMBER = _Kind("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool))
_U32 = _Kind("a 32-bit unsigned integer", lambda value: _is_int(value, 0, 2**32))
_I32 = _Kind("a 32-bit integer", lambda value: _is_int(value, -(2**31), 2**31))
_U64 = _Kind("a 64-bit unsigned integer", lambda value: _is_int(value, 0, 2**64))
_IDS = _Kind("a list of token ids", lambda value: _list_of(value, _U32.accepts))


def parse_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object. Raises MalformedBody: 400 for bad syntax, 422 for another shape."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(400, f"Failed to parse the request body as JSON: {error}") from error
    if not isinstance(value, dict):
        raise _wrong("expected a JSON object")
    return value


def parse_generate(body: bytes, limits: RequestLimits, *, stream: bool = False) -> GenerateRequest:
    """Read the body of a generate route.

    `stream`: the route always streams (otherwise the body's own `stream` decides).
    Raises MalformedBody and InvalidRequest.
    """
    raw = parse_object(body)
    extension = _extension(raw.get("aios"))
    ids_given = extension is not None and bool(extension.prompt_ids)
    inputs = _typed(raw, "inputs", _STRING, None)
    if inputs is None and not ids_given:
        raise _wrong("missing field `inputs`")
    streamed = stream or _typed(raw, "stream", _BOOLEAN, default=False)
    given = raw.get("parameters")
    fields = {"do_sample": True} if given is None else given
    if not isinstance(fields, dict):
        raise _wrong("`parameters`: expected an object")
    request = _request(inputs or "", fields, limits, streamed=streamed, extension=extension)
    if not request.inputs and not ids_given:
        raise InvalidRequest("`inputs` cannot be empty")
    return request


def _request(
    inputs: str, raw: Mapping[str, Any], limits: RequestLimits, *, streamed: bool, extension: Extension | None
) -> GenerateRequest:
    best_of = _best_of(raw, limits, streamed=streamed)
    sampling = _sampling(raw)
    if best_of > 1:
        _check(not sampling.greedy, "you must use sampling when `best_of` is > 1")
    max_new = _typed(raw, "max_new_tokens", _U32, None)
    _check(max_new != 0, "`max_new_tokens` must be strictly positive")
    stop = tuple(s for s in _typed(raw, "stop", _STRINGS, []))
    _check(
        len(stop) <= limits.max_stop_sequences,
        f"`stop` supports up to {limits.max_stop_sequences} stop sequences. Given: {len(stop)}",
    )
    _check(best_of == 1 or sampling.seed is None, "`seed` must not be set when `best_of` > 1")
    top_n = _typed(raw, "top_n_tokens", _U32, 0)
    _check(
        top_n <= limits.max_top_n_tokens,
        f"`top_n_tokens` must be >= 0 and <= {limits.max_top_n_tokens}. Given: {top_n}",
    )
    truncate = _typed(raw, "truncate", _U32, None)
    _check(
        truncate is None or 0 < truncate <= limits.max_input_tokens,
        f"`truncate` must be strictly positive and less than {limits.max_input_tokens}. Given: {truncate}",
    )
    prefill = _typed(raw, "decoder_input_details", _BOOLEAN, default=False)
    _check(
        not (prefill and streamed), "`decoder_input_details` == true is not supported when streaming tokens"
    )
    _refuse_unsupported(raw)
    return GenerateRequest(
        inputs=inputs,
        sampling=sampling,
        max_new_tokens=max_new,
        stop=tuple(s for s in stop if s),
        truncate=truncate,
        best_of=best_of,
        details=_typed(raw, "details", _BOOLEAN, default=False) or prefill,
        decoder_input_details=prefill,
        return_full_text=_typed(raw, "return_full_text", _BOOLEAN, default=False),
        top_n_tokens=top_n,
        constraint=constraint_of(raw.get("grammar")),
        stream=streamed,
        extension=extension,
    )


def _best_of(raw: Mapping[str, Any], limits: RequestLimits, *, streamed: bool) -> int:
    best_of: int = _typed(raw, "best_of", _U32, 1)
    _check(
        0 < best_of <= limits.max_best_of,
        f"`best_of` must be > 0 and <= {limits.max_best_of}. Given: {best_of}",
    )
    _check(best_of == 1 or not streamed, "`best_of` != 1 is not supported when streaming tokens")
    return best_of


def _sampling(raw: Mapping[str, Any]) -> Sampling:
    temperature = _typed(raw, "temperature", _NUMBER, None)
    top_k = _typed(raw, "top_k", _I32, None)
    top_p = _typed(raw, "top_p", _NUMBER, None)
    typical_p = _typed(raw, "typical_p", _NUMBER, None)
    repetition = _typed(raw, "repetition_penalty", _NUMBER, 1.0)
    frequency = _typed(raw, "frequency_penalty", _NUMBER, 0.0)
    presence = _typed(raw, "presence_penalty", _NUMBER, 0.0)
    _check(temperature is None or temperature > 0, "`temperature` must be strictly positive")
    _check(repetition > 0, "`repetition_penalty` must be strictly positive")
    _check(-2 <= frequency <= 2, "`frequency_penalty` must be >= -2.0 and <= 2.0")  # noqa: PLR2004 - the API's range
    _check(-2 <= presence <= 2, "`presence_penalty` must be >= -2.0 and <= 2.0")  # noqa: PLR2004 - as that one
    _check(top_p is None or 0 < top_p < 1, "`top_p` must be > 0.0 and < 1.0")
    _check(typical_p is None or 0 < typical_p < 1, "`typical_p` must be > 0.0 and < 1.0")
    _check(top_k is None or top_k > 0, "`top_k` must be strictly positive")
    asked = _typed(raw, "do_sample", _BOOLEAN, default=False)
    drawn = asked or any(v is not None for v in (temperature, top_k, top_p, typical_p))
    return Sampling(
        temperature=(temperature or 1.0) if drawn else 0.0,
        top_k=top_k or 0,
        top_p=top_p or 1.0,
        typical_p=typical_p or 1.0,
        repetition_penalty=repetition,
        frequency_penalty=frequency,
        presence_penalty=presence,
        seed=_typed(raw, "seed", _U64, None),
    )


def _refuse_unsupported(raw: Mapping[str, Any]) -> None:
    """Ask for what this engine lacks and hear so, instead of getting something else."""
    _check(not _typed(raw, "watermark", _BOOLEAN, default=False), "`watermark` is not supported")
    _check(_typed(raw, "adapter_id", _STRING, None) is None, "`adapter_id` is not supported")


def _extension(raw: object) -> Extension | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise _wrong("`aios`: expected an object")
    request_id = _typed(raw, "request_id", _STRING, "")
    _check(len(request_id) <= MAX_REQUEST_ID, f"`aios.request_id` is longer than {MAX_REQUEST_ID} characters")
    prompt_ids = tuple(_typed(raw, "prompt_ids", _IDS, []))
    produced = _typed(raw, "produced", _U32, 0)
    _check(produced <= len(prompt_ids), "`aios.produced` must be <= the length of `aios.prompt_ids`")
    handle = _typed(raw, "kv_handle", _STRING, "")
    _check(not handle or _HANDLE.fullmatch(handle) is not None, "`aios.kv_handle` is not a handle")
    return Extension(request_id=request_id, prompt_ids=prompt_ids, produced=produced, kv_handle=handle)


def _check(holds: bool, problem: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise InvalidRequest(problem)


def _wrong(problem: str) -> MalformedBody:
    return MalformedBody(422, f"Failed to deserialize the JSON body into the target type: {problem}")


def _typed(raw: Mapping[str, Any], name: str, kind: _Kind, default: Any) -> Any:
    """Return the field, or the default when it is absent or null. Raises MalformedBody on another type."""
    value = raw.get(name)
    if value is None:
        return default
    if not kind.accepts(value):
        raise _wrong(f"`{name}`: invalid value, expected {kind.expected}")
    return value
