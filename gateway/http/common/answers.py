"""What OpenAI's dialects tell of: an answer, and what all parts of one say of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from aios.api.inference.v1 import inference_pb2 as pb


@dataclass(frozen=True, slots=True)
class Head:
    """What every part of one answer says of it."""

    id: str
    created: int
    """Unix seconds."""
    model: str
    custom: frozenset[str] = frozenset()
    """Names of the tools that take free input."""
    tier: str = ""
    """The service tier that is applied; empty: the client did not ask for one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole."""

    finished: pb.Finished
    places: Sequence[pb.TopAlternatives] | None = None
    """Log-probabilities, when they were asked for."""
