"""A running generation is told of and saved by time, and at once where that is needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.core.beginning import Beginning
from gateway.inference.core.pacing import ReportPace, SavePace


def reports(moments: list[float], quantum: int = 0) -> list[int]:
    """Return after which tokens, which come at these moments, a report is due."""
    pace = ReportPace(8, 0.5, 0.1)
    pace.begin(quantum, 0.0)
    told: list[int] = []
    for number, now in enumerate(moments, start=1):
        if pace.due(number, number - (told[-1] if told else 0), now):
            told.append(number)
    return told


def saves(moments: list[float]) -> list[int]:
    """Return after which tokens a save is due."""
    pace = SavePace(256, 2.0, 0.5)
    pace.begin(0.0)
    kept: list[int] = []
    for number, now in enumerate(moments, start=1):
        if pace.due(number, now):
            pace.done(number, now)
            kept.append(number)
    return kept


def test_a_burst_is_neither_reported_nor_saved() -> None:
    burst = [0.05] * 20_000

    assert reports(burst, quantum=16) == []
    assert saves(burst) == []


def test_tokens_that_come_at_a_pace_are_reported_by_time() -> None:
    assert reports([0.01 * number for number in range(1, 171)]) == [50, 100, 150]


def test_a_used_up_quantum_is_told_at_once_and_only_once() -> None:
    moments = [0.01 * number for number in range(1, 101)]

    assert reports(moments, quantum=16) == [16, 66]


def test_a_quantum_that_is_used_up_in_a_burst_is_told_when_the_call_goes_on() -> None:
    assert reports([0.001] * 20 + [0.11], quantum=16) == [21]


def test_few_tokens_are_not_worth_a_report() -> None:
    assert reports([10.0 * number for number in range(1, 20)]) == [8, 16]


def test_an_answer_at_a_pace_is_saved_every_two_seconds() -> None:
    assert saves([0.01 * number for number in range(1, 601)]) == [200, 400, 600]


def test_a_fast_answer_is_saved_by_its_tokens_but_not_without_a_pause() -> None:
    assert saves([0.001 * number for number in range(1, 1301)]) == [500, 1000]


@given(st.lists(st.floats(0.0, 0.3), min_size=1, max_size=300), st.integers(0, 40))
def test_nothing_is_older_than_a_period_when_the_next_token_comes(gaps: list[float], quantum: int) -> None:
    now, told_at, pace, unreported = 0.0, 0.0, ReportPace(1, 0.5, 0.1), 0
    pace.begin(quantum, now)
    for number, gap in enumerate(gaps, start=1):
        now += gap
        unreported += 1
        if pace.due(number, unreported, now):
            told_at, unreported = now, 0
        assert now - told_at < 0.5


@given(
    st.lists(st.integers(), max_size=20),
    st.integers(0, 20),
    st.lists(st.integers(), max_size=5),
    st.slices(20),
)
def test_a_beginning_stays_as_it_was_while_its_list_grows_and_its_end_changes(
    items: list[int], settled: int, later: list[int], part: slice
) -> None:
    as_it_was = tuple(items)
    beginning = Beginning(items, min(settled, len(items)))

    items[settled:] = later
    items += later

    assert tuple(beginning) == as_it_was
    assert len(beginning) == len(as_it_was)
    assert [beginning[index] for index in range(-len(as_it_was), len(as_it_was))] == [*as_it_was, *as_it_was]
    assert beginning[part] == as_it_was[part]
    with pytest.raises(IndexError):
        beginning[len(as_it_was)]


def test_a_beginning_copies_nothing_that_is_settled() -> None:
    items = ["x"] * 100_000

    assert Beginning(items, len(items))._tail == ()
