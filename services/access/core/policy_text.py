"""Measures a Cedar text before the native parser sees it, and lists the @ids in it. Pure.

The native parser and validator recurse as deep as the text nests, and validating costs up to a
millisecond for each token. So every text is measured here first, whether it comes from a caller or from
the database: what is too large, too deep or too costly never reaches them. The lexer takes less than
Cedar's own does: a character it does not know is refused, so that nothing is hidden from the count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from services.access.errors import PolicyInvalid
from services.chassis.rpc.errors import FieldViolation, QuotaExceeded, QuotaViolation

_FIELD: Final = "policy.text"

MAX_BYTES: Final = 65_536
MAX_TOKENS: Final = 2_000
"""Of one text; comments and blanks are none. The costliest ones take the validator 1 ms each."""
MAX_POLICIES: Final = 64
MAX_DEPTH: Final = 32
"""Brackets of every kind inside one another; the native parser's stack ends between 400 and 800."""
MAX_OPERATIONS: Final = 256
"""Operators, member accesses, conditions and `if`s of one policy. Each may nest the next one inside itself,
without any bracket; evaluation gives up, and so refuses, between 1,000 and 2,000."""
MAX_UNARY: Final = 4
"""`!` and `-` in a row."""
MAX_MEMBERS: Final = 32
"""`.a.b.c` in a row: `has a.b.c` is parsed into one term for each beginning of the row."""
MAX_STRING: Final = 2_048
"""Bytes of one string."""
MAX_PATTERN: Final = 128
"""Bytes of what follows `like`: matching costs pattern times text at every decision."""

MAX_IN_FORCE: Final = 64
"""Policies that a tenant has in force."""
MAX_TOKENS_IN_FORCE: Final = 8_000
"""Of all policies that a tenant has in force: every decision pays for them."""
MAX_BYTES_IN_FORCE: Final = 131_072

MAX_ID: Final = 100
"""Characters of an @id."""

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+|//[^\r\n]*)
      |(?P<string>"(?:[^"\\]|\\[^\r\n])*")
      |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
      |(?P<number>[0-9]+)
      |(?P<mark>&&|\|\||[=!<>]=|::|[@(){}\[\],;:.<>+\-*!?])""",
    re.VERBOSE,
)
_CLOSES: Final = {"(": ")", "[": "]", "{": "}"}
_UNARY: Final = frozenset("!-")
_OPERATORS: Final = frozenset(("&&", "||", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "!"))
_OPERATIONS: Final = _OPERATORS | {".", "[", "in", "has", "like", "is", "if", "when", "unless"}


_EVADED: Final = (
    (
        " principal == Agent ::",
        "a forbid of one agent does not bind the agents below it: write principal in Agent::",
    ),
    (
        " principal in Group ::",
        "a forbid of a group does not bind the agents below its members: look at principal.tree_groups",
    ),
    (" . kind ", "agents choose their kind themselves: a rule by it binds nobody"),
)


@dataclass(frozen=True, slots=True)
class Outline:
    """What a text amounts to."""

    ids: tuple[str, ...]
    """The @id of every policy in it, in order; "" for one that has none."""
    tokens: int
    bytes: int
    words: str = ""
    """The tokens with a blank around each."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the policies of a tenant add to every decision."""

    policies: int = 0
    tokens: int = 0
    bytes: int = 0

    def plus(self, text: Outline, tenant: str) -> "Load":
        """Add a text. Raises QuotaExceeded when a tenant may not have that much in force."""
        sums = Load(self.policies + 1, self.tokens + text.tokens, self.bytes + text.bytes)
        for what, sum_, limit in (
            ("policies", sums.policies, MAX_IN_FORCE),
            ("tokens of policies", sums.tokens, MAX_TOKENS_IN_FORCE),
            ("bytes of policies", sums.bytes, MAX_BYTES_IN_FORCE),
        ):
            if sum_ > limit:
                said = f"{sum_} {what} would be in force, {limit} are allowed"
                raise QuotaExceeded(
                    said,
                    metadata={"quota": what, "wanted": str(sum_), "limit": str(limit)},
                    quota=QuotaViolation(f"tenants/{tenant}", said),
                )
        return sums


def outline(text: str) -> Outline:
    """Measure a text.

    Raises PolicyInvalid, whose metadata says the `offset` in bytes and, when the text passes a bound, the
    `bound` and its `limit`.
    """
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        raise _passed("bytes", MAX_BYTES, "the text is longer than {} bytes", 0)
    reader = _Reader(text)
    reader.read()
    return Outline(tuple(reader.ids), reader.tokens, size, f" {' '.join(reader.words)} ")


def evaded_forbids(text: Outline) -> list[str]:
    """Tell what forbids of a text are evaded by: agents register children at will, and say their kind."""
    return [why for part, why in _EVADED if " forbid " in text.words and part in text.words]


@dataclass(frozen=True, slots=True)
class Token:
    """One word, string, number or mark."""

    kind: str
    text: str
    start: int
    """Characters from the beginning of the text."""


class _Reader:
    """Counts the tokens of one text as it goes through them, and stops at the first that is too many."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[str] = []
        self._before: list[str] = ["", "", ""]  # the three tokens before this one
        self._operations = 0  # of this policy
        self._unary = 0  # in a row up to here
        self._members = 0  # in a row up to here
        self._began = False  # whether this policy has a token
        self._id = ""
        self.tokens = 0
        self.ids: list[str] = []
        self.words: list[str] = []

    def read(self) -> None:
        """Go through the text. Raises PolicyInvalid."""
        for token in self._lex():
            self.tokens += 1
            self._bound("tokens", self.tokens, MAX_TOKENS, "the text has more than {} tokens", token)
            self._literal(token)
            self._nesting(token)
            self._cost(token)
            self._policy(token)
            self._before = [*self._before[1:], token.text]
            self.words.append(token.text)
        if self._began:
            self.ids.append(self._id)

    def _lex(self) -> Iterator[Token]:
        position = 0
        while position < len(self._text):
            found = _TOKEN.match(self._text, position)
            if found is None:
                self._refuse(f"unexpected character {self._text[position]!r}", position)
            if found.lastgroup != "space":
                yield Token(str(found.lastgroup), found.group(), position)
            position = found.end()

    def _literal(self, token: Token) -> None:
        if token.kind == "string":
            size = len(token.text.encode("utf-8", "replace")) - 2
            self._bound("string", size, MAX_STRING, "a string is longer than {} bytes", token)
            if self._before[-1] == "like":
                self._bound("pattern", size, MAX_PATTERN, "a pattern is longer than {} bytes", token)
        if token.text == "?":
            self._refuse(
                "templates (?principal, ?resource) are not supported; write a policy or make a grant",
                token.start,
            )

    def _nesting(self, token: Token) -> None:
        if token.text in _CLOSES:
            self._open.append(_CLOSES[token.text])
            self._bound("depth", len(self._open), MAX_DEPTH, "brackets nest deeper than {}", token)
        elif token.text in _CLOSES.values() and (not self._open or self._open.pop() != token.text):
            self._refuse(f"`{token.text}` closes nothing", token.start)

    def _cost(self, token: Token) -> None:
        if token.kind == "string":
            self._unary = self._members = 0
            return
        self._operations += token.text in _OPERATIONS
        self._bound(
            "operations", self._operations, MAX_OPERATIONS, "a policy has more than {} operations", token
        )
        self._unary = self._unary + 1 if token.text in _UNARY else 0
        self._bound("unary", self._unary, MAX_UNARY, "more than {} of `!` and `-` in a row", token)
        if token.text == ".":
            self._members += 1
        elif token.kind != "word":
            self._members = 0
        self._bound("members", self._members, MAX_MEMBERS, "more than {} member accesses in a row", token)

    def _policy(self, token: Token) -> None:
        self._began = True
        if token.kind == "string" and self._before == ["@", "id", "("]:
            self._id = token.text[1:-1]
            if "\\" in self._id:
                self._refuse("an @id is written without escapes", token.start)
        if token.text == ";" and not self._open:
            self.ids.append(self._id)
            self._bound(
                "policies", len(self.ids), MAX_POLICIES, "the text holds more than {} policies", token
            )
            self._operations, self._began, self._id = 0, False, ""

    def _bound(self, name: str, count: int, limit: int, message: str, token: Token) -> None:
        if count > limit:
            raise _passed(name, limit, message, self._bytes(token.start))

    def _refuse(self, message: str, position: int) -> NoReturn:
        raise _invalid(message, {"offset": str(self._bytes(position))})

    def _bytes(self, position: int) -> int:
        return len(self._text[:position].encode("utf-8", "replace"))


def _passed(name: str, limit: int, message: str, offset: int) -> PolicyInvalid:
    return _invalid(message.format(limit), {"bound": name, "limit": str(limit), "offset": str(offset)})


def _invalid(message: str, metadata: dict[str, str]) -> PolicyInvalid:
    return PolicyInvalid(message, metadata=metadata, violations=[FieldViolation(_FIELD, message)])
