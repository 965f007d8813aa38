"""Files of a job that have no name any more, or never had one: no walk finds them, but they fill the disk.

They live while a thread has them open or a process has them mapped. Blocks: for a thread.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.chassis.isolation import processes
from services.chassis.isolation.inside.plan import HOME
from services.chassis.isolation.scratch import TooMuchError

MOST_MAPS: Final = 4 << 20
"""Bytes of tables of mappings that are read of one job: a look at it must not become long."""
_MAPPED: Final = re.compile(rb"^\S+ \S+ \S+ \S+ (\d+) +(/.*) \(deleted\)$", re.MULTILINE)
_SHARE: Final = 4


def measure(pids: Iterable[int], scratch: Path, *, most_bytes: int) -> int:
    """Return how many bytes of a scratch's files without a name a job's processes hold.

    How large one is that is only mapped cannot be seen: it counts as a quarter of what it may be at most.
    Raises TooMuchError when there is more to look at than may be.
    """
    opened: dict[int, int] = {}
    mapped: set[int] = set()
    left = MOST_MAPS
    try:
        device = scratch.stat().st_dev
    except OSError as error:
        raise TooMuchError("the scratch cannot be looked into") from error
    for pid in pids:
        table = b""
        for thread in processes.threads(pid):  # each may have descriptors of its own
            opened.update(_opened(f"/proc/{pid}/task/{thread}/fd", device))
            table = table or _table(f"/proc/{pid}/task/{thread}/maps", left)
        left -= len(table)
        if left <= 0:
            raise TooMuchError("there are too many mappings")
        mapped.update(_mapped(table, scratch))
    return sum(opened.values()) + len(mapped - opened.keys()) * (most_bytes // _SHARE)


def _opened(directory: str, device: int) -> Iterator[tuple[int, int]]:
    """Yield number and bytes of the files without a name that a thread has open."""
    names: list[str] = []
    with suppress(OSError):  # it has ended meanwhile
        names = os.listdir(directory)  # noqa: PTH208 - names are wanted
    for name in names:
        with suppress(OSError):
            about = os.stat(f"{directory}/{name}")  # noqa: PTH116 - a look at many
            if stat.S_ISREG(about.st_mode) and not about.st_nlink and about.st_dev == device:
                yield about.st_ino, about.st_blocks * 512


def _table(path: str, most: int) -> bytes:
    """Return what a process has mapped, at most so many bytes of it; nothing: it has ended."""
    table = b""
    with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - as the table of processes is read
        table = file.read(most)
    return table


def _mapped(table: bytes, scratch: Path) -> Iterator[int]:
    """Yield the numbers of the files without a name, of those in the scratch, that are mapped."""
    places = (os.fsencode(scratch) + b"/", f"{HOME}/".encode())
    for found in _MAPPED.finditer(table):
        if found[2].startswith(places):
            yield int(found[1])
