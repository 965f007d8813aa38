"""Compares rounds of the same crowd: how long calls waited, and when the work was done. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from launcher.demo.stage import Act
from launcher.demo.summary import all_done, percentile

SAME: Final = 0.05
"""Figures that differ by less than this share are called the same: two runs of one way differ by as much."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One way of sharing the model. Unit of times: seconds."""

    way: str
    waits: Sequence[float]
    turnarounds: Sequence[float]
    seconds: float
    right: int
    tasks: int

    def row(self) -> tuple[str, ...]:
        """Write it out under HEADER."""
        p50, p99 = (f"{percentile(self.waits, share):.2f} s" for share in (0.5, 0.99))
        t50, t99 = (f"{percentile(self.turnarounds, share):.2f} s" for share in (0.5, 0.99))
        return self.way, p50, p99, t50, t99, f"{self.seconds:.1f} s", f"{self.right}/{self.tasks}"


HEADER: Final = (
    "the same crowd",
    "wait p50",
    "p99",
    "task p50",
    "p99",
    "all done",
    "right",
)


def figures(way: str, acts: Sequence[Act], seconds: float) -> Figures:
    """Add one round up."""
    done = all_done(acts)
    return Figures(
        way=way,
        waits=[wait for act in acts for wait in act.waits],
        turnarounds=[each.turnaround for each in done],
        seconds=seconds,
        right=sum(each.right for each in done),
        tasks=sum(len(act.cast.tasks) for act in acts),
    )


def table(ways: Sequence[Figures]) -> list[str]:
    """Write rows below one another, in columns."""
    rows = [HEADER, *(each.row() for each in ways)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return [
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def sentence(ours: Figures, other: Figures) -> str:
    """Compare two ways in a line, and say so where ours is the worse one."""
    parts = [
        _against("wait p50", percentile(ours.waits, 0.5), percentile(other.waits, 0.5)),
        _against("wait p99", percentile(ours.waits, 0.99), percentile(other.waits, 0.99)),
        _against("a task p50", percentile(ours.turnarounds, 0.5), percentile(other.turnarounds, 0.5)),
        _against("all done", ours.seconds, other.seconds),
    ]
    return f"{ours.way} against {other.way}: {', '.join(parts)}"


def _against(what: str, ours: float, other: float) -> str:
    if not other:
        return f"{what} {ours:.2f} s against none"
    ratio = ours / other
    verdict = " (worse)" if ratio > 1 + SAME else " (the same)" if ratio > 1 - SAME else ""
    return f"{what} {ratio:.2f} x{verdict}"
