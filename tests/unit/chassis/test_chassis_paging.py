"""Page tokens: they carry a position, belong to one query and cannot be made up."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.rpc import paging
from services.chassis.rpc.errors import InvalidPageToken, InvalidRequest
from tests.fakes.page_tokens import POSITIONS as POSITIONS_OF_STRANGERS
from tests.fakes.page_tokens import forgeries

NUMBERS = st.integers(min_value=0, max_value=253_402_300_799_999_999)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
KEYS = NUMBERS | TEXTS | st.floats(min_value=0, max_value=1e15, allow_nan=False)
POSITIONS = st.lists(KEYS, max_size=4)


@given(POSITIONS, st.lists(KEYS | st.none(), max_size=3))
def test_a_token_gives_back_the_position(position: list[paging.Key], query: list[paging.Key]) -> None:
    shape = [type(part) for part in position if part is not None]

    assert paging.decode(paging.encode(position, *query), *query, shape=shape) == position


def test_no_token_means_the_first_page() -> None:
    assert paging.decode("", "acme", "planner", shape=(str,)) == []


def test_a_token_of_another_query_is_refused() -> None:
    token = paging.encode(["note-7"], "acme", "planner")

    with pytest.raises(InvalidPageToken):
        paging.decode(token, "acme", "critic", shape=(str,))


@given(st.text(min_size=1, max_size=60))
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        paging.decode(token, "acme", shape=(str,))


@pytest.mark.parametrize("shape", [(int,), (str,), (float,), (int, str), (float, str), (str, str)])
def test_a_forged_position_is_refused_or_has_the_shape_asked_for(shape: tuple[paging.Kind, ...]) -> None:
    refused = 0
    for token in forgeries(paging.encode(["x"], "acme")):
        try:
            position = paging.decode(token, "acme", shape=shape)
        except InvalidPageToken:
            refused += 1
            continue
        kinds = [(int, float) if kind is float else (kind,) for kind in shape]
        assert len(position) == len(shape)
        for part, kind in zip(position, kinds, strict=True):
            assert isinstance(part, kind)
            assert not isinstance(part, bool)
            assert isinstance(part, str) or 0 <= part < 10**18

    assert refused > len(POSITIONS_OF_STRANGERS) - 5


def test_a_text_that_no_database_stores_is_no_position() -> None:
    for text in ("a\0b", "\ud800"):
        with pytest.raises(InvalidPageToken):
            paging.decode(paging.encode([1], "acme")[:12] + _body(text), "acme", shape=(str,))


def _body(text: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([text]).encode()).decode().rstrip("=")


@pytest.mark.parametrize(("requested", "expected"), [(0, 50), (7, 7), (10_000, 1000)])
def test_the_page_size_has_a_default_and_a_limit(requested: int, expected: int) -> None:
    assert paging.page_size(requested) == expected


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        paging.page_size(-1)
