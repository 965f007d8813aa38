"""How the next token is chosen, how long the answer may be and what ends it. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import checks
from services.chassis.rpc.errors import InvalidRequest

STOPS: Final = 16
STOP_CHARACTERS: Final = 256
MOST_TOKENS: Final = 131_072
MOST_ALTERNATIVES: Final = 5
"""Likeliest tokens that the kernel tells at each place."""
_SEEDS: Final = 2**32
_TOP_K: Final = 1000
_BIAS_BYTES: Final = 65_536
_BIAS: Final = msgspec.json.Decoder(dict[str, float])


def seed(asked: int) -> int:
    """Fold any seed, negative ones too, into the kernel's 32 bits: equal seeds stay equal."""
    return asked % _SEEDS


def write_choice(
    sampling: pb.Sampling,
    *,
    temperature: float | None,
    top_p: float | None,
    default: float,
    hottest: float = 2.0,
    top_k: int | None = None,
) -> None:
    """Write temperature and cut-offs; `default` is the temperature of who names none. Raises InvalidRequest.

    To clients a `top_p` of 0 leaves the likeliest token only; to the kernel it means that none is set.
    """
    heat = default if temperature is None else checks.number(temperature, "temperature", 0, hottest)
    share = 1.0 if top_p is None else checks.number(top_p, "top_p", 0, 1)
    sampling.temperature = 0.0 if share == 0 else heat
    sampling.top_p = share % 1.0
    if top_k is not None and top_k > 0:
        sampling.top_k = min(top_k, _TOP_K)


def write_penalties(sampling: pb.Sampling, *, frequency: float | None, presence: float | None) -> None:
    """Write the penalties. Raises InvalidRequest."""
    sampling.frequency_penalty = checks.number(frequency or 0.0, "frequency_penalty", -2, 2)
    sampling.presence_penalty = checks.number(presence or 0.0, "presence_penalty", -2, 2)


def biased(raw: msgspec.Raw) -> bool:
    """Tell whether any token is made likelier or less likely. Raises InvalidRequest."""
    if not checks.present(raw):
        return False
    if memoryview(raw).nbytes > _BIAS_BYTES:
        raise InvalidRequest.field("logit_bias", f"is longer than {_BIAS_BYTES} bytes")
    try:
        return any(_BIAS.decode(raw).values())
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest.field("logit_bias", "must give a number for each token") from None


def write_length(request: pb.GenerateRequest, asked: int | None, path: str) -> None:
    """Take a client's number as what it is to them: a ceiling. None: what the window leaves.

    Raises InvalidRequest.
    """
    if asked is not None and asked < 1:
        raise InvalidRequest.field(path, "must be at least 1")
    request.max_tokens = min(asked or 0, MOST_TOKENS)
    request.fit_max_tokens = True


def write_stops(request: pb.GenerateRequest, asked: Sequence[str], path: str) -> None:
    """Write the strings that end the answer; empty ones end nothing. Raises InvalidRequest."""
    for index, each in enumerate(asked):
        if not each:
            continue
        if len(request.stop) >= STOPS:
            raise InvalidRequest.field(path, f"at most {STOPS} strings are taken")
        request.stop.append(checks.characters(each, f"{path}[{index}]", STOP_CHARACTERS))
