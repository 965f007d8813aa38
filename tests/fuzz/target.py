"""One parser under fuzzing: what it is given, how it may refuse, and what it may take for that."""

import contextlib
import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.chassis.rpc.errors import KernelError
from tests.fuzz.mutating import mutated
from tests.fuzz.work import Work, measured

CORPUS: Final = Path(__file__).parent / "corpus"
LONG_BYTES: Final = (1000, 10_000, 100_000, 1_000_000)
_KEPT: Final = 64
"""Inputs that brought the most work for their length, which are mutated further."""
_DEAR: Final = 1 / 3
"""How often one of them is taken."""
_TRACED: Final = 4_000_000
"""Steps after which an input is long enough: each takes a microsecond while it is counted."""


class TooDear(AssertionError):
    """An input takes more work than its length allows, or breaks the parser."""

    def __init__(self, message: str, given: bytes) -> None:
        super().__init__(message)
        self.given = given


@dataclass(frozen=True, slots=True)
class Target:
    """What is fuzzed, and its bounds: `fixed` for any input, and `each` for a byte of it.

    `parse` takes the bytes as they come from outside. It may refuse them with a KernelError, or with one of
    `refusals`; anything else is a defect. No input is longer than `largest`, the cap that stands before it.
    """

    name: str
    parse: Callable[[bytes], object]
    largest: int
    fixed: Work
    each: Work
    refusals: tuple[type[Exception], ...] = ()

    def bound(self, size: int) -> Work:
        """Return the most work for an input of so many bytes."""
        return Work(
            self.fixed.steps + self.each.steps * size, self.fixed.allocated + self.each.allocated * size
        )

    def corpus(self) -> list[bytes]:
        """Return the inputs that are kept, in one order."""
        return [file.read_bytes() for file in sorted((CORPUS / self.name).iterdir())]

    def check(self, given: bytes) -> Work:
        """Parse an input and return what that took. Raises TooDear for too much of it, or for a defect."""
        bound = self.bound(len(given))
        try:
            work = measured(lambda: self._parsed(given), Work(bound.steps + 1, bound.allocated + 1))
        except Exception as error:
            raise TooDear(f"{self.name} breaks with {error!r} on {shown(given)}", given) from error
        if over := work.over(bound):
            raise TooDear(f"{self.name} takes {over}, on {shown(given)}", given)
        return work

    def warm(self, given: bytes) -> None:
        """Parse an input without a look at it."""
        with contextlib.suppress(Exception):
            self._parsed(given)

    def _parsed(self, given: bytes) -> None:
        with contextlib.suppress(KernelError, *self.refusals):
            self.parse(given)


Targets = dict[str, Target]


def target(
    targets: Targets, *, largest: int, steps: tuple[float, float], allocated: tuple[float, float],
    refusals: tuple[type[Exception], ...] = (),
) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:  # fmt: skip
    """Make a target of a function; `steps` and `allocated` are what is fixed, and what a byte takes."""

    def made(parse: Callable[[bytes], object]) -> Callable[[bytes], object]:
        assert inspect.getdoc(parse), "say what parser, which process runs it and what stands before it"
        targets[parse.__name__] = Target(
            parse.__name__,
            parse,
            largest,
            Work(steps[0], allocated[0]),
            Work(steps[1], allocated[1]),
            refusals,
        )
        return parse

    return made


def hunt(fuzzed: Target, seed: int, sizes: Sequence[int]) -> Iterator[Work]:
    """Check the corpus and mutations of it without end; the dearest for their length are mutated further.

    `sizes`: how long mutations get at most, one chosen for each. The same seed gives the same inputs. Raises
    TooDear.
    """
    corpus = fuzzed.corpus()
    for each in corpus:
        fuzzed.warm(each)  # what the first calls of all import, compile and remember is nobody's input
    for each in corpus:
        yield fuzzed.check(each)
    random_ = random.Random(seed)  # noqa: S311 - repeatable, no secret
    longest = min(fuzzed.largest, int(_TRACED / fuzzed.each.steps))
    kept: list[tuple[float, bytes]] = []
    while True:
        pool: Sequence[bytes] = [one for _, one in kept] if kept and random_.random() < _DEAR else corpus
        most = min(random_.choice(sizes), longest)
        given = mutated(random_, random_.choice(pool), corpus, most)[:most]
        work = fuzzed.check(given)
        bound = fuzzed.bound(len(given))
        kept.append((max(work.steps / bound.steps, work.allocated / bound.allocated), given))
        kept = sorted(kept, key=lambda pair: -pair[0])[:_KEPT]
        yield work


def shown(given: bytes) -> str:
    """Show an input: whole if it is short."""
    if len(given) <= 400:
        return repr(given)
    return f"{given[:200]!r} ... {given[-100:]!r} ({len(given)} bytes)"
