"""`aios logs`, `aios status` and `aios down`: for the kernel that `aios up` runs on this machine."""

import asyncio
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from aios import _settings
from aios.cli import session, terminal
from launcher.logs import LEVELS, Follower, Line, kept, last, matters
from launcher.output import Printer
from launcher.running import RunningKernel, end, running

DOWN_SECONDS = 90.0
"""Longest time that a kernel gets to stop: each of its processes has 15 s before it is killed."""
NOT_RUNNING = 3
"""Exit status of `aios status` when no kernel runs, as systemctl has it."""

DataDir = Annotated[
    Path | None,
    typer.Option(envvar="AIOS_DATA_DIR", help="The kernel's data directory. Default: ~/.aios."),
]


def _directory(given: Path | None) -> Path:
    return (given or _settings.data_dir()).expanduser().absolute()


def _found(data_dir: Path) -> RunningKernel | None:
    with session.handled():
        return running(data_dir)


def logs(
    process: Annotated[
        list[str] | None, typer.Argument(help="Only these processes, such as gateway; default: all.")
    ] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Newest lines to begin with.", min=0)] = 50,
    level: Annotated[str, typer.Option(help=f"Least important level: {', '.join(LEVELS)}.")] = "info",
    data_dir: DataDir = None,
) -> None:
    """Show what the processes of the kernel on this machine write, also of one that has ended."""
    directory = _directory(data_dir)
    if level not in LEVELS:
        raise typer.BadParameter(f"{level!r} is none of {', '.join(LEVELS)}", param_hint="--level")
    files = kept(directory)
    if not files:
        terminal.err(f"aios logs: no kernel has run on {directory}: start one with `aios up`")
        raise typer.Exit(1)
    unknown = [name for name in process or () if name not in files]
    if unknown:
        raise typer.BadParameter(f"no process {unknown[0]!r}; there are {', '.join(files)}")
    chosen = {name: path for name, path in files.items() if name in (process or files)}
    printer = Printer(list(chosen))
    with session.handled(), closing(Follower(chosen)) as follower:
        for line in last(chosen, lines, level):
            _show(printer, line)
        if follow:
            for line in follower.lines():
                if matters(line, level):
                    _show(printer, line)


def _show(printer: Printer, line: Line) -> None:
    if session.options.get().as_json:
        session.emit({"process": line.process, "line": line.told or line.text}, lambda: None)
    else:
        printer.show(line)


def status(data_dir: DataDir = None) -> None:
    """Say whether a kernel runs on this machine, where, and how each of its processes stands."""
    directory = _directory(data_dir)
    kernel = _found(directory)
    if kernel is None:
        told = {"running": False, "data_dir": str(directory)}
        session.emit(told, lambda: session.say(f"no kernel runs on {directory}: start one with `aios up`"))
        raise typer.Exit(NOT_RUNNING)
    lacking = asyncio.run(_lacking(kernel))
    told = {"running": True, "data_dir": str(directory), "kernel": kernel, "lacking": lacking}
    session.emit(told, lambda: _standing(kernel, lacking, directory))
    raise typer.Exit(1 if any(lacking.values()) else 0)


async def _lacking(kernel: RunningKernel) -> dict[str, list[str]]:
    """Return what each process that is not ready lacks."""
    from launcher.supervisor import lacks_of  # noqa: PLC0415  # aiohttp, which `aios down` need not load

    found = await lacks_of(kernel.ready_urls)
    return {name: sorted(lacks) for name, lacks in found.items()}


def _standing(kernel: RunningKernel, lacking: dict[str, list[str]], directory: Path) -> None:
    since = datetime.fromtimestamp(kernel.started, UTC).astimezone()
    session.say(
        f"up at {kernel.gateway} for {_span(time.time() - kernel.started)}, since {since:%Y-%m-%d %H:%M:%S}"
    )
    session.say(f"HTTP at {kernel.door}; data in {directory}; supervisor is process {kernel.pid}")
    rows = [
        (
            name,
            f"lacks {', '.join(lacking[name])}" if lacking.get(name) else "ready",
            kernel.pids.get(name, "-"),
            kernel.restarts.get(name, 0),
        )
        for name in kernel.ready_urls
    ]
    session.table(("process", "state", "pid", "restarts"), rows)


def _span(seconds: float) -> str:
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86_400
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes:.0f} min"
    return f"{hours:.1f} h" if days < 1 else f"{days:.1f} days"


def down(data_dir: DataDir = None) -> None:
    """End the kernel that runs on this machine, cleanly; its data stays."""
    directory = _directory(data_dir)
    kernel = _found(directory)
    if kernel is None:
        told = {"ended": False, "data_dir": str(directory)}
        session.emit(told, lambda: session.say(f"no kernel runs on {directory}"))
        return
    with session.handled():
        try:
            gone = end(directory, kernel, DOWN_SECONDS)
        except PermissionError:
            terminal.err(f"aios down: the kernel is another user's: process {kernel.pid}")
            raise typer.Exit(1) from None
    if not gone:
        terminal.err(f"aios down: process {kernel.pid} has not ended within {DOWN_SECONDS:.0f} s")
        raise typer.Exit(1)
    session.emit(
        {"ended": True, "kernel": kernel}, lambda: session.say(f"the kernel at {kernel.gateway} has ended")
    )
