"""What the scheduler's service needs from outside its pure part."""

from collections.abc import Iterable
from typing import Protocol

from services.scheduler.core.events import Decision


class Clock(Protocol):
    """A steady clock."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; it never goes back."""
        ...


class ScheduleMetrics(Protocol):
    """Where decisions and gauges are counted."""

    def decided(self, decisions: Iterable[Decision]) -> None:
        """Count what a step decided: grants with their waits, rejects by outcome, preemptions."""
        ...
