"""`aios trace`: the syscalls of one agent as they happen; without one, who waited, ran and was switched."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aios.cli import session, terminal

if TYPE_CHECKING:
    from aios.cli.timeline import Timeline

NARROWEST = 20
BESIDE_THE_CHART = 56
"""Columns that the sums beside a chart need, about."""

STYLES = {"█": "green", "▒": "red", "░": "yellow"}


def trace(
    of: Annotated[
        str, typer.Argument(metavar="agent", help="Show each syscall of this agent as it happens.")
    ] = "",
    *,
    tree: Annotated[bool, typer.Option("--tree", "-t", help="Those of all agents below it, too.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only syscalls that failed.")] = False,
    duration: Annotated[
        float | None, typer.Option("--seconds", "-s", min=0.0, help="How long; default: until Ctrl-C.")
    ] = None,
    agent: Annotated[str, typer.Option("--agent", "-a", help="Record only this agent and those below.")] = "",
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File for chrome://tracing and ui.perfetto.dev.")
    ] = Path("trace.json"),
    chart: Annotated[
        Path | None, typer.Option("--chart", help="Draw a picture too: a .png or .svg file.")
    ] = None,
) -> None:
    """Show each syscall of an agent as it happens; without one record what the scheduler does.

    That is who waits, who runs and who is switched, as a chart and as a file for ui.perfetto.dev.
    """
    if of:
        from aios.cli import syscalls  # noqa: PLC0415  # keeps `aios --help` quick

        syscalls.follow(of, tree=tree, duration=duration, failed=failed)
        return
    if tree or failed:
        raise typer.BadParameter("--tree and --failed are for the syscalls of an agent: name it")
    from aios.cli import timeline as lines  # noqa: PLC0415  # keeps `aios --help` quick
    from aios.cli.recording import Recording  # noqa: PLC0415  # same

    if chart is not None:
        check_chart(chart)
    make_room(out, chart)
    recording = Recording()
    try:
        session.call(lambda kernel: recording.follow(kernel, agent=agent, duration=duration))
    except typer.Exit as ended:
        if ended.exit_code != session.INTERRUPTED:
            raise
    timeline = recording.timeline()
    out.expanduser().write_text(json.dumps(lines.chrome_trace(timeline)), encoding="utf-8")
    if chart is not None:
        from aios.cli import trace_chart  # noqa: PLC0415  # drawing is heavy, and optional

        trace_chart.draw(timeline, chart.expanduser())
    told = {"out": str(out), "seconds": timeline.length, "agents": lines.agent_rows(timeline, NARROWEST)}
    session.emit(told, lambda: _show(timeline, out))


def make_room(*files: Path | None) -> None:
    """Make the directories of files that are written in the end; end the program where that cannot be."""
    for file in files:
        if file is None:
            continue
        try:
            file.expanduser().absolute().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f"cannot make the directory of {file}: {error.strerror}") from None


def check_chart(path: Path) -> None:
    """End the program when a picture could not be drawn in the end."""
    from importlib.util import find_spec  # noqa: PLC0415  # keeps `aios --help` quick

    if path.suffix not in {".png", ".svg"}:
        raise typer.BadParameter(f"say a .png or .svg file, not {path.name!r}", param_hint="--chart")
    if find_spec("matplotlib") is None:
        raise typer.BadParameter("drawing needs matplotlib: pip install matplotlib", param_hint="--chart")


def _show(timeline: "Timeline", out: Path) -> None:
    from rich.table import Table  # noqa: PLC0415  # keeps `aios --help` quick
    from rich.text import Text  # noqa: PLC0415  # same

    from aios.cli.timeline import CELLS, agent_rows  # noqa: PLC0415  # same

    console = terminal.console()
    width = max(NARROWEST, console.width - BESIDE_THE_CHART)
    grid = Table(box=None, pad_edge=False)
    for column in ("AGENT", session.seconds(timeline.length), "CALLS", "WAITED", "RAN", "SWITCHED"):
        grid.add_column(column, no_wrap=True)
    for row in agent_rows(timeline, width):
        cells = Text()
        for cell in row.cells:
            cells.append(cell, STYLES.get(cell))
        sums = (row.calls, session.seconds(row.waited), session.seconds(row.ran), row.switches)
        grid.add_row(terminal.line(row.agent), cells, *(str(each) for each in sums))
    if timeline.spans:
        console.print(grid)
        console.print("   ".join(f"{cell} {kind}" for kind, cell in CELLS.items()))
    else:
        console.print("nothing happened")
    console.print(f"wrote {out}: open it at https://ui.perfetto.dev")
