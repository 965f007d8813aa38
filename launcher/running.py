"""Which kernel runs on a data directory: a lock that its supervisor holds, with what others may know of it.

The lock ends with the process that holds it, however that ends, so a file that is left over says nothing; and
two kernels never share one directory's databases, whatever their ports.
"""

import fcntl
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final

LOCK_FILE: Final = "kernel.lock"
_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningKernel:
    """What the supervisor of a kernel tells of it."""

    pid: int
    """The supervisor's."""

    gateway: str
    """Address of the gateway."""

    door: str
    """Base URL of the HTTP door."""

    started: float
    """When. Unit: seconds since 1970."""

    ready_urls: Mapping[str, str] = field(default_factory=dict)
    """By process: answers 200 once it is ready."""

    pids: Mapping[str, int] = field(default_factory=dict)
    """By process that runs right now."""

    restarts: Mapping[str, int] = field(default_factory=dict)
    """By process: how often it was started again."""


class AlreadyRuns(Exception):
    """A kernel runs on this data directory."""


class KernelLock:
    """The hold of a supervisor on a data directory, until `release` or the end of the process."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / LOCK_FILE
        self._file: IO[str] | None = None

    def claim(self) -> None:
        """Take the lock. Raises AlreadyRuns."""
        file = _opened(self._path)
        if not _lock(file, fcntl.LOCK_EX):
            known = _told(file)
            file.close()
            whose = f": {known.gateway}, process {known.pid}" if known is not None else ""
            raise AlreadyRuns(
                f"a kernel runs on {self._path.parent} already{whose}; end it with `aios down`, "
                "or choose another --data-dir"
            )
        self._file = file

    def tell(self, kernel: RunningKernel) -> None:
        """Write down what others may know; whoever reads meanwhile sees the old or the new."""
        if self._file is None:
            return
        text = json.dumps(asdict(kernel))
        # Written in place: the lock is the file's, and a new file of this name would have none. Padded, so
        # that a shorter text leaves no end of a longer one behind.
        os.pwrite(self._file.fileno(), text.ljust(os.fstat(self._file.fileno()).st_size).encode(), 0)

    def release(self) -> None:
        """Give the lock up."""
        if self._file is not None:
            self._file.close()
            self._file = None


def running(data_dir: Path) -> RunningKernel | None:
    """Return the kernel that runs on a data directory; None: none does. Raises OSError."""
    path = data_dir / LOCK_FILE
    if not path.exists():
        return None
    with path.open("r+") as file:
        return None if _lock(file, fcntl.LOCK_SH) else _told(file)


def end(data_dir: Path, kernel: RunningKernel, seconds: float) -> bool:
    """Ask a kernel's supervisor to stop, and wait; False: it still runs. Raises OSError."""
    _terminate(data_dir, kernel)
    give_up = time.monotonic() + seconds
    while (now := running(data_dir)) is not None and now.pid == kernel.pid:
        if time.monotonic() > give_up:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _terminate(data_dir: Path, kernel: RunningKernel) -> None:
    """Send SIGTERM to the process that holds the lock, and to no other that has got its number since."""
    if not hasattr(os, "pidfd_open"):
        os.kill(kernel.pid, signal.SIGTERM)
        return
    try:
        handle = os.pidfd_open(kernel.pid)
    except ProcessLookupError:
        return
    try:
        now = running(data_dir)  # with the handle taken: the process that it is of holds the lock still
        if now is not None and now.pid == kernel.pid:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def _opened(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")


def _lock(file: IO[str], kind: int) -> bool:
    """Try to lock; a shared lock is only a look, and given back with the file."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _told(file: IO[str]) -> RunningKernel | None:
    file.seek(0)
    try:
        return RunningKernel(**json.loads(file.read()))
    except (ValueError, TypeError):  # a supervisor that has just begun, or is of another version
        return None
