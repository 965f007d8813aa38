"""Stop strings and delivery by whole tokens."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.core.transcript import MOST_PLACES, Transcript
from gateway.inference.model import Alternative, Place

PIECES = st.lists(st.text(alphabet="abcX", max_size=3), max_size=30)
STOPS = st.lists(st.text(alphabet="abX", min_size=1, max_size=4), max_size=3)


def feed(pieces: list[str], stops: list[str]) -> tuple[Transcript, list[str]]:
    """Append pieces until a stop; returns the transcript and the delivered text after each token."""
    transcript = Transcript(stops)
    delivered = []
    for number, piece in enumerate(pieces):
        transcript.append(number, piece)
        delivered.append("".join(transcript.pieces[: transcript.released]))
        if transcript.stopped:
            return transcript, delivered
    transcript.release_all()
    delivered.append(transcript.text)
    return transcript, delivered


def test_without_stops_every_token_is_delivered_at_once() -> None:
    transcript = Transcript()
    transcript.append(5, "hello")

    assert transcript.released == 1
    assert transcript.text == "hello"


def test_a_token_that_may_begin_a_stop_string_is_held_back_until_it_is_clear() -> None:
    transcript = Transcript(["END"])
    transcript.append(1, "a")
    transcript.append(2, "E")
    held = transcript.released
    transcript.append(3, "x")

    assert held == 1
    assert transcript.released == 3


def test_the_alternatives_of_the_newest_tokens_are_kept() -> None:
    transcript, other = Transcript(), (Alternative(1, "b", -1.0),)
    for number in range(MOST_PLACES + 10):
        transcript.append(number, "a", other)
    transcript.append(0, "a")

    assert transcript.places()[0] == Place(11, other)
    assert len(transcript.places()) == MOST_PLACES
    assert [place.sequence for place in transcript.places(MOST_PLACES, MOST_PLACES + 2)] == [4097, 4098]


@pytest.mark.parametrize(
    ("told", "kept"), [(None, -1e6), (math.nan, -1e6), (-math.inf, -1e6), (0.5, 0.0), (-2.0, -2.0)]
)
def test_what_a_backend_says_of_an_alternative_is_bounded(told: float | None, kept: float) -> None:
    assert Alternative.told(-1, "x" * 1000, told) == Alternative(0, "x" * 64, kept)


def test_a_stop_string_spread_over_tokens_is_cut_off() -> None:
    transcript, _ = feed(["say ", "E", "N", "D later"], ["END"])

    assert transcript.stopped
    assert transcript.text == "say "


@given(PIECES, STOPS)
def test_the_text_ends_before_the_first_stop_string(pieces: list[str], stops: list[str]) -> None:
    transcript, _ = feed(pieces, stops)
    whole = "".join(pieces)
    ends = [whole.find(stop) for stop in stops if stop in whole]

    if transcript.stopped:
        assert not any(stop in transcript.text for stop in stops)
        assert whole.startswith(transcript.text)
    else:
        assert not ends
        assert transcript.text == whole


@given(PIECES, STOPS)
def test_delivered_text_is_never_retracted(pieces: list[str], stops: list[str]) -> None:
    transcript, delivered = feed(pieces, stops)

    for earlier, later in pairwise(delivered):
        assert later.startswith(earlier)
    assert transcript.text.startswith(delivered[-1] if delivered else "")


@given(PIECES, STOPS, st.integers(0, 30))
def test_a_restored_transcript_goes_on_as_before(pieces: list[str], stops: list[str], cut: int) -> None:
    whole, _ = feed(pieces, stops)
    first = Transcript(stops)
    for number, piece in enumerate(pieces[:cut]):
        if not first.stopped:
            first.append(number, piece)
    second = Transcript(stops)
    second.extend(first.token_ids[: first.released], first.pieces[: first.released])
    for number, piece in list(enumerate(pieces))[first.released :]:
        if not second.stopped:
            second.append(number, piece)

    if not first.stopped:
        assert second.text == whole.text


@given(st.text(alphabet="abX", max_size=30), STOPS.filter(bool), st.lists(st.integers(1, 4), max_size=30))
def test_text_and_stop_string_are_the_same_however_the_text_is_cut_into_tokens(
    text: str, stops: list[str], sizes: list[int]
) -> None:
    one_by_one, _ = feed(list(text), stops)
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    whole, _ = feed([*pieces, rest], stops)

    assert (whole.text, whole.stop_string, whole.stopped) == (
        one_by_one.text,
        one_by_one.stop_string,
        one_by_one.stopped,
    )


def test_tokens_without_text_behind_the_beginning_of_a_stop_string_are_held_with_it() -> None:
    transcript = Transcript(["END"])
    for piece in ("a", "E", "", ""):
        transcript.append(1, piece)
    held = transcript.released
    transcript.append(1, "x")

    assert (held, transcript.released) == (1, 5)


def test_what_lies_behind_a_stop_string_is_not_taken_up() -> None:
    transcript = Transcript(["END"])
    transcript.extend([1, 2, 3], ["a", " END b", "c"])

    assert (transcript.text, transcript.stop_string, len(transcript)) == ("a ", "END", 2)


def test_the_chosen_token_is_kept_without_alternatives_too() -> None:
    transcript, chosen = Transcript(), Alternative(1, "a", -0.5)
    transcript.append(1, "a", (), chosen)

    assert transcript.places() == (Place(1, (), chosen),)


def test_what_is_left_before_a_stop_string_is_delivered_with_the_end_of_the_answer() -> None:
    """Its ids alone would lead whoever goes on with them behind the stop string."""
    transcript = Transcript(["END"])
    for piece in ("a ", "b E", "ND"):
        transcript.append(1, piece)
    at_the_stop = transcript.released
    transcript.release_all()

    assert (at_the_stop, transcript.released) == (1, 3)
    assert transcript.text == "a b "
