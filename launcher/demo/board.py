"""Shows the agents at work: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aios.cli import terminal
from launcher.demo.stage import Act

if TYPE_CHECKING:
    from rich.console import Console

_LAST_LINE = 44


class Board:
    """A table that follows the acts. `calls` tells, by agent, what the scheduler says of its call."""

    def __init__(
        self, acts: Sequence[Act], console: "Console", policy: str, *, began: float | None = None
    ) -> None:
        self.calls: dict[str, str] = {}
        self._acts = acts
        self._policy = policy
        self._last: dict[str, str] = {}
        self._began = time.monotonic() if began is None else began
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def changed(self, act: Act, what: str) -> None:
        """Note what an agent did."""
        self._last[act.cast.name] = what

    def _last_of(self, act: Act) -> str:
        return self._last.get(act.cast.name, act.done[-1].answer if act.done else "")

    def render(self) -> Group:
        """Draw the table as things stand."""
        seconds = time.monotonic() - self._began
        title = f"AIOS demo, {seconds:.0f} s, policy {self._policy}"
        table = Table(title=title, expand=False)
        for name in ("agent", "role", "state", "tasks", "wait s", "tokens", "preempted", "last"):
            table.add_column(name, no_wrap=True)
        for act in self._acts:
            right = sum(done.right for done in act.done)
            state = self.calls.get(act.cast.name, act.state) if act.state == "works" else act.state
            table.add_row(
                act.cast.name,
                act.cast.role,
                Text(state, style=_STYLES.get(state, "")),
                f"{right}/{len(act.cast.tasks)}",
                f"{sum(act.waits):.2f}",
                str(act.tokens),
                str(act.preemptions),
                terminal.line(self._last.get(act.cast.name, act.done[-1].answer if act.done else ""))[
                    :_LAST_LINE
                ],
            )
        return Group(table)


class Lines:
    """Prints one line per event."""

    def __init__(self, console: "Console") -> None:
        self.calls: dict[str, str] = {}
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def changed(self, act: Act, what: str) -> None:
        """Print what an agent did."""
        self._console.print(terminal.line(f"{act.cast.name:<8} {what}"), soft_wrap=True)


_STYLES: Mapping[str, str] = {"waiting": "yellow", "running": "green", "preempting": "magenta", "done": "dim"}
