"""How much memory this process may still take: the machine's, or less where its container is limited."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_UNLIMITED: Final = 1 << 60
"""Limits from here on are none: version 1 of control groups writes a huge number."""


def available_memory(root: Path = Path("/")) -> int:
    """Return the bytes that are free, or can be freed without swapping. `root`: where /proc and /sys are."""
    return min([_machine(root), *_groups(root)])


def _machine(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    # No Linux: half of what is built in, since nothing tells what is in use.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _groups(root: Path) -> Iterator[int]:
    """Yield what is left in each control group above this process that has a limit, of either version."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes")
            if controllers
            else ("memory.max", "memory.current")
        )
        inside = PurePosixPath(path.lstrip("/"))
        # A container may see its own group as the root of the tree while it is told the path outside.
        for group in dict.fromkeys([inside, *inside.parents, PurePosixPath()]):
            if (left := _left(mount / group, *names)) is not None:
                yield left


def _left(group: Path, limit_name: str, usage_name: str) -> int | None:
    """Return what a group may still take; None: it has no limit. What can be dropped of it counts as free."""
    limit, usage = _number(group / limit_name), _number(group / usage_name)
    if limit is None or usage is None or limit >= _UNLIMITED:
        return None
    droppable = 0
    for line in _text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in {"inactive_file", "total_inactive_file"} and value.isdecimal():
            droppable = max(droppable, int(value))
    return max(0, limit - max(0, usage - droppable))


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
