"""Looks at all running jobs every few milliseconds: what no limit of a single process holds, it finds."""

import asyncio
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.chassis.isolation import nameless, processes, scratch
from services.chassis.isolation.processes import Taken
from services.chassis.runtime.logs import logger
from services.chassis.sandbox.terms import EndKind, Limits

_log = logger(__name__)

LOOK_SECONDS: Final = 0.05
_SHARE: Final = 10
"""A look at the files of a job is followed by this many times as long without one."""


@dataclass(eq=False, slots=True)
class Watched:
    """A job that is looked at, and what was seen."""

    root: int
    """Whose descendants are the job's processes."""
    includes_root: bool
    uid: int | None
    """A user that is the job's alone."""
    scratch: Path
    limits: Limits
    passed: asyncio.Future[EndKind] = field(init=False)
    """Which limit it has passed."""
    memory_bytes: int = 0
    cpu_seconds: float = 0.0
    next_files: float = -math.inf
    """When its files are looked at again."""

    def __post_init__(self) -> None:
        self.passed = asyncio.get_running_loop().create_future()

    def saw(self, taken: Taken) -> None:
        """Judge what its processes take."""
        self.memory_bytes = max(self.memory_bytes, taken.memory_bytes)
        self.cpu_seconds = max(self.cpu_seconds, taken.cpu_seconds)
        if taken.memory_bytes > self.limits.memory_bytes:
            self.end(EndKind.MEMORY)
        elif taken.processes > self.limits.processes + _OF_THE_LOCK:
            self.end(EndKind.PROCESSES)
        elif taken.cpu_seconds > self.limits.cpu_seconds:
            self.end(EndKind.TIMEOUT)

    def end(self, why: EndKind) -> None:
        """Say that a limit is passed; the first one counts."""
        if not self.passed.done():
            self.passed.set_result(why)


_OF_THE_LOCK: Final = 2
"""Processes of bubblewrap that count as the job's."""


class Watcher:
    """One for all jobs of a process; it looks only while there are any."""

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._looking: asyncio.Task[None] | None = None

    @property
    def watching(self) -> int:
        """How many jobs are looked at."""
        return len(self._watched)

    def add(self, job: Watched) -> None:
        """Begin to look at a job."""
        self._watched.add(job)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    def remove(self, job: Watched) -> None:
        """Look at a job no more."""
        self._watched.discard(job)

    async def _look(self) -> None:
        try:
            while self._watched:
                jobs = tuple(self._watched)
                for job, taken, full in await asyncio.to_thread(_seen, jobs):
                    job.saw(taken)
                    if full:
                        job.end(EndKind.DISK)
                await asyncio.sleep(LOOK_SECONDS)
        except OSError as error:  # what is not seen is not held: nothing goes on unwatched
            _log.error("jobs of the sandbox cannot be watched", exc=error)
            for job in self._watched:
                job.end(EndKind.STOPPED)


def _seen(jobs: Iterable[Watched]) -> list[tuple[Watched, Taken, bool]]:
    rows = processes.table()
    found = []
    for job in jobs:
        pids = processes.descendants(rows, job.root, job.uid)
        if job.includes_root:
            pids.add(job.root)
        found.append((job, processes.taken(rows, pids), _is_full(job, pids)))
    return found


def _is_full(job: Watched, pids: Iterable[int]) -> bool:
    began = time.monotonic()
    if began < job.next_files:
        return False
    try:
        content = scratch.measure(job.scratch, most_entries=job.limits.scratch_entries)
        hidden = nameless.measure(pids, job.scratch, most_bytes=job.limits.scratch_bytes)
    except scratch.TooMuchError:
        return True
    ended = time.monotonic()
    job.next_files = ended + _SHARE * (ended - began)
    return content.bytes + hidden > job.limits.scratch_bytes
