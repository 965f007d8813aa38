"""Words, embeddings, sealed bytes and encoded values that services share."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import codec
from services.chassis.db.checksummed import add_checksum, verify_checksum
from services.chassis.embedding import SIZE, cosines, embed
from services.chassis.rpc.errors import DataCorrupt
from services.chassis.text_search import fuse, query_words, relevance, words


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    at: datetime
    colour: Colour = Colour.RED
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()
    until: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)


AT = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_words_are_folded_bare_and_cut() -> None:
    assert words("Crème BRÛLÉE, snake_case x2!") == ["creme", "brulee", "snake", "case", "x2"]
    assert len(words("x" * 100)[0]) == 64
    assert words("Zürich's STRASSE straße 3.14") == ["zurich", "s", "strasse", "strasse", "3", "14"]
    assert query_words("b a B ?") == ["b", "a"]


def test_relevance_prefers_rare_words_and_short_texts() -> None:
    texts = [["common", "rare"], ["common"], ["common", *["other"] * 20]]
    scores = relevance(["common", "rare"], texts, total=3)

    assert 1 >= scores[0] > scores[1] > scores[2] > 0
    assert relevance(["none"], [], total=0) == []


def test_fused_rankings_give_the_first_of_all_the_best_score() -> None:
    scores = fuse(["a", "b"], ["a", "c"])

    assert scores["a"] == 1.0
    assert scores["b"] == scores["c"] < 1.0


def test_texts_that_share_parts_of_words_are_near() -> None:
    query = embed(words("restaurant in Rome"))
    near, far = embed(words("Roman restaurants")), embed(words("buy milk"))
    same = cosines(query, [query, near, far, embed([])])

    assert len(query) == SIZE
    assert same[0] == pytest.approx(1.0)
    assert same[0] > same[1] > same[2] + 0.2
    assert same[3] == 0.0
    assert cosines(query, []) == []


def test_vectors_of_another_length_or_scale_can_be_compared() -> None:
    long, short, other = (np.asarray(v, dtype="<f4").tobytes() for v in ([3, 4], [0.3, 0.4], [1, 0, 0]))
    compared = cosines(long, [long, short, other, b"", bytes(8)])

    assert compared[:2] == pytest.approx([1.0, 1.0])
    assert compared[2:] == [0.0, 0.0, 0.0]
    assert cosines(b"", [b"", long]) == [0.0, 0.0]


@given(st.binary(), st.integers(0, 10_000))
def test_any_flipped_bit_is_noticed(data: bytes, place: int) -> None:
    sealed = bytearray(add_checksum(data))
    assert verify_checksum(bytes(sealed), "it") == data
    sealed[place % len(sealed)] ^= 1 << (place % 8)
    with pytest.raises(DataCorrupt):
        verify_checksum(bytes(sealed), "it")


def test_values_come_back_as_they_were_encoded() -> None:
    value = Outer("n\u0000", AT, Colour.RED, Inner((1, 2)), (Inner((3,)),), AT, {"a": "b"})

    assert codec.decode(Outer, codec.encode(value)) == value
    assert codec.decode(Outer, codec.encode(Outer("n", AT))) == Outer("n", AT)


def test_fields_of_another_version_do_not_matter() -> None:
    assert codec.decode(Inner, b'{"later": 1}') == Inner()
    with pytest.raises(TypeError):
        codec.decode(Outer, b"{}")
    with pytest.raises(ValueError, match="unexpected"):
        codec.decode(Outer, b"{")
