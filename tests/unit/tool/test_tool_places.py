"""Dividing the room of a provider's processes among the tools they serve."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.tool.core.places import Demand, Place, slots

TOOLS = "abcd"


def demand(
    tool: str,
    *,
    limit: int = 8,
    running: int = 0,
    waiting: int = 0,
    urgency: int = 2,
    served: int = 0,
) -> Demand:
    return Demand(tool, limit, running, waiting, urgency, served)


def place(tools: str, free: int) -> Place:
    return Place(frozenset(tools), free)


def test_a_tool_of_its_own_process_has_what_is_free_and_what_runs() -> None:
    assert slots([place("a", 3)], [demand("a", running=2, waiting=1)]) == {"a": 5}


def test_no_more_run_than_the_tool_allows() -> None:
    assert slots([place("a", 30)], [demand("a", limit=4, running=1, waiting=9)]) == {"a": 4}


def test_without_a_process_nothing_more_runs() -> None:
    assert slots([], [demand("a", running=1, waiting=2)]) == {"a": 1}


def test_a_free_place_is_promised_to_one_of_two_tools_that_want_it() -> None:
    told = slots([place("ab", 1)], [demand("a", running=1, waiting=5), demand("b", waiting=1)])

    assert told == {"a": 1, "b": 1}


def test_a_place_that_nobody_wants_is_promised_to_all() -> None:
    assert slots([place("ab", 2)], [demand("a"), demand("b")]) == {"a": 2, "b": 2}


def test_the_more_urgent_call_goes_first_whatever_runs() -> None:
    told = slots([place("ab", 1)], [demand("a", waiting=1), demand("b", running=3, waiting=1, urgency=0)])

    assert told == {"a": 0, "b": 4}


def test_among_equals_the_tool_goes_first_that_was_not_served_for_longest() -> None:
    told = slots([place("ab", 1)], [demand("a", waiting=1, served=9), demand("b", waiting=1, served=4)])

    assert told == {"a": 0, "b": 1}


def test_a_process_that_others_need_too_is_asked_last() -> None:
    told = slots([place("ab", 1), place("a", 1)], [demand("a", waiting=1), demand("b", waiting=1)])

    assert told == {"a": 1, "b": 1}


def test_a_process_that_holds_more_than_its_room_takes_nothing() -> None:
    assert slots([place("a", -2)], [demand("a", running=3, waiting=1)]) == {"a": 3}


places = st.lists(
    st.builds(Place, st.frozensets(st.sampled_from(TOOLS), min_size=1), st.integers(-1, 5)), max_size=5
)
demands = st.lists(
    st.builds(
        Demand,
        st.sampled_from(TOOLS),
        st.integers(1, 6),
        st.integers(0, 6),
        st.integers(0, 6),
        st.integers(0, 4),
        st.integers(0, 9),
    ),
    unique_by=lambda each: each.tool,
    max_size=4,
)


@given(places, demands)
def test_no_place_is_promised_twice_while_calls_wait_and_none_is_left_that_one_could_use(
    offered: Sequence[Place], wanted: Sequence[Demand]
) -> None:
    told = slots(offered, wanted)
    free = sum(max(0, each.free) for each in offered)
    new = {each.tool: told[each.tool] - each.running for each in wanted}
    used = sum(min(new[each.tool], each.waiting) for each in wanted)

    assert all(count >= 0 for count in new.values())
    assert all(told[each.tool] <= max(each.limit, each.running) for each in wanted)
    assert used <= free
    for each in wanted:
        short = new[each.tool] < min(each.waiting, each.limit - each.running)
        reachable = [one for one in offered if each.tool in one.tools and one.free > 0]
        if short and reachable:  # then others were given all that it could have had
            assert used >= sum(one.free for one in reachable)
