"""Patterns over paths, matched in time proportional to the length of the path.

A regular expression with many stars backtracks for ages; this is the bit-parallel simulation of the automaton
(Baeza-Yates and Gonnet, "A New Approach to Text Searching", CACM 35 (1992)): bit i means "the first i tokens
match".
"""

import re
from typing import Final

_TOKEN: Final = re.compile(r"\*+|.", re.DOTALL)


class Pattern:
    """A compiled pattern: `*` any characters but `/`, `**` any characters, `?` one character but `/`.

    The empty pattern matches everything.
    """

    def __init__(self, pattern: str) -> None:
        self._literal: dict[str, int] = {}
        self._within = 0  # tokens `*`, which stay on every character but a slash
        self._across = 0  # tokens `**`, which stay on every character
        self._single = 0  # tokens `?`
        tokens = _TOKEN.findall(pattern or "**")
        for at, sign in enumerate(tokens):
            bit = 1 << at
            if sign[0] == "*":
                self._within |= bit if sign == "*" else 0
                self._across |= 0 if sign == "*" else bit
            elif sign == "?":
                self._single |= bit
            else:
                self._literal[sign] = self._literal.get(sign, 0) | bit
        self._accept = 1 << len(tokens)

    def matches(self, path: str) -> bool:
        """Tell whether the whole path matches."""
        stars = self._within | self._across
        state = 1 | (1 & stars) << 1
        for character in path:
            slash = character == "/"
            stay = state & (self._across if slash else stars)
            step = self._literal.get(character, 0) | (0 if slash else self._single)
            state = stay | (state & step) << 1
            state |= (state & stars) << 1  # a star also matches nothing; no two stars are neighbours
            if not state:
                return False
        return bool(state & self._accept)
