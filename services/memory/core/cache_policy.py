"""Which notes stay in RAM: LRU-K.

O'Neil, O'Neil and Weikum, "The LRU-K Page Replacement Algorithm for Database Disk Buffering", SIGMOD 1993.
The note whose K-th last use lies furthest back goes first; one used fewer than K times goes before all
others, the longest unused first. A scan that touches many notes once therefore does not push out what is used
again and again. Uses closer together than the correlation period count as one; times are kept for a while
after a note has gone, so that one that comes back is known. K = 2 as the paper recommends: more reacts too
slowly when the pattern changes.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from services.memory.model import Note

K: Final = 2
MOST_HISTORIES: Final = 4_096
"""Gone notes of one agent whose uses are remembered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WaterMarks:
    """When notes leave RAM."""

    high: int
    """More than this many bytes start an eviction."""
    low: int
    """It ends at or below this many bytes."""
    correlated: float = 1.0
    """Uses closer together count as one. Unit: seconds."""


@dataclass(slots=True)
class _Uses:
    """The last K uncorrelated uses, newest first, and the last use of all. Unit: seconds."""

    times: tuple[float, ...]
    last: float


@dataclass(slots=True)
class WorkingSet:
    """The notes of one agent that are in RAM. Not thread-safe."""

    marks: WaterMarks
    size: int = 0
    """Unit: bytes."""
    evicted: int = 0
    restored: int = 0
    _notes: dict[str, Note] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)
    _uses: dict[str, _Uses] = field(default_factory=dict)
    _gone: OrderedDict[str, _Uses] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._notes)

    def __contains__(self, key: str) -> bool:
        return key in self._notes

    def __iter__(self) -> Iterator[str]:
        return iter(self._notes)

    def peek(self, key: str) -> Note | None:
        """Return a resident note; not a use."""
        return self._notes.get(key)

    def use(self, key: str, now: float) -> Note | None:
        """Return a resident note and count a use of it."""
        note = self._notes.get(key)
        if note is not None:
            self._count(key, now)
        return note

    def put(self, note: Note, now: float) -> list[str]:
        """Keep a note, which counts as a use; return the keys of those that had to go for it."""
        self._remove(note.key)
        self._notes[note.key] = note
        self._since.setdefault(note.key, now)
        self.size += note.size
        self._count(note.key, now)
        return self.shrink() if self.size > self.marks.high else []

    def replace(self, note: Note) -> None:
        """Change a note that is resident; not a use."""
        if note.key in self._notes:
            self._remove(note.key)
            self._notes[note.key] = note
            self.size += note.size

    def drop(self, key: str) -> None:
        """Forget a note and its uses: it no longer exists."""
        self._remove(key)
        self._since.pop(key, None)
        self._uses.pop(key, None)
        self._gone.pop(key, None)

    def clear(self) -> int:
        """Let all notes go; return how many."""
        count = len(self._notes)
        for key in list(self._notes):
            self._evict(key)
        return count

    def shrink(self) -> list[str]:
        """Let notes go down to the low-water mark; return their keys in the order they went."""
        going: list[str] = []
        for key in sorted(self._notes, key=self._distance):
            if self.size <= self.marks.low:
                break
            self._evict(key)
            going.append(key)
        return going

    def mean_residence(self, now: float) -> float | None:
        """Return the seconds that the resident notes have been here on average; None without any."""
        if not self._notes:
            return None
        return sum(now - self._since[key] for key in self._notes) / len(self._notes)

    def _distance(self, key: str) -> tuple[float, float]:
        """Order of leaving: by the K-th last use (never: before all times), then by the last one."""
        times = self._uses[key].times
        return (times[K - 1] if len(times) >= K else float("-inf"), self._uses[key].last)

    def _count(self, key: str, now: float) -> None:
        uses = self._uses.get(key) or self._gone.pop(key, None)
        if uses is None:
            self._uses[key] = _Uses((now,), now)
            return
        if now - uses.last > self.marks.correlated:
            uses.times = (now, *uses.times)[:K]
        uses.last = now
        self._uses[key] = uses

    def _evict(self, key: str) -> None:
        self._remove(key)
        del self._since[key]
        self._gone[key] = self._uses.pop(key)
        self.evicted += 1
        while len(self._gone) > MOST_HISTORIES:
            self._gone.popitem(last=False)

    def _remove(self, key: str) -> None:
        note = self._notes.pop(key, None)
        if note is not None:
            self.size -= note.size
