"""The terms of the sandbox: what is run in it, how much it may take, and how it ended. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

MIB: Final = 1024 * 1024


class SandboxLevel(Enum):
    """What keeps a process in. Values are metric labels; from the strongest to none."""

    NAMESPACES = "namespaces"
    """Namespaces and mounts of its own, by bubblewrap, and a filter of system calls."""
    LANDLOCK = "landlock"
    """Rights to files by Landlock, a filter of system calls, a keeper that ends what is left."""
    SINGLE = "single"
    """One process that cannot fork, by Landlock and a filter of system calls: Python only."""
    NONE = "none"
    """Nothing isolates here; nothing is run."""


LEVELS: Final = frozenset({"", *(level.value for level in SandboxLevel)})
"""What operators may demand; empty: the strongest that works."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much one job may take, all its processes together. Units: bytes and seconds."""

    memory_bytes: int = 256 * MIB
    cpu_seconds: float = 60.0
    wall_seconds: float = 60.0
    scratch_bytes: int = 16 * MIB
    scratch_entries: int = 4_096
    processes: int = 64
    output_bytes: int = 16 * MIB
    """What it may write to its outputs before it is ended; of each only `kept_bytes` are kept."""
    kept_bytes: int = 64 * 1024
    answer_bytes: int = 4 * MIB
    """What it may answer."""
    network: bool = False
    """Whether it may reach the network; only an operator grants that."""
    address_bytes: int = 0
    """Addresses that each of its processes may reserve, whatever it keeps there: some interpreters want many
    times what they use. 0: as much as `memory_bytes`."""
    open_files: int = 64
    """Of each of its processes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxJob:
    """A program to run in the sandbox. Its working directory is its scratch, with its files in it."""

    argv: tuple[str, ...]
    """Empty: `python` is run. A level of one process runs nothing else."""
    python: str = ""
    """Source that a fresh interpreter of the sandbox runs, without packages; it can start no processes. It
    answers on descriptor 3."""
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Path, relative and normal, to content."""
    want_files: bool = False
    """Whether the files that it changed or made come back."""
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Directories of the host that it may read: path inside to path outside; without namespaces the same."""
    limits: Limits = field(default_factory=Limits)


class EndKind(Enum):
    """How a job ended. Values are metric labels."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    DISK = "disk"
    OUTPUT = "output"
    PROCESSES = "processes"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxEnd:
    """How a job ended, and what it left. All of it but `how`, `code` and the sizes is the job's own say."""

    how: EndKind
    code: int = 0
    """Exit status or number of the signal."""
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    """Whether something of its outputs was left out."""
    answer: bytes = b""
    """What it wrote to the descriptor on which jobs answer."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Files that it changed or made, where they were wanted; regular files only."""
    removed: tuple[str, ...] = ()
    """Files that it was given and that are gone."""
    memory_bytes: int = 0
    """Most that it was seen to take."""
    cpu_seconds: float = 0.0
