"""Draws a timeline with matplotlib, which is not a dependency: import this only when a picture is wanted."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from aios.cli.timeline import Timeline

COLOURS = {"waiting": "#f2c14e", "running": "#3a7d44", "stopping": "#b23a48"}
ROW_HEIGHT = 0.8
INCHES_PER_CALL = 0.22


def draw(timeline: Timeline, path: Path) -> None:
    """Draw one line per call, agent by agent, into a .png or .svg file."""
    calls = sorted(dict.fromkeys(span.call for span in timeline.spans), key=_agent_first)
    row = {call: number for number, call in enumerate(calls)}
    figure = Figure(figsize=(12, 1.5 + INCHES_PER_CALL * len(calls)), layout="constrained")
    axes = figure.add_subplot()
    for kind, colour in COLOURS.items():
        for span in timeline.spans:
            if span.kind == kind:
                bottom = row[span.call] - ROW_HEIGHT / 2
                axes.broken_barh([(span.start, span.end - span.start)], (bottom, ROW_HEIGHT), color=colour)
    axes.set_yticks(range(len(calls)), [call.removeprefix("agents/") for call in calls], fontsize=7)
    axes.set_ylim(len(calls) - 0.5, -0.5)
    axes.set_xlim(0, max(timeline.length, 1e-6))
    axes.set_xlabel(f"seconds since {timeline.start.isoformat(timespec='seconds')}")
    axes.legend(
        handles=[Patch(color=colour, label=kind) for kind, colour in COLOURS.items()], loc="lower right"
    )
    figure.savefig(path)


def _agent_first(call: str) -> tuple[str, ...]:
    return tuple(call.split("/"))
