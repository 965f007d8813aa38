"""Rankings kept for their later pages: tokens and bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.db import rankings
from services.chassis.db.rankings import MOST_RANKED, Place, Ranked
from services.chassis.rpc import paging
from services.chassis.rpc.errors import DataCorrupt, InvalidPageToken

SCORES = st.floats(0, 1, allow_nan=False)


@given(st.lists(st.builds(Ranked, st.text(), st.tuples(SCORES, SCORES), st.text()), max_size=20))
def test_a_ranking_is_read_as_it_was_kept(ranking: list[Ranked]) -> None:
    try:
        body = rankings.encode(ranking)
    except TypeError:  # a lone surrogate is no text that a store could hold
        return
    assert rankings.decode(body) == ranking


def test_damage_is_noticed_and_a_ranking_that_is_gone_ends_the_paging() -> None:
    body = rankings.encode([Ranked("a", (0.5,))])
    with pytest.raises(DataCorrupt):
        rankings.decode(body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(InvalidPageToken):
        rankings.decode(None)


def test_the_longest_ranking_is_cut() -> None:
    body = rankings.encode([Ranked(str(number), (0.5,)) for number in range(MOST_RANKED + 5)])
    assert len(rankings.decode(body)) == MOST_RANKED


def test_a_first_page_begins_a_ranking_and_its_token_names_it() -> None:
    first = rankings.place("", "query")
    token = paging.encode([first.ranking, 7], "query")

    assert first.rank == 0
    assert rankings.place(token, "query") == Place(first.ranking, 7)
    assert rankings.place("", "query").ranking != first.ranking


GOOD = "0" * 32


@pytest.mark.parametrize(
    "position",
    [[], [7], [GOOD], [GOOD, 0], [GOOD, -1], [GOOD, 10**30], [GOOD, "7"], [GOOD, 1.5], ["\0" * 32, 7],
     [GOOD + "0", 7], [GOOD, 7, 7], [None, None]],
)  # fmt: skip
def test_a_forged_token_is_refused(position: list[paging.Key]) -> None:
    with pytest.raises(InvalidPageToken):
        rankings.place(paging.encode(position, "query") if position else "x", "query")
