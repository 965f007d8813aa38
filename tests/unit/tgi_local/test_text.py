"""Bytes to text without half characters; stop strings; finding tokens by their bytes."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.tgi_local.core.text import TextAssembler, segmentations

Cut = tuple[str, list[bytes]]


@st.composite
def cut_text(draw: st.DrawFn) -> Cut:
    """Draw a text and its bytes, cut anywhere."""
    text = draw(st.text(alphabet="ab☃é\U0001f600", max_size=20))
    data = text.encode()
    cuts = sorted(draw(st.sets(st.integers(0, len(data)))) | {0, len(data)})
    return text, [data[a:b] for a, b in pairwise(cuts)]


def feed(assembler: TextAssembler, pieces: Iterable[bytes]) -> list[str]:
    """Add pieces until the text stops."""
    parts = []
    for piece in pieces:
        parts.append(assembler.add(piece))
        if assembler.stopped:
            break
    return parts


@given(cut_text())
def test_text_is_whole_wherever_its_bytes_are_cut(case: Cut) -> None:
    text, pieces = case
    assembler = TextAssembler()
    parts = feed(assembler, pieces)

    assert "".join(parts) == text
    assert assembler.text == text
    assert all("\ufffd" not in part for part in parts)


@given(cut_text(), st.text(alphabet="ab☃", min_size=1, max_size=3), st.data())
def test_text_continues_across_a_cut_as_if_there_were_none(case: Cut, stop: str, data: st.DataObject) -> None:
    _, pieces = case
    cut = data.draw(st.integers(0, len(pieces)))
    whole, first, second = TextAssembler([stop]), TextAssembler([stop]), TextAssembler([stop])
    expected = feed(whole, pieces)
    parts = feed(first, pieces[:cut])
    if not first.stopped:
        second.prime(pieces[:cut])
        parts += feed(second, pieces[cut:])

    assert parts == expected


@given(cut_text(), st.text(alphabet="ab☃", min_size=1, max_size=3))
def test_the_text_ends_with_the_first_stop_string(case: Cut, stop: str) -> None:
    text, pieces = case
    assembler = TextAssembler([stop])
    feed(assembler, pieces)

    head, found, _ = text.partition(stop)
    assert assembler.text == head + found
    assert assembler.stopped == bool(found)


def test_the_earliest_of_several_stop_strings_wins() -> None:
    assembler = TextAssembler(["yz", "b"])
    assembler.add(b"abyz")

    assert assembler.text == "ab"


def test_bytes_that_are_no_character_are_replaced_once_that_is_certain() -> None:
    assembler = TextAssembler()

    assert [assembler.add(b"\xe2"), assembler.add(b"\x98"), assembler.add(b"/")] == ["", "", "\ufffd/"]


def test_all_splits_of_bytes_into_tokens_are_found() -> None:
    ids = {b"a": (1,), b"b": (2,), b"ab": (3, 4), b"c": (5,)}

    assert segmentations(b"abc", 3, ids) == [(1, 2, 5)]
    assert segmentations(b"abc", 2, ids) == [(3, 5), (4, 5)]
    assert segmentations(b"abc", 2, ids, limit=1) == [(3, 5)]
    assert segmentations(b"abc", 1, ids) == []
    assert segmentations(b"", 0, ids) == [()]
    assert segmentations(b"a", 0, ids) == []
