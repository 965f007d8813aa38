"""Targets: what inference servers answer, read in the gateway's event loop."""

import contextlib
from typing import Final

from gateway.inference.backends.openai import wire as openai
from gateway.inference.backends.tgi import wire as tgi
from gateway.inference.errors import BackendError
from tests.fuzz.target import Targets, target

BACKENDS: Final[Targets] = {}
_PIECE: Final = 1000
_STEPS: Final = (2500, 40)
_ALLOCATED: Final = (300_000, 1500)


def _pieces(given: bytes) -> list[bytes]:
    return [given[at : at + _PIECE] for at in range(0, len(given), _PIECE)]


@target(BACKENDS, largest=8_388_608, steps=_STEPS, allocated=_ALLOCATED, refusals=(BackendError,))
def openai_stream(given: bytes) -> object:
    """A stream of an OpenAI server, in the gateway. Cap: 8 MiB of one event, and an allowance."""
    reader = openai.EventReader()
    return [list(reader.feed(piece)) for piece in _pieces(given)], list(reader.close())


@target(BACKENDS, largest=4_194_304, steps=_STEPS, allocated=_ALLOCATED, refusals=(BackendError,))
def openai_answer(given: bytes) -> object:
    """A whole answer of an OpenAI server and its list of models, in the gateway. Cap: 4 MiB."""
    with contextlib.suppress(BackendError):
        openai.parse_models(openai.parse_answer(200, given))
    return list(openai.EventReader().whole(given))


@target(BACKENDS, largest=8_388_608, steps=_STEPS, allocated=_ALLOCATED, refusals=(BackendError,))
def tgi_stream(given: bytes) -> object:
    """A stream of a TGI server, in the gateway. Cap: 8 MiB of one event, and an allowance."""
    reader = tgi.EventReader()
    return [list(reader.feed(piece)) for piece in _pieces(given)], list(reader.close())


@target(BACKENDS, largest=4_194_304, steps=_STEPS, allocated=_ALLOCATED, refusals=(BackendError,))
def tgi_answer(given: bytes) -> object:
    """Answers of a TGI server, in the gateway: facts, tokens, an error. Cap: 4 MiB."""
    told = tgi.parse_answer(200, given)
    for parse in (tgi.parse_info, tgi.parse_text_tokens, tgi.parse_chat_tokens, tgi.parse_suspension):
        try:
            parse(told)
        except BackendError:
            continue
    return tgi.parse_generation(told, None)
