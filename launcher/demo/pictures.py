"""What the demo leaves behind: the table as SVG, the chart of who waited and ran, a trace."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aios.cli import terminal
from aios.cli.timeline import Timeline, chrome_trace
from launcher.demo.board import Board

PICTURE_COLUMNS = 124


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """Files that the demo leaves behind, in directories that are there; None: not wanted."""

    table: Path | None = None
    """The last table and what was told below it, as SVG."""

    chart: Path | None = None
    """Who waited, ran and was switched, by agent, as PNG or SVG."""

    trace: Path | None = None
    """The same for ui.perfetto.dev, as JSON."""


def draw(timeline: Timeline, outputs: Outputs, title: str) -> list[str]:
    """Leave the chart and the trace behind; returns what to say about them."""
    told = []
    if outputs.trace is not None:
        outputs.trace.expanduser().write_text(json.dumps(chrome_trace(timeline)), encoding="utf-8")
        told.append(f"trace      {outputs.trace} (open it at https://ui.perfetto.dev)")
    if outputs.chart is not None:
        from aios.cli import trace_chart  # noqa: PLC0415 - drawing is heavy, and optional

        trace_chart.draw(timeline, outputs.chart.expanduser(), title=title)
        told.append(f"chart      {outputs.chart}")
    return told


def paint(board: Board, below: Sequence[str], picture: Path, command: str) -> None:
    """Save the table of a round and the lines below it as SVG."""
    canvas = terminal.console(record=True, width=PICTURE_COLUMNS, file=io.StringIO(), force_terminal=True)
    canvas.print(board.render())
    canvas.print("\n".join(below))
    # The stock fonts would be fetched from elsewhere by whoever looks at the picture.
    drawn = re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", canvas.export_svg(title=command), flags=re.DOTALL)
    picture.expanduser().write_text(drawn, encoding="utf-8")
