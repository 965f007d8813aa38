"""Turns a completion request into what the kernel is asked for. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import checks, hints, sampling
from gateway.http.common.hints import Header
from gateway.http.common.plan import Plan
from gateway.http.common.words import Words
from gateway.http.completions.schema import Body
from gateway.http.errors import UnsupportedParameter
from services.chassis.rpc.errors import InvalidRequest

MOST_CHOICES: Final = 16
"""Answers to all prompts together."""
_LENGTH: Final = 16
"""Tokens of an answer whose length is not said, as clients of this dialect expect."""
_WORDS: Final = {
    "model": "model",
    "prompt": "prompt",
    "sampling": "",
    "top_alternatives": "logprobs",
    "affinity_key": "prompt_cache_key",
}


@dataclass(slots=True)
class Completion:
    """A completion request, read."""

    plans: list[Plan]
    """One for each answer: all answers to the first prompt, then those to the next."""
    seeds: list[int | None]
    stream: bool = False
    include_usage: bool = False
    logprobs: bool = False


def read(
    body: Body, *, header: Header, resolve: Callable[[str], str], temperature: float, request_id: str = ""
) -> Completion:
    """Read a request. `temperature` is that of a client who names none; `resolve` knows models' aliases.

    Raises InvalidRequest or UnsupportedParameter, by the client's names of fields.
    """
    _refuse_what_nothing_here_can_do(body)
    prompts = _prompts(body)
    count = checks.integer(1 if body.n is None else body.n, "n", 1, MOST_CHOICES)
    if count * len(prompts) > MOST_CHOICES:
        raise InvalidRequest.field("prompt", f"at most {MOST_CHOICES} answers are given at once")
    request = pb.GenerateRequest(request_id=request_id)
    request.model = checks.characters(resolve(body.model or ""), "model", checks.MODEL_CHARACTERS)
    _write_sampling(request, body, temperature)
    words = Words({**_WORDS, **hints.write_headers(request, header)})
    if count * len(prompts) > 1 and request.HasField("gang"):
        raise InvalidRequest.field("n", "several answers are a gang already; leave aios-gang out")
    request.affinity_key = hints.affinity(body.prompt_cache_key, header("x-session-affinity"))
    plans = [Plan(_about(request, prompt), words) for prompt in prompts]
    return Completion(
        [plan for plan in plans for _ in range(count)],
        [None if body.seed is None else body.seed + index for _ in plans for index in range(count)],
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        logprobs=request.logprobs,
    )


def _refuse_what_nothing_here_can_do(body: Body) -> None:
    for name, asked, why in (
        ("echo", body.echo, "the prompt is not repeated"),
        ("suffix", body.suffix, "nothing is filled in between"),
        ("best_of", (body.best_of or 1) > (body.n or 1), "every answer is given"),
        ("logit_bias", sampling.biased(body.logit_bias), "not supported"),
        ("logprobs", (body.logprobs or 0) > sampling.MOST_ALTERNATIVES, "at most 5 are told"),
    ):
        if asked:
            raise UnsupportedParameter.field(name, why)


def _prompts(body: Body) -> list[str]:
    asked = checks.texts(body.prompt, "prompt")
    prompts = [asked] if isinstance(asked, str) else asked
    found = []
    for index, each in enumerate(prompts):
        path = "prompt" if isinstance(asked, str) else f"prompt[{index}]"
        if not each:
            raise InvalidRequest.field(path, "must not be empty")
        found.append(checks.content(each, path))
    if not found:
        raise InvalidRequest.field("prompt", "is required")
    return found


def _write_sampling(request: pb.GenerateRequest, body: Body, default: float) -> None:
    chosen = request.sampling
    sampling.write_choice(
        chosen, temperature=body.temperature, top_p=body.top_p, default=default, top_k=body.top_k
    )
    sampling.write_penalties(chosen, frequency=body.frequency_penalty, presence=body.presence_penalty)
    if body.seed is not None:
        chosen.seed = sampling.seed(body.seed)
    sampling.write_length(request, _LENGTH if body.max_tokens is None else body.max_tokens, "max_tokens")
    sampling.write_stops(request, [body.stop] if isinstance(body.stop, str) else body.stop or (), "stop")
    if body.logprobs is not None:
        request.top_alternatives = checks.integer(body.logprobs, "logprobs", 0, sampling.MOST_ALTERNATIVES)
        request.logprobs = True


def _about(request: pb.GenerateRequest, prompt: str) -> pb.GenerateRequest:
    asked = pb.GenerateRequest()
    asked.CopyFrom(request)
    asked.prompt = prompt
    return asked
