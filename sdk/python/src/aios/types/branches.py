"""Branches of a conversation."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aios.types.llm import Answer

Scorer: TypeAlias = Callable[[Answer], float | Awaitable[float]]
"""Judges one answer; more is better."""

PathScorer: TypeAlias = Callable[[Sequence[Answer]], float | Awaitable[float]]
"""Judges the answers of a path, in order; more is better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """One way on from a conversation."""

    context: str
    """Id of the context that holds the whole conversation of this branch."""

    answers: tuple[Answer, ...]
    """What was answered on the way, in order."""

    score: float
    """What the scorer said."""

    @property
    def answer(self) -> Answer:
        """The last answer."""
        return self.answers[-1]
