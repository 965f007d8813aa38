"""What the processes of a kernel write: kept in files, shown to people, filtered and followed."""

import json
import logging
import logging.handlers
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Final

LOGS: Final = "logs"
MOST_BYTES: Final = 8 * 2**20
"""Size from which on a log file is put aside, once; the one put aside before goes."""
_COMMON: Final = frozenset({"time", "level", "service", "event", "logger", "exception"})
_MIGRATIONS: Final = "alembic.runtime.migration"
_LOOK_SECONDS: Final = 0.3
_MOST_LINE: Final = 1 << 16
LEVELS: Final = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a process."""

    process: str
    text: str
    """As it was written."""

    told: Mapping[str, Any] = field(default_factory=dict)
    """What it holds, if it is an event; else empty."""

    @property
    def time(self) -> str:
        """When, as text that sorts; empty: it does not say."""
        return str(self.told.get("time", ""))

    @property
    def level(self) -> str:
        """How important; what is no event may be anything, so a warning."""
        return str(self.told.get("level", "warning"))

    @property
    def is_routine(self) -> bool:
        """Whether it tells of a step of a migration, of which a first start has fifty."""
        return self.told.get("logger") == _MIGRATIONS and self.level == "info"

    def shown(self) -> str:
        """Return the line for a person."""
        if not self.told:
            return self.text
        fields = "".join(f" {name}={value}" for name, value in self.told.items() if name not in _COMMON)
        text = f"{_clock(self.time)} {self.level:<7} {self.told.get('event', '')}{fields}"
        return f"{text}\n{self.told['exception']}" if self.told.get("exception") else text


def read(process: str, text: str) -> Line:
    """Read what a process wrote: JSON of the kernel's logs, or anything else."""
    if text.startswith("{"):
        try:
            told = json.loads(text)
        except ValueError:
            return Line(process, text)
        if isinstance(told, dict) and "event" in told:
            return Line(process, text, told)
    return Line(process, text)


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A log that its owner alone reads: it names agents and what they do."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.fdopen(os.open(self.baseFilename, flags, 0o600), "a", encoding=self.encoding)


class LogFiles:
    """One file for each process, in the data directory; of bounded size."""

    def __init__(self, data_dir: Path, processes: Iterable[str]) -> None:
        folder = data_dir / LOGS
        folder.mkdir(mode=0o700, exist_ok=True)
        self._handlers = {
            name: _PrivateFile(folder / f"{name}.log", maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8")
            for name in processes
        }

    def write(self, process: str, text: str) -> None:
        """Keep one line."""
        self._handlers[process].emit(logging.makeLogRecord({"msg": text}))

    def close(self) -> None:
        """Close all files."""
        for handler in self._handlers.values():
            handler.close()


def kept(data_dir: Path) -> dict[str, Path]:
    """Return the log files of a data directory by process."""
    return {path.stem: path for path in sorted((data_dir / LOGS).glob("*.log"))}


def last(files: Mapping[str, Path], count: int, level: str) -> list[Line]:
    """Return the newest `count` lines of all the files together that are at least so important, in order."""
    found: list[tuple[str, Line]] = []
    for process, path in files.items():
        when = ""
        for line in _tail(process, path, count, level):
            when = line.time or when  # a line of a traceback stays behind the event before it
            found.append((when, line))
    found.sort(key=lambda one: one[0])
    return [line for _, line in found[-count:]] if count else []


def _tail(process: str, path: Path, count: int, level: str) -> Sequence[Line]:
    lines: deque[Line] = deque(maxlen=count)
    for each in (path.with_name(f"{path.name}.1"), path):
        try:
            with each.open(encoding="utf-8", errors="replace") as file:
                lines.extend(
                    line for text in file if matters(line := read(process, text.rstrip("\n")), level)
                )
        except FileNotFoundError:
            continue
    return lines


def matters(line: Line, level: str) -> bool:
    """Whether a line is at least so important."""
    return line.level not in LEVELS or LEVELS.index(line.level) >= LEVELS.index(level)


class Follower:
    """Yields what is added to files from now on, also when one is put aside and begun anew."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._paths = files
        self._open: dict[str, IO[str]] = {}
        for name, path in files.items():
            if path.exists():
                self._open[name] = path.open(encoding="utf-8", errors="replace")
                self._open[name].seek(0, 2)
        self._partial: dict[str, str] = {}

    def lines(self) -> Iterator[Line]:
        """Yield lines for ever."""
        while True:
            yield from self.new()
            time.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()

    def new(self) -> Iterator[Line]:
        """Yield the lines that have come since the last look."""
        for name, path in self._paths.items():
            file = self._open.get(name)
            if file is not None:
                yield from self._read(name, file)
            if path.exists() and (file is None or not os.path.samestat(os.fstat(file.fileno()), path.stat())):
                if file is not None:
                    file.close()
                self._open[name] = path.open(encoding="utf-8", errors="replace")
                yield from self._read(name, self._open[name])

    def _read(self, name: str, file: IO[str]) -> Iterator[Line]:
        while text := file.readline(_MOST_LINE):
            text = self._partial.pop(name, "") + text
            if not text.endswith("\n") and len(text) < _MOST_LINE:
                self._partial[name] = text
                return
            yield read(name, text.rstrip("\n"))


def _clock(time_text: str) -> str:
    try:
        return datetime.fromisoformat(time_text).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except ValueError:
        return time_text
