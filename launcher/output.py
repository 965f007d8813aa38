"""Prints what the processes of a kernel write, each line with its process in front."""

from collections.abc import Sequence

from aios.cli import terminal
from launcher.logs import Line

_COLOURS = ("36", "32", "33", "35", "34", "96", "92", "95")


class Printer:
    """Prints lines of many processes: for a person as text, for a program as they were written."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max(map(len, names))
        coloured = terminal.is_coloured()
        self._colours = dict(zip(names, _COLOURS * len(names), strict=False)) if coloured else {}
        self._to_person = terminal.is_terminal()

    def show(self, line: Line) -> None:
        """Print one line; of an event with a traceback each of its lines."""
        label = f"{line.process:<{self._width}} |"
        for text in (line.shown() if self._to_person else line.text).split("\n"):
            terminal.labelled(label, text, self._colours.get(line.process, ""))
