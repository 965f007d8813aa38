"""What a failure tells of the replica it was met at, and what of the request that met it. Pure.

A request is an agent's own: it can be made so that a server answers it with an error, with something odd or
not at all, as often as its agent likes. So a single request's failure ends or moves that request. What keeps
a replica from other agents is a probe, which no agent can influence, or the failures of several agent trees
(`gateway.inference.core.circuit`).
"""

from collections.abc import Hashable
from enum import Enum
from typing import Final

from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendInvalid,
    BackendUnreachable,
)

Source = Hashable
"""Who met a failure: an agent tree within its tenant. Agents cannot make new ones, only children."""

MOST_TOLD: Final = 300
"""Characters of a backend's own words that a caller is shown: an error's text travels in small trailers."""


class Evidence(Enum):
    """What one failure is evidence of."""

    REFUSAL = "refusal"
    """The request was refused for what it says: nothing about the replica."""
    ODD_ANSWER = "odd_answer"
    """The answer was not the protocol's. The request ends; a replica that probes well keeps its calls."""
    FAILURE = "failure"
    """It broke off, stalled or has no room. The request goes on elsewhere, the replica is probed anew."""
    ABSENCE = "absence"
    """Nobody listens. No request can bring that about."""


def evidence(error: BackendError) -> Evidence:
    """Return what a failure is evidence of."""
    if isinstance(error, BackendInvalid):
        return Evidence.REFUSAL
    if isinstance(error, BackendBroken):
        return Evidence.ODD_ANSWER
    if isinstance(error, BackendUnreachable):
        return Evidence.ABSENCE
    return Evidence.FAILURE


def cause(error: BaseException) -> str:
    """Return what a caller is told of a failure: one printable line of bounded length."""
    return _line(str(error))


def account(error: BackendError | TimeoutError) -> str:
    """Return what an operator is told of a failure: its cause, and what the server says of itself."""
    said = error.said if isinstance(error, BackendError) else ""
    return _line(f"{error}: {said}" if said else str(error))


def _line(text: str) -> str:
    words = "".join(each if each.isprintable() else " " for each in text[: 4 * MOST_TOLD])
    line = " ".join(words.split())
    return line if len(line) <= MOST_TOLD else f"{line[:MOST_TOLD]}..."
