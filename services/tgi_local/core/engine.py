"""The engine port: what the server needs of whatever computes tokens. Pure."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from services.tgi_local.adapters.vocabulary import Vocabulary
from services.tgi_local.core.grammar import Constraint
from services.tgi_local.core.parameters import Sampling
from services.tgi_local.core.parts import Part


class EngineError(Exception):
    """The engine refused or failed; the message names no prompt."""


class PromptTooLong(EngineError):
    """The prompt does not fit into a slot."""


class EngineBusy(EngineError):
    """There is no room for the request now."""


class PoisonedText(EngineError):
    """The text has ended the process that splits texts, twice."""


class TemplateError(EngineError):
    """The model's chat template refused the messages."""


class StopKind(Enum):
    """Why the engine ended by itself."""

    EOS = "eos"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token and its log-probability (natural logarithm)."""

    id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class EngineToken:
    """One generated token; `logprob` is None where the engine does not report it."""

    id: int
    logprob: float | None = None
    top: tuple[Alternative, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineRequest:
    """One generation on one slot."""

    prompt: tuple[int, ...]
    slot: int
    max_tokens: int
    sampling: Sampling
    seed: int
    constraint: Constraint | None = None
    top_n: int = 0
    reuse: bool = True
    """Reuse what the slot already holds of the prompt. Faster, but on an engine that is not exact it rounds
    differently, so that the same seed may give another text."""


class EngineRun(Protocol):
    """A running generation: an async iterator of batches of tokens in order."""

    ended: StopKind | None
    """Set when the engine ended by itself."""

    cached: int | None
    """Tokens of the prompt that the slot held already, once the engine has told: before the first token."""

    def __aiter__(self) -> AsyncIterator[tuple[EngineToken, ...]]: ...

    def stop(self) -> None:
        """End the iteration at the next token boundary. Idempotent; never blocks."""

    async def aclose(self) -> None:
        """Free the slot. Idempotent."""


class Engine(Protocol):
    """Computes tokens on numbered slots and keeps their KV state."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens."""

    @property
    def exact(self) -> bool:
        """Whether a token's numbers depend on nothing but the tokens before it.

        If so they are the same, to the last bit, alone and beside other generations, and whether the tokens
        before were generated, evaluated as a prompt, found in a slot or restored.
        """

    def generate(self, job: EngineRequest) -> EngineRun:
        """Start a generation; raises EngineError from the iteration."""

    async def tokenize(self, parts: Sequence[Part], *, add_special: bool) -> list[list[int]]:
        """Return the ids of each part, each split alone.

        Special tokens written in a part are recognised where it says so. `add_special`: put before the first
        part what the vocabulary begins every text with.
        """

    async def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Apply the chat template. Raises TemplateError, PoisonedText, EngineBusy, EngineError."""

    async def save(self, slot: int, name: str) -> int:
        """Write an idle slot's KV state to the file `name`. Returns the tokens it covers."""

    async def restore(self, slot: int, name: str) -> int:
        """Load a KV state into an idle slot. Returns the tokens it covers."""

    async def healthy(self) -> bool:
        """Whether the engine answers."""

    async def close(self) -> None:
        """Stop the engine and remove its socket."""
