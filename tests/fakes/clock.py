"""A clock that stands still until a test advances it."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Both clocks of the chassis' Clock port, moved by hand."""

    def __init__(
        self, *, now: datetime = datetime(2026, 1, 1, tzinfo=UTC), monotonic: float = 1_000.0
    ) -> None:
        self._now = now
        self._monotonic = monotonic

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return self._monotonic

    def now(self) -> datetime:
        """Wall-clock time in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; the steady clock goes on as if nothing happened."""
        self._now += timedelta(seconds=seconds)
