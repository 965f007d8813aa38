"""Turns an embeddings request into batches that the kernel takes. Pure."""

from collections.abc import Sequence
from typing import Final

from gateway.http.common import checks
from gateway.http.core.aliases import ANY, Aliases
from gateway.http.embeddings.schema import Body
from gateway.http.errors import UnsupportedParameter
from services.chassis.rpc.errors import InvalidRequest

MOST_TEXTS: Final = 2048
_TEXT_BYTES: Final = 16_384
_BATCH_TEXTS: Final = 64
_BATCH_BYTES: Final = 512 * 1024
"""Half of what the kernel takes in one call, so that what surrounds the texts has room."""

Batch = list[str]


def model(asked: str, aliases: Aliases) -> str:
    """Return the model to ask the kernel for; empty is its own.

    The models that backends serve embed nothing, so where any name is taken, theirs stand for the kernel's
    own embedding too: many agents are given one name for everything.
    """
    if asked in aliases.names:
        return aliases.names[asked]
    return "" if ANY in aliases.names else asked


def texts(body: Body) -> list[str]:
    """Return the texts to embed. Raises InvalidRequest or UnsupportedParameter."""
    asked = checks.texts(body.input, "input")
    if isinstance(asked, str):
        return [checks.size(asked, "input", _TEXT_BYTES)]
    if not 1 <= len(asked) <= MOST_TEXTS:
        raise InvalidRequest.field("input", f"from 1 to {MOST_TEXTS} texts are taken")
    return [checks.size(each, f"input[{index}]", _TEXT_BYTES) for index, each in enumerate(asked)]


def batches(whole: Sequence[str]) -> list[Batch]:
    """Cut texts into calls, each within the kernel's number of texts and of bytes."""
    cut: list[Batch] = [[]]
    room = _BATCH_BYTES
    for text in whole:
        size = len(text.encode())
        if cut[-1] and (len(cut[-1]) == _BATCH_TEXTS or size > room):
            cut.append([])
            room = _BATCH_BYTES
        cut[-1].append(text)
        room -= size
    return cut


def check_dimensions(asked: int | None, own: int) -> None:
    """Raise UnsupportedParameter when other dimensions are asked for than the model's vectors have."""
    if asked not in {None, own}:
        raise UnsupportedParameter.field("dimensions", f"the model's vectors have {own}")
