"""Page tokens: they carry a position, belong to one query and cannot be made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.rpc import paging
from services.chassis.rpc.errors import InvalidPageToken, InvalidRequest

KEYS = (
    st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.floats(allow_nan=False)
)
POSITIONS = st.lists(KEYS, max_size=4)


@given(POSITIONS, st.lists(KEYS, max_size=3))
def test_a_token_gives_back_the_position(position: list[paging.Key], query: list[paging.Key]) -> None:
    assert paging.decode(paging.encode(position, *query), *query) == position


def test_no_token_means_the_first_page() -> None:
    assert paging.decode("", "acme", "planner") == []


def test_a_token_of_another_query_is_refused() -> None:
    token = paging.encode(["note-7"], "acme", "planner")

    with pytest.raises(InvalidPageToken):
        paging.decode(token, "acme", "critic")


@given(st.text(min_size=1, max_size=60))
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        paging.decode(token, "acme")


@pytest.mark.parametrize(("requested", "expected"), [(0, 50), (7, 7), (10_000, 1000)])
def test_the_page_size_has_a_default_and_a_limit(requested: int, expected: int) -> None:
    assert paging.page_size(requested) == expected


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        paging.page_size(-1)
