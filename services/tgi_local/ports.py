"""What the use cases need besides the engine. Pure."""

from collections.abc import Callable
from typing import Protocol

from services.tgi_local.core.grammar import Constraint

Clock = Callable[[], float]
"""Monotonic seconds."""


class Compiler(Protocol):
    """The engine's own judgement of constraints."""

    async def check(self, constraint: Constraint) -> None:
        """Raise InvalidRequest for what the engine cannot compile within its limits."""

    async def check_beginning(self, constraint: Constraint, output: bytes) -> None:
        """Raise InvalidRequest when `output`, cut short, is no beginning of what the constraint allows."""

    async def close(self) -> None:
        """Let go of what it holds."""


class Metrics(Protocol):
    """Where the use cases report to."""

    def accepted(self, input_length: int, max_new_tokens: int) -> None:
        """Count a request that passed validation."""

    def succeeded(self, *, validation: float, queue: float, inference: float, tokens: int) -> None:
        """Count a finished generation; durations in seconds."""

    def failed(self, reason: str) -> None:
        """Count a request that failed, by TGI's reasons."""

    def queue_changed(self, waiting: int, running: int) -> None:
        """Report how many generations wait for a slot and how many hold one."""

    def prefix_reused(self, tokens: int) -> None:
        """Count prompt tokens that a slot already held."""

    def kv_restore(self, outcome: str) -> None:
        """Count an attempt to restore a snapshot by how it went."""

    def suspended(self, *, saved: bool) -> None:
        """Count a suspended generation."""

    def snapshots_changed(self, count: int, total_bytes: int) -> None:
        """Report the snapshots kept."""
