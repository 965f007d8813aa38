"""The regular expressions that come from outside: which are taken, and what one unrolls to. Pure.

Accepted is what every engine behind the kernel compiles to the same language: literals, classes, groups,
choices, repetitions and the flags `i` and `s`. Look-around, back-references, boundaries, class arithmetic
and flags that change how the text itself is read are refused, since engines ignore them, read them
differently or go on without any constraint. The scan is one pass without recursion, so that judging costs
no more than reading.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_PATTERN_BYTES: Final = 4_096
"""Longest regular expression. Unit: bytes of UTF-8."""
MAX_PATTERN_COST: Final = 10_000
"""Most states that one expression may unroll to: `[a-z]{4000}` passes, `([a-z]{100}){100}` does not."""
MAX_GROUPS: Final = 64
"""Deepest nesting of groups."""

_SHORTHAND: Final = "dDwWsS"
_BOUNDARIES: Final = "bBAzZG<>"
_CONTROL: Final = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_ESCAPABLE: Final = frozenset("!\"#$%&'()*+,-./:;=?@[\\]^_`{|}~ ")
_HEX: Final = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|[xu]\{([0-9A-Fa-f]{1,6})\}")
_PROPERTY: Final = re.compile(r"[pP](?:[A-Z]|\{\^?[A-Za-z0-9_=:]{1,40}\})")
_REPEAT: Final = re.compile(r"\{([0-9]{1,9})(,)?([0-9]{1,9})?\}")
_GROUP: Final = re.compile(r"\((?:\?(?::|P?<[A-Za-z_][A-Za-z0-9_]{0,31}>|[is]{1,2}:)|(?!\?))")
_FLAGS: Final = re.compile(r"\(\?[is]{1,2}\)")

_PLAIN_COST: Final = 1
_CLASS_COST: Final = 2
_UNICODE_COST: Final = 80
"""A class of Unicode letters becomes an automaton of its own."""
_MEMBERS_PER_STATE: Final = 8
_ASCII: Final = 128
_SURROGATES: Final = range(0xD800, 0xE000)
_LAST_CHARACTER: Final = 0x10FFFF


class BadRegex(ValueError):
    """The regular expression is malformed, uses more than is supported, or unrolls to too much."""


class UnsupportedRegex(BadRegex):
    """The regular expression uses syntax that engines read differently or not at all."""


def regex_cost(pattern: str, *, whole: bool) -> int:
    """Return how many states a regular expression unrolls to, repetitions multiplied.

    whole: it describes a whole text, so `^` may only open it and `$` only close it. Otherwise it is
    searched for, and both may stand anywhere. Raises BadRegex.
    """
    if len(pattern.encode(errors="replace")) > MAX_PATTERN_BYTES:
        raise BadRegex(f"it is longer than {MAX_PATTERN_BYTES} bytes")
    return _Scan(pattern, whole=whole).cost()


@dataclass(slots=True)
class _Level:
    """What is open at one depth of groups."""

    closed: int = 0
    """Cost of what nothing can be repeated of any more: earlier atoms and earlier branches."""
    atom: int | None = None
    """Cost of the last atom, which a repetition may still multiply; None where there is none."""

    def push(self, atom: int | None) -> None:
        self.closed += self.atom or 0
        self.atom = atom


class _Scan:
    def __init__(self, pattern: str, *, whole: bool) -> None:
        self._text = pattern
        self._whole = whole
        self._at = 0
        self._levels = [_Level()]

    def cost(self) -> int:
        if flags := _FLAGS.match(self._text):
            self._at = flags.end()
        first = self._at
        while self._at < len(self._text):
            self._step(first)
        if len(self._levels) > 1:
            raise BadRegex("a group is not closed")
        self._levels[0].push(None)
        return 1 + self._levels[0].closed

    def _step(self, first: int) -> None:
        character, level = self._text[self._at], self._levels[-1]
        if character == "(":
            self._open()
        elif character == ")":
            self._close()
        elif character == "|":
            level.push(None)
            level.closed += 1
            self._at += 1
        elif character in "*+?{":
            self._repeat(level)
        elif character in "^$":
            self._anchor(character, first)
        else:
            level.push(self._atom(character))

    def _open(self) -> None:
        group = _GROUP.match(self._text, self._at)
        if group is None:
            raise UnsupportedRegex("only plain groups, named groups and the flags i and s are supported")
        if len(self._levels) > MAX_GROUPS:
            raise BadRegex(f"groups are nested deeper than {MAX_GROUPS} levels")
        self._levels.append(_Level())
        self._at = group.end()

    def _close(self) -> None:
        if len(self._levels) == 1:
            raise BadRegex("a group is closed that was not opened")
        inner = self._levels.pop()
        inner.push(None)
        self._levels[-1].push(1 + inner.closed)
        self._at += 1

    def _anchor(self, character: str, first: int) -> None:
        place = first if character == "^" else len(self._text) - 1
        if self._whole and self._at != place:
            raise BadRegex(f"{character} is supported at the {'start' if character == '^' else 'end'} only")
        self._levels[-1].push(None)
        self._at += 1

    def _repeat(self, level: _Level) -> None:
        if level.atom is None:
            raise BadRegex("there is nothing to repeat")
        # Repeated once more than its least number of times, what has no upper bound loops.
        times = {"*": 1, "+": 2, "?": 1}.get(self._text[self._at])
        if times is None:
            times = self._counted()
        else:
            self._at += 1
        level.closed += _bounded(level.atom * max(times, 1) + 1)
        level.atom = None  # a repetition of a repetition needs a group
        _bounded(level.closed)
        if self._text.startswith("?", self._at):  # lazy: the same language
            self._at += 1

    def _counted(self) -> int:
        found = _REPEAT.match(self._text, self._at)
        if found is None or (found[3] and not found[2]):
            raise BadRegex("a repetition is malformed; write \\{ for a brace")
        self._at = found.end()
        least = int(found[1])
        most = int(found[3]) if found[3] else least + (1 if found[2] else 0)
        if most < least:
            raise BadRegex("a repetition has its bounds the wrong way round")
        return most

    def _atom(self, character: str) -> int:
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()[0]
        self._at += 1
        return _CLASS_COST if character == "." else _PLAIN_COST

    def _escape(self) -> tuple[int, int | None]:
        """Read an escape. Returns its cost, and its character where it stands for exactly one."""
        start = self._at + 1
        letter = self._text[start : start + 1]
        if found := _HEX.match(self._text, start):
            code = int(found[1] or found[2] or found[3], 16)
            if code > _LAST_CHARACTER or code in _SURROGATES:
                raise BadRegex("an escape names no character")
            self._at = found.end()
            return _PLAIN_COST, code
        if found := _PROPERTY.match(self._text, start):
            self._at = found.end()
            return _UNICODE_COST, None
        self._at = start + 1
        if letter and letter in _SHORTHAND:
            return _CLASS_COST, None
        if letter and letter in _CONTROL:
            return _PLAIN_COST, _CONTROL[letter]
        if letter and letter in _ESCAPABLE:
            return _PLAIN_COST, ord(letter)
        if letter and letter in _BOUNDARIES:
            raise UnsupportedRegex("boundaries are not supported")
        raise UnsupportedRegex(f"the escape \\{letter} is not supported")

    def _class(self) -> int:
        self._at += 2 if self._text.startswith("[^", self._at) else 1
        if self._text.startswith("]", self._at):  # empty for some engines, a bracket for others
            raise BadRegex("a class is empty; write \\] for a bracket")
        members = unicode = 0
        while not self._text.startswith("]", self._at):
            cost, low = self._member()
            high = low
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                _, high = self._member()
                if low is None or high is None or high < low:
                    raise BadRegex("a range of a class is malformed")
            members += 1
            unicode += cost >= _UNICODE_COST or (high or 0) >= _ASCII
        self._at += 1
        return _CLASS_COST + members // _MEMBERS_PER_STATE + _UNICODE_COST * unicode

    def _member(self) -> tuple[int, int | None]:
        if self._at >= len(self._text):
            raise BadRegex("a class is not closed")
        if self._text.startswith(("[", "&&", "--", "~~"), self._at):
            raise UnsupportedRegex("classes inside classes are not supported; write \\[ for a bracket")
        if self._text[self._at] == "\\":
            return self._escape()
        self._at += 1
        return _PLAIN_COST, ord(self._text[self._at - 1])


def _bounded(cost: int) -> int:
    if cost > MAX_PATTERN_COST:
        raise BadRegex(f"it unrolls to more than {MAX_PATTERN_COST} states")
    return cost
