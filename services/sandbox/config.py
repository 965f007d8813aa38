"""Configuration of the sandbox, from `AIOS_SANDBOX_*`."""

import re
from dataclasses import dataclass
from datetime import timedelta

from services.chassis.sandbox.terms import LEVELS

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxConfig:
    """Limits of one sandbox. Read once, at start."""

    caller_sha256: tuple[str, ...] = ()
    """SHA-256 in hexadecimal of the credentials that may call; two while one replaces the other. Default:
    nobody may."""

    jobs: int = 16
    """Programs that run at once and end by themselves."""

    memory_bytes: int = 2 * 1024**3
    """What these may take together, memory and scratch by their limits."""

    talks: int = 16
    """Programs that run at once and are talked to, such as MCP servers: they stay for long."""

    talks_memory_bytes: int = 2 * 1024**3
    """What these may take together, memory and scratch by their limits."""

    waiting: int = 1024
    """Programs that may wait for a place; more are refused."""

    wait_seconds: timedelta = timedelta(seconds=30)
    """How long a program may wait for a place."""

    silent_seconds: timedelta = timedelta(seconds=20)
    """How long nothing may be heard of who had a program started before it is ended."""

    offered: tuple[str, ...] = ()
    """Directories that programs may be given to read, with all that lies in them. Default: none."""

    network: bool = False
    """Whether a program may be given the network when the tool manager asks for that."""

    level: str = ""
    """What programs are kept in with: namespaces, landlock, single (Python only) or none, which runs nothing.
    Default: the first of them that works here."""

    python: str = ""
    """Interpreter for programs that are Python. Default: this process's."""

    directory: str = ""
    """Where programs' scratches are made. Default: the system's place for temporary files."""

    warm: int = 2
    """Interpreters that wait for programs, 10 MiB each, once a first one came."""

    first_uid: int = 61_000
    """As root, programs run as this user and the ones after it, each as one of its own."""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level is one of {', '.join(sorted(filter(None, LEVELS)))}, or empty")
        if self.warm < 0 or self.first_uid < 1:
            raise ValueError("programs are never root")
        if not all(_DIGEST.fullmatch(each) for each in self.caller_sha256):
            raise ValueError("caller_sha256 holds what is no SHA-256 in hexadecimal")
        if min(self.jobs, self.talks, self.memory_bytes, self.talks_memory_bytes) < 1 or self.waiting < 0:
            raise ValueError("places and memory must be more than 0")
        if min(self.wait_seconds, self.silent_seconds) <= timedelta(0):
            raise ValueError("the times must be more than 0 seconds")
