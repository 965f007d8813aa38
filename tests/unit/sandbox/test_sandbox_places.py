"""Places of the sandbox: in the order of arrival, never more than there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.core.places import NoRoom, Places

STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 12)), max_size=80)


@given(STEPS, st.integers(1, 4), st.integers(1, 10), st.integers(0, 6))
def test_places_are_never_more_than_there_are_and_go_to_who_came_first(
    steps: list[tuple[bool, int, int]], places: int, memory: int, waiting: int
) -> None:
    book = Places[int](places, memory, waiting)
    running: dict[int, int] = {}
    queue: list[tuple[int, int]] = []
    for joins, job, weight in steps:
        known = job in running or any(job == other for other, _ in queue)
        if joins and known:
            continue
        if joins:
            granted, refused = joined(book, job, weight)
            if refused is not None:
                assert refused.passes == (weight <= memory)
                assert weight > memory or len(queue) >= waiting
                continue
            queue.append((job, weight))
        else:
            granted = book.leave(job)
            running.pop(job, None)
            queue = [each for each in queue if each[0] != job]
        assert granted == [each for each, _ in queue[: len(granted)]]
        running |= dict(queue[: len(granted)])
        queue = queue[len(granted) :]

        assert (book.running, book.waiting) == (len(running), len(queue))
        assert len(running) <= places
        assert sum(running.values()) <= memory
        if queue:  # nobody waits beside a free place that fits
            assert len(running) == places or sum(running.values()) + queue[0][1] > memory


def joined(book: Places[int], job: int, weight: int) -> tuple[list[int], NoRoom | None]:
    """Let a job join; return who got a place, and why it may not."""
    try:
        return book.join(job, weight), None
    except NoRoom as full:
        return [], full


def test_who_needs_much_is_not_passed_by_who_needs_little() -> None:
    book = Places[str](4, 10, 8)
    book.join("first", 6)
    assert book.join("large", 8) == []
    assert book.join("small", 1) == []

    assert book.leave("first") == ["large", "small"]


def test_what_will_never_fit_is_told_so() -> None:
    with pytest.raises(NoRoom) as caught:
        Places[str](4, 10, 8).join("huge", 11)

    assert not caught.value.passes
