"""What the scheduler's service needs from outside its pure part."""

from collections.abc import Iterable
from typing import Protocol

from services.scheduler.events import Decision
from services.scheduler.stats import Stats


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

    def gauged(self, stats: Stats) -> None:
        """Set the gauges: waiting, running, oldest wait, tokens in flight, limits."""
        ...


class ScheduleWatcher(Protocol):
    """One who follows the timeline."""

    def offer(self, decisions: Iterable[Decision]) -> None:
        """Take what a step decided; must not block, drops the oldest when it lags."""
        ...
