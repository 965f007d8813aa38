"""Which stop string ends a text, and where: the text alone decides, not how it is cut into pieces."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.core.stop_strings import LONG_PIECE, StopStrings

STOPS = st.lists(st.text(alphabet="ab", min_size=1, max_size=6), min_size=1, max_size=5)
LONG = "X" * LONG_PIECE
EVERY_TEXT = ["".join(each) for each in product("ab", repeat=6)]
WORDS = ("a", "ab", "ba", "aab", "aba", "abb", "bab", "abab", "aabaa", "ababb", "babaab")
SETS = [(each,) for each in WORDS] + list(combinations(WORDS, 2))


def cut(text: str, sizes: list[int]) -> list[str]:
    """Cut a text into pieces of these sizes; the last one takes the rest."""
    pieces = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    return [*pieces, text]


def met(stops: Sequence[str], pieces: list[str]) -> tuple[str, int] | None:
    """Return the stop string that is met, and where it ends in the text."""
    watch, length = StopStrings(stops), 0
    for piece in pieces:
        length += len(piece)
        if (match := watch.feed(piece)) is not None:
            return match.stop, length - match.behind
    return None


def first(stops: Sequence[str], text: str) -> tuple[str, int] | None:
    """Find it by looking at every beginning of the text."""
    for end in range(1, len(text) + 1):
        if found := [stop for stop in stops if text[:end].endswith(stop)]:
            return max(found, key=len), end
    return None


def begun(stops: Sequence[str], text: str) -> int:
    """Return the length of the longest end of the text that a string goes on from."""
    return max(length for stop in stops for length in range(len(stop)) if text.endswith(stop[:length]))


def test_the_string_that_is_complete_first_is_met_wherever_the_pieces_end() -> None:
    for stops, text in product(SETS, EVERY_TEXT):
        expected = first(stops, text)
        for at in range(len(text) + 1):
            assert met(stops, [text[:at], text[at:]]) == expected
        assert met(stops, list(text)) == expected


def test_a_long_piece_is_searched_as_short_ones_are() -> None:
    for stops, text in product(SETS, EVERY_TEXT):
        expected = first(stops, text)
        for at in range(len(text) + 1):
            assert met(stops, [text[:at], text[at:] + LONG]) == expected
            behind = met(stops, [LONG + text[:at], text[at:]])
            assert (behind and (behind[0], behind[1] - len(LONG))) == expected


@pytest.mark.parametrize("before", ["", LONG])
def test_what_may_begin_a_string_is_the_longest_end_that_is_the_beginning_of_one(before: str) -> None:
    for stops, text in product(SETS, EVERY_TEXT):
        if first(stops, text) is None:
            watch = StopStrings(stops)
            watch.feed(before + text)
            assert watch.pending == begun(stops, before + text)


@given(STOPS, st.text(alphabet="abX", max_size=60), st.lists(st.integers(0, 5), max_size=20))
def test_strings_and_texts_at_large(stops: list[str], text: str, sizes: list[int]) -> None:
    assert met(stops, cut(text, sizes)) == first(stops, text)


class Counted(str):
    """A string that counts how often one of its characters is looked at."""

    __slots__ = ()
    looks = 0

    def __getitem__(self, at: SupportsIndex | slice) -> str:
        Counted.looks += 1
        return str.__getitem__(self, at)


def test_each_character_costs_a_few_steps_however_often_the_beginning_of_a_string_repeats() -> None:
    """A search that began anew behind each mismatch would compare each character with all of the string."""
    watch, rounds = StopStrings([Counted("a" * 200 + "b")]), 500
    for _ in range(rounds):
        watch.feed("a" * 100 + "c")

    assert Counted.looks <= 4 * rounds * 101 + 1_000
