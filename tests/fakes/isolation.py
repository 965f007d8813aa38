"""Real sandboxes for tests, at each level that this machine has."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from services.chassis.isolation import processes
from services.chassis.isolation.confined import LAUNCHER
from services.chassis.isolation.means import Means
from services.chassis.isolation.sandbox import ProcessSandbox, Settings
from services.chassis.sandbox.port import Sandbox
from services.chassis.sandbox.terms import Limits, SandboxEnd, SandboxJob, SandboxLevel

LEVELS: Final = (SandboxLevel.NAMESPACES, SandboxLevel.LANDLOCK, SandboxLevel.SINGLE)
MANY: Final = Limits(wall_seconds=20.0, cpu_seconds=20.0)


_missing: dict[str, str] = {}
_proven: dict[str, Means] = {}


async def missing(level: str) -> str:
    """Return why this machine has no sandbox of a level; empty: it has. Tried by a real start, once."""
    if level not in _missing:
        sandbox = ProcessSandbox(Settings(level=level))
        await sandbox.test()
        _missing[level] = sandbox.problem
        if sandbox._means is not None:
            _proven[level] = sandbox._means
        await sandbox.close()
    return _missing[level]


async def need(level: str) -> None:
    """Skip a test for which this machine has no sandbox of a level; fail if AIOS_REQUIRE_SANDBOX names it."""
    if why := await missing(level):
        if level in os.environ.get("AIOS_REQUIRE_SANDBOX", "").split(","):
            pytest.fail(f"no sandbox of the level {level}: {why}")
        pytest.skip(f"this machine has no sandbox of the level {level or 'any'}: {why}")


@asynccontextmanager
async def isolated(level: str = "", **settings: Any) -> AsyncIterator[ProcessSandbox]:
    """Yield a tested sandbox, and see that nothing of it is left. One that was tested here is not again."""
    others = set(await children())  # such as the database that other tests of this process share
    sandbox = ProcessSandbox(replace(Settings(level=level), **settings))
    if level in _proven and not settings.keys() & {"launcher", "python"}:
        sandbox._means, sandbox._problem = _proven[level], ""
        sandbox._tested.set()
    else:
        await sandbox.test()
    try:
        yield sandbox
    finally:
        await sandbox.close()
    assert set(await children()) <= others


async def children() -> list[int]:
    """Return the processes that live below this one: of a sandbox, when nothing else was started."""
    rows = await asyncio.to_thread(processes.table)
    return sorted(pid for pid in processes.descendants(rows, os.getpid(), None) if not rows[pid].zombie)


def alive(argument: str) -> list[int]:
    """Return the processes of the machine that live and have an argument. Blocks."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if argument.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


async def python(sandbox: Sandbox, source: str, **fields: Any) -> SandboxEnd:
    """Run a piece of Python."""
    return await sandbox.run(SandboxJob(argv=(), python=source, **fields))


async def shell(sandbox: Sandbox, command: str, **fields: Any) -> SandboxEnd:
    """Run a command."""
    return await sandbox.run(SandboxJob(argv=("/bin/sh", "-c", command), **fields))


def launcher(directory: Path, changes: str) -> Path:
    """Return the launcher with some lines that are run before it begins: they take a layer out."""
    made = directory / "launcher.py"
    text = LAUNCHER.read_text()
    begin = 'if __name__ == "__main__":\n'
    assert begin in text
    made.write_text(text.replace(begin, f"{changes}\n\n{begin}"))
    return made
