"""Decides from what calls saw of a replica whether it gets more of them. Pure.

A replica that answers its health probe may still fail every call. Its circuit opens when calls of several
agent trees failed; after a pause, longer each time, it is half open: one call at a time tries it. The states
and their names are Nygard's (Release It!, 2007).

One tree alone opens nothing: it could shut a replica for everybody with requests that a server fails on, or
keep it shut by being each of the calls that try it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.inference.core.evidence import Source


class CircuitState(Enum):
    """Whether a replica gets calls. Values are those of the metric."""

    CLOSED = 0  # as many as it holds
    HALF_OPEN = 1  # one at a time, until one succeeds
    OPEN = 2  # none


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitConfig:
    """When a circuit opens, and for how long. Unit: seconds."""

    failures_in_a_row: int = 4
    """Failures without a success between them that open it, at most two of each tree."""
    failure_share: float = 0.5
    """Share of failures among the recent calls of each of several trees, and of all, that opens it."""
    least_outcomes: int = 6
    """Outcomes before the share means anything."""
    least_trees: int = 2
    """Trees whose calls must have failed."""
    first_pause: float = 1.0
    longest_pause: float = 60.0
    quarantine: float = 10.0
    """First pause after answers that are not the backend's protocol: each trial costs a call its life."""
    forgiven_after: int = 20
    """Successes in a row after which the pauses begin from the first again."""
    memory: float = 120.0
    """How long what a tree's calls saw counts."""
    doubt_interval: float = 1.0
    """One tree's failures take the replica out for a probe at most once in so long."""


_STEP: Final = 0.2
"""Weight of the newest outcome in a share."""
_MOST_OF_ONE: Final = 2
"""Failures of one tree that count: further ones tell more of the tree than of the replica."""
_MOST_WITNESSES: Final = 256


@dataclass(slots=True)
class _Witness:
    """What the calls of one tree saw."""

    heard_at: float
    failures: int = 0
    """Since a call of anybody went well."""
    share: float = 0.0
    outcomes: int = 0
    doubted_at: float | None = None
    """When its failure last took the replica out."""


class Circuit:
    """The circuit of one replica. Times are seconds on one monotonic clock."""

    def __init__(self, config: CircuitConfig) -> None:
        self._config = config
        self._witnesses: OrderedDict[Source, _Witness] = OrderedDict()
        """The newest last."""
        self._good = 0
        self._openings = 0
        self._closed = True
        self._until = 0.0
        self._last_trial: Source | None = None
        """The tree whose failure opened it last."""

    def state(self, now: float) -> CircuitState:
        """Return the state at this time."""
        if self._closed:
            return CircuitState.CLOSED
        return CircuitState.OPEN if now < self._until else CircuitState.HALF_OPEN

    @property
    def opens_until(self) -> float:
        """When it is half open; in the past while it is closed."""
        return self._until

    def succeeded(self, now: float, source: Source) -> bool:
        """Note a call that went well; True when that closed the circuit.

        While it is open, calls that began before end well too: they tell nothing of the calls to come.
        """
        state = self.state(now)
        if state is CircuitState.OPEN:
            return False
        self._hear(source, now, failed=False)
        for witness in self._witnesses.values():
            witness.failures = 0
        self._good += 1
        if self._good >= self._config.forgiven_after:
            self._openings = 0
        if state is CircuitState.CLOSED:
            return False
        self._closed, self._last_trial = True, None
        self._witnesses.clear()
        return True

    def failed(self, now: float, source: Source, *, nonsense: bool) -> bool:
        """Note a call that failed; True when that opened the circuit. `nonsense`: no answer of a backend.

        While it is half open only another tree than the one before opens it anew: a single bad request would
        otherwise be each of its trials.
        """
        state = self.state(now)
        if state is CircuitState.OPEN:
            return False
        self._hear(source, now, failed=True)
        self._good = 0
        enough = self._too_many() if state is CircuitState.CLOSED else source != self._last_trial
        if not enough:
            return False
        first = self._config.quarantine if nonsense else self._config.first_pause
        pause = min(self._config.longest_pause, first * 2 ** min(self._openings, 16))
        self._openings += 1
        self._closed, self._until, self._last_trial = False, now + pause, source
        return True

    def doubtful(self, now: float, source: Source) -> bool:
        """Whether a failure of this tree is reason to take the replica out until it has been probed.

        Once in a while for each tree: a tree that fails all the time would keep it out most of the time.
        """
        witness = self._witness(source, now)
        last = witness.doubted_at
        if last is not None and now - last < self._config.doubt_interval:
            return False
        witness.doubted_at = now
        return True

    def _too_many(self) -> bool:
        witnesses = self._witnesses.values()
        return self._nothing_goes_well(witnesses) or self._most_goes_wrong(witnesses)

    def _nothing_goes_well(self, witnesses: Iterable[_Witness]) -> bool:
        failures = [min(each.failures, _MOST_OF_ONE) for each in witnesses if each.failures]
        return len(failures) >= self._config.least_trees and sum(failures) >= self._config.failures_in_a_row

    def _most_goes_wrong(self, witnesses: Iterable[_Witness]) -> bool:
        """Whether calls mostly fail, successes between them or not. Each tree has one voice, however busy."""
        heard = [each for each in witnesses if each.outcomes]
        bad = [each for each in heard if each.share >= self._config.failure_share]
        return (
            len(bad) >= self._config.least_trees
            and sum(each.outcomes for each in bad) >= self._config.least_outcomes
            and sum(each.share for each in heard) >= self._config.failure_share * len(heard)
        )

    def _hear(self, source: Source, now: float, *, failed: bool) -> None:
        witness = self._witness(source, now)
        witness.failures += failed
        witness.outcomes += 1
        witness.share += _STEP * (float(failed) - witness.share)

    def _witness(self, source: Source, now: float) -> _Witness:
        """Return what a tree saw, as the newest; forgets those of long ago."""
        while self._witnesses and self._forgettable(now):
            self._witnesses.popitem(last=False)
        witness = self._witnesses.setdefault(source, _Witness(now))
        witness.heard_at = now
        self._witnesses.move_to_end(source)
        return witness

    def _forgettable(self, now: float) -> bool:
        oldest = next(iter(self._witnesses.values()))
        return len(self._witnesses) >= _MOST_WITNESSES or now - oldest.heard_at > self._config.memory
