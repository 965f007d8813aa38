"""Finds the strings that end an answer in a text that comes piece by piece. Pure.

Which string is found, and where, depends on the text alone, not on how it is cut into pieces. Each string has
its own automaton (Knuth, Morris and Pratt), so that a character costs about the same whatever came before:
both the strings and, by way of the model, the text are an agent's choice.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

LONG_PIECE: Final = 256
"""Characters from which a piece is searched as a whole first. Tokens are shorter; what a caller brings to go
on with comes as one piece and may have a million."""


class Match(NamedTuple):
    """A stop string that was met."""

    stop: str
    behind: int
    """Characters of the last piece that lie behind its end."""


class StopStrings:
    """Watches for the first of some strings to be complete; of several that end together, the longest."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(dict.fromkeys(stops))
        self._firsts = frozenset(stop[0] for stop in self._stops)
        self._longest = max(map(len, self._stops), default=0)
        self._borders: list[list[int]] = []
        """Made with the first piece: a call that only waits needs none."""
        self._lengths = [0] * len(self._stops)
        """Per string, how much of its beginning the text ends with."""
        self.pending = 0
        """Characters at the end of the text that may begin a string."""

    def feed(self, piece: str) -> Match | None:
        """Take more text; nothing may follow once a string was met."""
        if not self.pending and self._firsts.isdisjoint(piece):
            return None
        if not self._borders:
            self._borders = [_borders(stop) for stop in self._stops]
        return self._search(piece) if len(piece) >= LONG_PIECE else self._walk(piece)

    def _walk(self, piece: str) -> Match | None:
        for number, char in enumerate(piece, 1):
            met = [stop for at, stop in enumerate(self._stops) if self._step(at, stop, char)]
            if met:
                return Match(max(met, key=len), len(piece) - number)
        self.pending = max(self._lengths)
        return None

    def _step(self, at: int, stop: str, char: str) -> bool:
        """Move one automaton on by a character; whether its string is complete."""
        length = self._lengths[at]
        while length and stop[length] != char:
            length = self._borders[at][length - 1]
        self._lengths[at] = length = length + (stop[length] == char)
        return length == len(stop)

    def _search(self, piece: str) -> Match | None:
        """Do as `_walk` does, with as few steps in Python as the longest string has characters."""
        begun = next(
            (s[:n] for s, n in zip(self._stops, self._lengths, strict=True) if n == self.pending), ""
        )
        text = begun + piece
        found = [(at + len(stop), -len(stop), stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            end, _, stop = min(found)
            return Match(stop, len(text) - end)
        # Only the newest characters can be part of what is still to come.
        self._lengths = [0] * len(self._stops)
        return self._walk(text[-self._longest :])


def _borders(text: str) -> list[int]:
    """Return for each beginning of `text` the longest shorter one that it ends with."""
    borders, length = [0], 0
    for char in text[1:]:
        while length and text[length] != char:
            length = borders[length - 1]
        length += text[length] == char
        borders.append(length)
    return borders
