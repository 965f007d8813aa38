"""Measures the work of a call: steps and bytes, the same on every machine, and nothing that a clock says."""

import signal
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

HUNG_SECONDS: Final = 20.0
"""Processor time after which native code counts as hung. Not a bound on work: what hangs does for hours."""


class TooMuchWork(BaseException):
    """The call went beyond its bound and was stopped there. No parser catches it."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a call took, or the most it may take."""

    steps: float
    """Lines of Python run, turns of comprehensions counted each."""
    allocated: float
    """Bytes allocated, those that were given back from one line to the next counted again."""

    def over(self, bound: "Work") -> str:
        """Say what goes beyond a bound; nothing when nothing does."""
        found = []
        if self.steps > bound.steps:
            found.append(f"{self.steps:.0f} steps, {bound.steps:.0f} are allowed")
        if self.allocated > bound.allocated:
            found.append(f"{self.allocated:.0f} bytes allocated, {bound.allocated:.0f} are allowed")
        return "; ".join(found)


class Meter:
    """Counts lines and what is allocated from each to the next."""

    def __init__(self, most: Work, *, leave_out: str = "") -> None:
        """Leave out functions in files whose path has `leave_out` in it."""
        self._most = most
        self._leave_out = leave_out
        self.steps = 0
        self.allocated = 0
        self._before = 0
        self._own = 0
        """Bytes that each look allocates itself: no step is charged with them."""

    def begin(self) -> None:
        """Count from here."""
        self._before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(3):
            self._own, self.allocated = 0, 0
            self.look()
        self._own, self.allocated = self.allocated, 0

    def trace(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        """Take one event of the interpreter."""
        if self._leave_out and self._leave_out in frame.f_code.co_filename:
            return None
        self.steps += 1
        self.look()
        if self.steps > self._most.steps or self.allocated > self._most.allocated:
            raise TooMuchWork
        return self.trace

    def look(self) -> None:
        """Count what was allocated since the last look."""
        now, peak = tracemalloc.get_traced_memory()
        self.allocated += max(0, peak - self._before - self._own)
        if peak > now:
            tracemalloc.reset_peak()
        self._before = now


def measured(call: Callable[[], object], most: Work) -> Work:
    """Return the work of a call, which is stopped somewhat beyond `most`. Raises what it raises, Hung too."""
    meter = Meter(most)
    before = sys.gettrace()
    tracemalloc.start()
    try:
        with _hung_is_noticed():
            meter.begin()
            sys.settrace(meter.trace)
            try:
                call()
            except TooMuchWork:
                pass
            finally:
                sys.settrace(before)
        meter.look()
    finally:
        tracemalloc.stop()
    return Work(meter.steps, meter.allocated)


class Hung(Exception):
    """Native code does not come back."""


@contextmanager
def _hung_is_noticed() -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, HUNG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
