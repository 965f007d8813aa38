"""Decides from what calls saw of a replica whether it gets more of them. Pure.

A replica that answers its health probe may still fail every call. Its circuit opens when too many calls
failed; after a pause, longer each time, it is half open: one call at a time tries it. The states and their
names are Nygard's (Release It!, 2007).
"""

from dataclasses import dataclass
from enum import Enum


class CircuitState(Enum):
    """Whether a replica gets calls. Values are those of the metric."""

    CLOSED = 0  # as many as it holds
    HALF_OPEN = 1  # one at a time, until one succeeds
    OPEN = 2  # none


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitConfig:
    """When a circuit opens, and for how long. Unit: seconds."""

    failures_in_a_row: int = 3
    """Failures without a success between them that open it."""
    failure_share: float = 0.5
    """Share of failures among recent calls that opens it, successes between them or not."""
    least_outcomes: int = 6
    """Outcomes before the share means anything."""
    first_pause: float = 1.0
    longest_pause: float = 60.0
    quarantine: float = 10.0
    """First pause after an answer that is not the backend's protocol: one such answer opens it."""
    forgiven_after: int = 20
    """Successes in a row after which the pauses begin from the first again."""


_STEP = 0.2
"""Weight of the newest outcome in the share."""


class Circuit:
    """The circuit of one replica. Times are seconds on one monotonic clock."""

    def __init__(self, config: CircuitConfig) -> None:
        self._config = config
        self._in_a_row = 0
        self._good = 0
        self._share = 0.0
        self._outcomes = 0
        self._openings = 0
        self._closed = True
        self._until = 0.0

    def state(self, now: float) -> CircuitState:
        """Return the state at this time."""
        if self._closed:
            return CircuitState.CLOSED
        return CircuitState.OPEN if now < self._until else CircuitState.HALF_OPEN

    @property
    def opens_until(self) -> float:
        """When it is half open; in the past while it is closed."""
        return self._until

    def succeeded(self, now: float) -> bool:
        """Note a call that went well; True when that closed the circuit.

        While it is open, calls that began before end well too: they tell nothing of the calls to come.
        """
        state = self.state(now)
        if state is CircuitState.OPEN:
            return False
        self._count(failed=False)
        self._in_a_row = 0
        self._good += 1
        if self._good >= self._config.forgiven_after:
            self._openings = 0
        if state is CircuitState.CLOSED:
            return False
        self._closed, self._share, self._outcomes = True, 0.0, 0
        return True

    def failed(self, now: float, *, nonsense: bool) -> bool:
        """Note a call that failed; True when that opened the circuit. `nonsense`: no answer of a backend."""
        state = self.state(now)
        if state is CircuitState.OPEN:
            return False
        self._count(failed=True)
        self._in_a_row += 1
        self._good = 0
        if state is CircuitState.CLOSED and not nonsense and not self._too_many():
            return False
        first = self._config.quarantine if nonsense else self._config.first_pause
        pause = min(self._config.longest_pause, first * 2 ** min(self._openings, 16))
        self._openings += 1
        self._closed, self._until = False, now + pause
        return True

    def _too_many(self) -> bool:
        if self._in_a_row >= self._config.failures_in_a_row:
            return True
        return self._outcomes >= self._config.least_outcomes and self._share >= self._config.failure_share

    def _count(self, *, failed: bool) -> None:
        self._outcomes += 1
        self._share += _STEP * (float(failed) - self._share)
