"""What the processes of a machine take, as /proc tells it. Blocks for some milliseconds: for a thread."""

import os
import select
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_END_SECONDS: Final = 1.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK: Final = os.sysconf("SC_CLK_TCK")
_PARENT, _USER_TICKS, _SYSTEM_TICKS, _THREADS, _PAGES = 1, 11, 12, 17, 21
"""Places in /proc/PID/stat after the name, which may hold anything."""
_CHILDREN_TICKS: Final = (13, 14)


@dataclass(frozen=True, slots=True)
class Row:
    """One process."""

    parent: int
    uid: int
    zombie: bool
    memory_bytes: int
    cpu_seconds: float
    """Its children's that it waited for included."""
    threads: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What the processes of one job take together."""

    processes: int = 0
    memory_bytes: int = 0
    cpu_seconds: float = 0.0


def table() -> dict[int, Row]:
    """Return all processes that can be seen."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are wanted
        if name.isdigit() and (row := _row(name)) is not None:
            found[int(name)] = row
    return found


def _row(name: str) -> Row | None:
    read = _fields(f"/proc/{name}/stat")
    if read is None:
        return None
    uid, fields = read
    zombie, pages = fields[0] == b"Z", int(fields[_PAGES])
    if zombie and int(fields[_THREADS]) > 1:
        # its first thread has ended alone: the others go on, and only they tell what it holds
        zombie, pages = False, _pages_of_threads(name)
    ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    ticks += sum(int(fields[place]) for place in _CHILDREN_TICKS)
    return Row(
        parent=int(fields[_PARENT]),
        uid=uid,
        zombie=zombie,
        memory_bytes=pages * _PAGE,
        cpu_seconds=ticks / _TICK,
        threads=int(fields[_THREADS]),
    )


def _fields(path: str) -> tuple[int, list[bytes]] | None:
    """Return whose a process or thread is, and its fields after the name; None: it has ended meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            uid = os.fstat(descriptor).st_uid
            text = os.read(descriptor, 1024)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    fields = text.rpartition(b")")[2].split()
    return (uid, fields) if len(fields) > _PAGES else None


def _pages_of_threads(name: str) -> int:
    """Return what the first thread that still lives tells: all of a process share one memory."""
    for thread in threads(name):
        read = _fields(f"/proc/{name}/task/{thread}/stat")
        if read is not None and (pages := int(read[1][_PAGES])):
            return pages
    return 0


def threads(pid: int | str) -> list[str]:
    """Return the numbers of a process's threads; none: it has ended."""
    try:
        return os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names are wanted
    except OSError:
        return []


def end_left(users: range) -> int:
    """End what an earlier host left in the middle of a start: a bubblewrap that waits for one that has gone.

    It has run nothing, but it counts against the user that is the next job's. Returns how many were found.
    """
    found = [pid for pid, row in table().items() if row.uid in users and row.parent == 1 and _is_lock(pid)]
    for pid in found:
        with suppress(ProcessLookupError):
            _end(pid)
    return len(found)


def _end(pid: int) -> None:
    """End a process and wait, for a short time, until it is gone. Raises ProcessLookupError."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [], _END_SECONDS)
    finally:
        os.close(process)


def _is_lock(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - as the table is read
            program, first, *_ = (*file.read(256).split(b"\0"), b"")
    except OSError:
        return False  # it has ended meanwhile
    return program.endswith(b"/bwrap") and first == b"--args"


def descendants(rows: Mapping[int, Row], root: int, uid: int | None) -> set[int]:
    """Return a job's processes: below its root, or of the user that is the job's alone."""
    children: dict[int, list[int]] = {}
    for pid, row in rows.items():
        children.setdefault(row.parent, []).append(pid)
    found = {pid for pid, row in rows.items() if uid is not None and row.uid == uid}
    found.discard(root)
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found.add(child)
            waiting.append(child)
    return found


def taken(rows: Mapping[int, Row], pids: set[int]) -> Taken:
    """Add up what some processes take; those that have ended take a place until their parent asks."""
    present = [rows[pid] for pid in pids if pid in rows]
    alive = [row for row in present if not row.zombie]
    return Taken(len(present), sum(row.memory_bytes for row in alive), sum(row.cpu_seconds for row in alive))


def threads_of(rows: Mapping[int, Row], uid: int) -> int:
    """Return how many threads a user has: what its limit of processes counts."""
    return sum(row.threads for row in rows.values() if row.uid == uid)
