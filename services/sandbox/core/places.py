"""Whose place is next: in the order of arrival, within a number of places and a sum of memory. Pure.

Who needs much is not passed by who needs little: it would wait for ever. In whose turn calls come here the
scheduler has decided before.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class NoRoom(Exception):
    """Too many wait, or it needs more than there is at all. The message says which."""

    def __init__(self, why: str, *, passes: bool) -> None:
        super().__init__(why)
        self.passes = passes
        """Whether it is another thing later."""


class Places(Generic[T]):
    """Places for jobs, and the jobs that wait for them."""

    def __init__(self, places: int, memory_bytes: int, waiting: int) -> None:
        self._places = places
        self._memory = memory_bytes
        self._most_waiting = waiting
        self._running: dict[T, int] = {}
        self._waiting: OrderedDict[T, int] = OrderedDict()

    @property
    def running(self) -> int:
        """Jobs that have a place."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Jobs that wait for one."""
        return len(self._waiting)

    def join(self, job: T, memory_bytes: int) -> list[T]:
        """Let a job wait for a place; returns who got one. Raises NoRoom."""
        if memory_bytes > self._memory:
            raise NoRoom(f"the program may take {memory_bytes} bytes, {self._memory} are here", passes=False)
        if len(self._waiting) >= self._most_waiting and not self._fits(memory_bytes):
            raise NoRoom(f"{self._most_waiting} programs wait already", passes=True)
        self._waiting[job] = memory_bytes
        return self._grant()

    def leave(self, job: T) -> list[T]:
        """Let go of a job that ended or waits no longer; returns who got a place by that. Idempotent."""
        self._waiting.pop(job, None)
        self._running.pop(job, None)
        return self._grant()

    def _grant(self) -> list[T]:
        granted: list[T] = []
        while self._waiting:
            job, memory = next(iter(self._waiting.items()))
            if len(self._running) >= self._places or sum(self._running.values()) + memory > self._memory:
                break
            del self._waiting[job]
            self._running[job] = memory
            granted.append(job)
        return granted

    def _fits(self, memory: int) -> bool:
        free = len(self._running) < self._places and sum(self._running.values()) + memory <= self._memory
        return free and not self._waiting
