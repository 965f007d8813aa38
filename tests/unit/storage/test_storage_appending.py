"""Appending, the pure part: how pieces join, what links are called, how text goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.storage.core import appending
from services.storage.core.appending import Base
from services.storage.core.content import PIECE_BYTES, sha256
from services.storage.model import Link


def after(sizes: list[int]) -> tuple[list[int], int]:
    """Return the lengths of the pieces that appends of these lengths leave, and the bytes they stored."""
    pieces: list[int] = []
    stored = 0
    for added in sizes:
        new = added
        while pieces and appending.joins(pieces[-1], new):
            new += pieces.pop()
        stored += new
        pieces.append(new)
    return pieces, stored


@given(st.lists(st.integers(1, PIECE_BYTES), min_size=1, max_size=200))
def test_appends_of_any_lengths_leave_few_pieces_and_lose_no_byte(sizes: list[int]) -> None:
    pieces, _ = after(sizes)

    assert sum(pieces) == sum(sizes)
    assert len(pieces) <= 2 * sum(sizes) / PIECE_BYTES + 22


def test_ten_thousand_small_appends_leave_few_pieces_and_store_each_byte_a_few_times() -> None:
    pieces, stored = after([9] * 10_000)

    assert len(pieces) <= 17
    assert stored <= 9 * 10_000 * 20


def test_a_link_never_has_the_name_of_bytes_that_were_written_whole() -> None:
    link = appending.extend(Base("ab" * 32, 20_000), b"more", b"")[-1]

    assert not appending.is_sha256(link.digest)
    assert appending.is_sha256(sha256(b"anything"))


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40))
def test_links_have_one_name_when_base_and_bytes_are_the_same(one: bytes, other: bytes) -> None:
    def name(data: bytes, base: str = "base") -> str:
        return appending.extend(Base(base, 10), data, None)[-1].digest

    assert (name(one) == name(other)) == (one == other)
    assert name(one) != name(one, "another base")


def test_long_appends_make_links_that_build_on_each_other() -> None:
    links: list[Link] = appending.extend(Base("base", 7), b"x" * (2 * PIECE_BYTES + 1), None)

    assert [link.piece.size for link in links] == [PIECE_BYTES, PIECE_BYTES, 1]
    assert [link.base for link in links] == ["base", links[0].digest, links[1].digest]
    assert [link.size for link in links] == [7 + PIECE_BYTES, 7 + 2 * PIECE_BYTES, 8 + 2 * PIECE_BYTES]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30), st.data())
def test_a_text_cut_anywhere_is_decoded_as_a_whole(text: str, data: st.DataObject) -> None:
    encoded = text.encode()
    cut = data.draw(st.integers(0, len(encoded)))
    first, waiting = appending.decode_more(b"", encoded[:cut])
    second, left = appending.decode_more(waiting, encoded[cut:])

    assert first + second == text
    assert left == b""


@pytest.mark.parametrize("bad", [b"\xff", b"a\0b", b"\xc3x"])
def test_what_is_no_text_stays_none(bad: bytes) -> None:
    _, waiting = appending.decode_more(b"", bad)
    assert waiting is None
    assert appending.decode_more(waiting, b"fine") == ("", None)
