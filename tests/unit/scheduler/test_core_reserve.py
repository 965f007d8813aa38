"""Room is kept for a part of what a call may produce, where the settings say so."""

from services.chassis.dispatch.scheduling import QueueOutcome
from tests.fakes.scheduling import desk, settings


def test_more_calls_run_at_once_when_room_is_kept_for_parts_of_their_answers() -> None:
    asked = {"prompt_tokens": 100, "max_new_tokens": 800}
    whole, parts = desk(slots=8, tokens=1_000), desk(settings(reserve_tokens=100), slots=8, tokens=1_000)
    for name in "abcdef":
        whole.submit(name, **asked)
        parts.submit(name, **asked)

    assert whole.order == ["a"]
    assert parts.order == ["a", "b", "c", "d"]
    assert {grant.max_new_tokens for grant in whole.grants} == {0}
    assert {grant.max_new_tokens for grant in parts.grants} == {100}


def test_a_part_that_is_used_up_is_given_back_and_the_next_one_goes_through_the_queue() -> None:
    made = desk(settings("rr", reserve_tokens=100), slots=8, tokens=500)
    made.submit("a", prompt_tokens=100, max_new_tokens=250)
    made.submit("b", prompt_tokens=200, max_new_tokens=250)

    made.progress("a", 100, at=1.0)
    made.give_back("a", 100, at=2.0)
    made.finish("b", at=3.0)
    made.give_back("a", 200, at=4.0)

    assert made.order == ["a", "b", "a", "a"]
    assert [grant.max_new_tokens for grant in made.grants] == [100, 100, 100, 0]


def test_a_call_that_would_not_fit_in_the_end_is_refused_at_once() -> None:
    made = desk(settings(reserve_tokens=100), slots=8, tokens=1_000)

    made.submit("a", prompt_tokens=500, max_new_tokens=500)

    assert [reject.outcome for reject in made.rejects] == [QueueOutcome.REJECTED_TOO_LARGE]


def test_room_for_a_call_that_cannot_be_stopped_is_kept_for_all_of_it() -> None:
    made = desk(settings(reserve_tokens=100), slots=8, tokens=1_000)

    made.submit("a", prompt_tokens=100, max_new_tokens=600, preemptible=False)
    made.submit("b", prompt_tokens=200, max_new_tokens=600)

    assert [(grant.call_id, grant.max_new_tokens) for grant in made.grants] == [("a", 0)]
