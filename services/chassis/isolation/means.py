"""What this machine has to keep jobs in with, and the plans that jobs run by."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.chassis.isolation.inside.plan import HOME, PATH, Plan
from services.chassis.isolation.places import Place
from services.chassis.sandbox.errors import SandboxUnavailable
from services.chassis.sandbox.terms import Limits, SandboxLevel

RUNNER: Final = (Path(__file__).parent / "inside" / "runner.py").read_text()
_SAY_READY: Final = 'printf "\\\\1" >&3; exec 3>&-; exec "$@"'
"""What becomes a command: it says on the descriptor of answers that the lock is closed, and closes that."""
_MOST_SECONDS: Final = 10**9
_INTERPRETER: Final = Limits(memory_bytes=1 << 36, cpu_seconds=_MOST_SECONDS, scratch_bytes=1 << 36)
"""What an interpreter starts with; it lowers them to its job's before the job is there."""


@dataclass(frozen=True, slots=True)
class Means:
    """One way to keep a job in."""

    level: SandboxLevel
    python: tuple[str, ...]
    """The interpreter that jobs get, with its options."""
    reads: tuple[str, ...] = ()
    """Where it lies, if not among the system's programs."""
    bwrap: str = ""

    def plan(self, place: Place, argv: tuple[str, ...], limits: Limits, processes: int) -> Plan:
        """Return a plan for a program; `processes` is the limit of its user."""
        home = HOME if self.level is SandboxLevel.NAMESPACES else str(place.scratch)
        return Plan(
            level=self.level.value,
            host=os.getpid(),
            argv=list(argv),
            scratch=str(place.scratch),
            memory=limits.address_bytes or limits.memory_bytes,
            cpu=seconds(limits.cpu_seconds),
            file_bytes=limits.scratch_bytes,
            processes=processes,
            files=limits.open_files,
            environment=_environment(self.level, home),
            uid=place.uid,
            reads=list(self.reads),
            bwrap=self.bwrap,
        )

    def interpreter(self, place: Place, processes: int) -> Plan:
        """Return the plan of an interpreter that waits for its job; it can start no processes."""
        return self.plan(place, (*self.python, "-c", RUNNER), _INTERPRETER, processes)

    def command(self, place: Place, argv: tuple[str, ...], limits: Limits, processes: int) -> Plan:
        """Return the plan of a command. Raises SandboxUnavailable where there is one process only."""
        if self.level is SandboxLevel.SINGLE:
            raise SandboxUnavailable("on this machine the sandbox runs Python only, no other programs")
        plan = self.plan(place, ("/bin/sh", "-c", _SAY_READY, "sh", *argv), limits, processes)
        plan.fork = True
        return plan

    def granted(self, plan: Plan, mounts: Mapping[str, str], *, network: bool) -> Plan:
        """Add what an operator grants. Raises SandboxUnavailable where this level cannot hold that."""
        namespaces = self.level is SandboxLevel.NAMESPACES
        if network and not namespaces:
            raise SandboxUnavailable("on this machine the sandbox cannot grant a network and hold the rest")
        if any(inside != outside for inside, outside in mounts.items()) and not namespaces:
            raise SandboxUnavailable("on this machine directories can be read only where they are")
        plan.mounts, plan.network = dict(mounts), network
        return plan


def seconds(wanted: float) -> int:
    """Return a limit of processor time, which the kernel knows in whole seconds."""
    return int(min(wanted, _MOST_SECONDS - 2)) + 2


def _environment(level: SandboxLevel, home: str) -> dict[str, str]:
    temporary = "/tmp" if level is SandboxLevel.NAMESPACES else home  # noqa: S108 - the job's own
    return {"PATH": PATH, "HOME": home, "TMPDIR": temporary, "LANG": "C.UTF-8"}


def possible(demanded: str, python: str) -> list[Means]:
    """Return the ways worth a try, the strongest first; only a real start shows what works."""
    found = [(path, reads) for path, reads in _pythons(python) if _is_reachable(path)]
    bwrap = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin") or ""
    ways: list[Means] = []
    for level in (SandboxLevel.NAMESPACES, SandboxLevel.LANDLOCK, SandboxLevel.SINGLE):
        if demanded not in {"", level.value} or (level is SandboxLevel.NAMESPACES and not bwrap):
            continue
        ways += [Means(level, (path, "-I", "-S", "-B"), reads, bwrap) for path, reads in found]
    return ways


def _pythons(wanted: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield interpreters with what they need to read; an environment stands for what it was made from."""
    if wanted:
        yield wanted, _beside(Path(wanted).resolve().parent.parent)
        return
    yield str(Path(sys.executable).resolve()), _beside(Path(sys.base_prefix).resolve())
    for path in ("/usr/local/bin/python3", "/usr/bin/python3"):
        yield path, ()


def _beside(prefix: Path) -> tuple[str, ...]:
    return () if prefix == Path("/usr") or Path("/usr") in prefix.parents else (str(prefix),)


def _is_reachable(path: str) -> bool:
    """Tell whether a job's user gets to a program: as root that is somebody else."""
    if os.getuid() != 0:
        return os.access(path, os.X_OK)
    program = Path(path)
    try:
        return all(one.stat().st_mode & 0o001 for one in (program, *program.resolve().parents))
    except OSError:
        return False
