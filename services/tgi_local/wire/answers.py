"""Answers as TGI writes them: JSON bodies, headers and server-sent events. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from services.tgi_local.errors import TgiError
from services.tgi_local.service.generation import Finish, Step, Suspension, Token
from services.tgi_local.service.inference import Result, TextToken

KEEP_ALIVE = b":\n\n"
SUSPENDED = b'data: {"aios":{"suspended":true}}\n\n'


def sse(
    step: Step,
    *,
    details: bool,
    top_n: int,
    prompt_ids: tuple[int, ...] | None = None,
    cached_tokens: int | None = None,
) -> bytes:
    """Write a step as events, one a token; the last token of a finished generation carries the result.

    `prompt_ids`, and how many of them the slot held already: told once, with the first token of a stream
    that asked for the extension.
    """
    lines = []
    last = len(step.tokens) - 1
    for position, token in enumerate(step.tokens):
        finish = step.finish if position == last else None
        event = _event(token, finish, details=details, top_n=top_n)
        if prompt_ids is not None and token.index == 1:
            event["aios"] = {"prompt_ids": prompt_ids, "cached_tokens": cached_tokens}
        lines.append(b"data: " + orjson.dumps(event) + b"\n\n")
    return b"".join(lines)


def _event(token: Token, finish: Finish | None, *, details: bool, top_n: int) -> dict[str, Any]:
    event: dict[str, Any] = {"index": token.index, "token": _token(token)}
    if top_n:
        event["top_tokens"] = _top(token)
    event["generated_text"] = None if finish is None else finish.generated_text
    event["details"] = None if finish is None or not details else _stream_details(finish)
    return event


def _stream_details(finish: Finish) -> dict[str, Any]:
    return {
        "finish_reason": finish.reason.value,
        "generated_tokens": finish.generated_tokens,
        "seed": finish.seed,
        "input_length": finish.input_length,
    }


def _token(token: Token) -> dict[str, Any]:
    return {"id": token.id, "text": token.text, "logprob": token.logprob, "special": token.special}


def _top(token: Token) -> list[dict[str, Any]]:
    return [{"id": o.id, "text": o.text, "logprob": o.logprob, "special": o.special} for o in token.top]


def error_body(error: TgiError) -> dict[str, str]:
    """Return the JSON every failure is told in."""
    return {"error": str(error), "error_type": error.error_type}


def sse_error(error: TgiError) -> bytes:
    """Write a failure as an event: a stream is answered 200 whatever happens."""
    return b"data: " + orjson.dumps(error_body(error)) + b"\n\n"


def unary(results: list[Result], prefill: Sequence[TextToken]) -> dict[str, Any]:
    """Write a whole generation; the first of several is the best."""
    best, *others = results
    body: dict[str, Any] = {"generated_text": best.finish.generated_text}
    if best.prepared.request.details:
        body["details"] = _details(best, prefill)
        if others:
            body["details"]["best_of_sequences"] = [
                {"generated_text": o.finish.generated_text, **_details(o, prefill)} for o in others
            ]
    return body


def _details(result: Result, prefill: Sequence[TextToken]) -> dict[str, Any]:
    details: dict[str, Any] = {
        "finish_reason": result.finish.reason.value,
        "generated_tokens": result.finish.generated_tokens,
        "seed": result.finish.seed,
        "prefill": [{"id": t.id, "text": t.text, "logprob": None} for t in prefill],
        "tokens": [_token(token) for token in result.tokens],
    }
    if result.prepared.request.top_n_tokens:
        details["top_tokens"] = [_top(token) for token in result.tokens]
    return details


def stream_headers(characters: int) -> dict[str, str]:
    """Return the headers of a stream; its durations are not known yet."""
    return {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
        "x-compute-type": "cpu",
        "x-compute-characters": str(characters),
    }


def unary_headers(results: list[Result], *, validation: float, total: float) -> dict[str, str]:
    """Return TGI's timing headers: whole milliseconds, except compute time in seconds."""
    best = results[0]
    tokens = sum(result.finish.generated_tokens for result in results)
    millis = {
        "x-total-time": total,
        "x-validation-time": validation,
        "x-queue-time": best.queue_seconds,
        "x-inference-time": best.inference_seconds,
        "x-time-per-token": best.inference_seconds / max(1, best.finish.generated_tokens),
    }
    return {
        "x-compute-type": "cpu",
        "x-compute-time": f"{total:.6f}",
        "x-compute-characters": str(len(best.prepared.request.inputs)),
        "x-prompt-tokens": str(best.finish.input_length),
        "x-generated-tokens": str(tokens),
        **{name: str(int(seconds * 1000)) for name, seconds in millis.items()},
    }


def text_tokens(tokens: Iterable[TextToken]) -> list[dict[str, Any]]:
    """Write the answer of `/tokenize`."""
    return [{"id": t.id, "text": t.text, "start": t.start, "stop": t.stop} for t in tokens]


def suspension(result: Suspension) -> Mapping[str, Any]:
    """Write what a suspended generation leaves behind."""
    return {
        "kv_handle": result.kv_handle,
        "bytes": result.bytes,
        "prompt_ids": result.prompt_ids,
        "token_ids": result.token_ids,
        "text": result.text,
    }
