"""Shows the agents at work: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aios.cli import terminal
from launcher.demo.stage import Act

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS: Mapping[str, int] = {
    "agent": 7,
    "role": 13,
    "state": 10,
    "right": 5,
    "wait s": 6,
    "tokens": 6,
    "preempted": 9,
}
"""Columns that are never cut, with the least width of each; the last answer takes what is left."""


class Board:
    """A table that follows the acts. `calls` tells, by agent, what the scheduler says of its call.

    `seconds`: how long it took, where all is over.
    """

    def __init__(
        self, acts: Sequence[Act], console: "Console", title: str, *, seconds: float | None = None
    ) -> None:
        self.calls: dict[str, str] = {}
        self._acts = acts
        self._title = title
        self._last: dict[str, str] = {}
        self._notes: list[str] = []
        self._began = time.monotonic()
        self._seconds = seconds
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def changed(self, act: Act, what: str) -> None:
        """Note what an agent did."""
        self._last[act.cast.name] = what

    def note(self, text: str) -> None:
        """Say something about all of them, below the table."""
        self._notes.append(text)

    def render(self) -> Group:
        """Draw the table as things stand."""
        seconds = time.monotonic() - self._began if self._seconds is None else self._seconds
        title = f"{terminal.line(self._title)}, {seconds:.0f} s"
        table = Table(
            title=title,
            expand=True,
            box=box.SIMPLE_HEAD,
            title_justify="left",
            pad_edge=False,
            collapse_padding=True,
        )
        for name, width in _COLUMNS.items():
            table.add_column(name, no_wrap=True, min_width=max(width, len(name)))
        table.add_column("last", no_wrap=True, overflow="ellipsis", ratio=1)
        for act in self._acts:
            self._add(table, act)
        return Group(table, *(terminal.line(note) for note in self._notes))

    def _add(self, table: Table, act: Act) -> None:
        right = sum(done.right for done in act.done)
        state = self.calls.get(act.name, act.state) if act.state == "works" else act.state
        last = self._last.get(act.cast.name, act.done[-1].answer if act.done else "")
        table.add_row(
            act.cast.name,
            act.cast.role,
            Text(state, style=_STYLES.get(state, "")),
            f"{right}/{len(act.cast.tasks)}",
            f"{sum(act.waits):.2f}",
            str(act.tokens),
            str(act.preemptions),
            terminal.line(last),
        )


class Lines:
    """Prints one line per event, or with `quiet` only what is about all of them."""

    def __init__(self, console: "Console", *, quiet: bool = False) -> None:
        self.calls: dict[str, str] = {}
        self._console = console
        self._quiet = quiet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def changed(self, act: Act, what: str) -> None:
        """Print what an agent did."""
        if not self._quiet:
            self._console.print(terminal.line(f"{act.cast.name:<8} {what}"), soft_wrap=True)

    def note(self, text: str) -> None:
        """Print what is about all of them."""
        self._console.print(terminal.line(text), soft_wrap=True)


_STYLES: Mapping[str, str] = {"waiting": "yellow", "running": "green", "preempting": "magenta", "done": "dim"}
