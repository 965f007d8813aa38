"""Draws a timeline with matplotlib, which is not a dependency: import this only when a picture is wanted."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from aios.cli.timeline import Span, Timeline, chart_rows, row_labels

COLOURS = {"waiting": "#f2c14e", "running": "#3a7d44", "stopping": "#b23a48"}
SWITCH = "#b23a48"
ROW_HEIGHT = 0.8
INCHES_PER_ROW = 0.3


def draw(timeline: Timeline, path: Path, *, title: str = "") -> None:
    """Draw who waited and ran, agent by agent, into a .png or .svg file; a red tick is a switch."""
    rows = chart_rows(timeline)
    figure = Figure(figsize=(12, 1.6 + INCHES_PER_ROW * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for number, (_, spans) in enumerate(rows):
        _draw_row(axes, number, spans)
    axes.set_yticks(range(len(rows)), row_labels([agent for agent, _ in rows]), fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, max(timeline.length, 1e-6))
    axes.set_xlabel(f"seconds since {timeline.start.isoformat(timespec='seconds')}")
    if title:
        axes.set_title(title, fontsize=10)
    handles = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles), fontsize=8)
    figure.savefig(path)


def _draw_row(axes: Axes, number: int, spans: list[Span]) -> None:
    bottom = number - ROW_HEIGHT / 2
    for kind, colour in COLOURS.items():
        lengths = [(span.start, span.end - span.start) for span in spans if span.kind == kind]
        axes.broken_barh(lengths, (bottom, ROW_HEIGHT), color=colour, linewidth=0)
    switches = [span.end for span in spans if span.ended_by == "yielded"]
    axes.vlines(switches, bottom, bottom + ROW_HEIGHT, color=SWITCH, linewidth=1)
