"""Watches an event loop: what one turn of it took at most, counted and not timed."""

import asyncio
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.fuzz.work import Meter, Work

_RUN: Final = "_run"
_FAKES: Final = "/tests/fakes/"
"""What stands for other processes is none of this one's work."""
_ANY: Final = Work(float("inf"), float("inf"))


@dataclass(slots=True)
class Longest:
    """The dearest turns so far: nothing else of the process ran during each."""

    steps: int = 0
    allocated: int = 0
    stepping: str = ""
    """What took the most steps."""
    allocating: str = ""


@contextmanager
def watched_loop() -> Iterator[Longest]:
    """Count the work of every callback of every loop; coroutines run in callbacks, up to their next await."""
    longest = Longest()
    run = getattr(asyncio.Handle, _RUN)

    def counted(handle: asyncio.Handle) -> Any:
        meter = Meter(_ANY, leave_out=_FAKES)
        meter.begin()
        sys.settrace(meter.trace)
        try:
            return run(handle)
        finally:
            sys.settrace(None)
            meter.look()
            if meter.steps > longest.steps:
                longest.steps, longest.stepping = meter.steps, repr(handle)[:300]
            if meter.allocated > longest.allocated:
                longest.allocated, longest.allocating = meter.allocated, repr(handle)[:300]

    tracemalloc.start()
    setattr(asyncio.Handle, _RUN, counted)
    try:
        yield longest
    finally:
        setattr(asyncio.Handle, _RUN, run)
        tracemalloc.stop()
