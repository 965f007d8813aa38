"""Calls that may not wait: granted as they come, or refused as they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.dispatch.scheduling import QueueOutcome
from services.scheduler.core.events import BackendUp, Submit
from services.scheduler.core.policies import PolicyRegistry
from tests.fakes.scheduling import MODEL, call, desk, settings


@pytest.mark.parametrize("policy", PolicyRegistry().names)
def test_a_call_that_may_not_wait_takes_a_free_slot(policy: str) -> None:
    d = desk(settings(policy))
    d.submit("now", at=5.0, max_wait=0.0)

    assert d.order == ["now"]
    assert d.rejects == []


def test_it_is_refused_in_the_same_step_when_there_is_none_and_leaves_nothing_behind() -> None:
    d = desk()
    d.submit("running")
    d.submit("now", at=1.0, max_wait=0.0)

    assert [(each.call_id, each.outcome) for each in d.rejects] == [("now", QueueOutcome.EVICTED_WAIT)]
    assert d.core.call("now") is None
    assert d.core.stats(1.0).waiting == 0
    d.finish("running", at=2.0)
    assert d.order == ["running"]


def test_it_passes_nobody_who_waits_already() -> None:
    d = desk(slots=1)
    d.submit("running")
    d.submit("first")
    d.submit("now", at=1.0, max_wait=0.0)
    d.finish("running", at=2.0)

    assert d.order == ["running", "first"]
    assert [each.call_id for each in d.rejects] == ["now"]


def test_the_way_to_the_scheduler_is_no_wait() -> None:
    d = desk()
    d.tell(Submit(call("now", arrived_at=4.0, max_wait=0.0)), at=5.0)
    d.tell(Submit(call("late", arrived_at=4.0, max_wait=0.5)), at=5.0)

    assert d.order == ["now"]
    assert [each.call_id for each in d.rejects] == ["late"]


def test_no_running_call_is_stopped_for_it() -> None:
    d = desk(settings("priority", {"preempt": True, "quantum": 8}))
    d.submit("running", priority=9, max_new_tokens=5000)
    d.progress("running", 200, at=5.0)
    d.submit("now", at=6.0, priority=-9, max_wait=0.0)

    assert d.preempts == []
    assert [each.call_id for each in d.rejects] == ["now"]
    d.submit("patient", priority=-9)
    assert [each.call_id for each in d.preempts] == ["running"]


def test_once_it_has_run_it_waits_as_its_class_does() -> None:
    d = desk()
    d.submit("now", max_wait=0.0)
    d.submit("next", at=1.0)
    d.give_back("now", 20, at=2.0)

    assert d.rejects == []
    assert {"now", "next"} == {entry.call_id for entry in d.core.snapshot_queue(2.0)}


def test_a_deadline_that_has_passed_is_no_chance() -> None:
    d = desk()
    d.submit("gone", at=5.0, max_wait=0.0, deadline=4.0)

    assert d.order == []
    assert [each.outcome for each in d.rejects] == [QueueOutcome.EVICTED_DEADLINE]


@given(st.lists(st.tuples(st.sampled_from(["now", "later", "end"]), st.integers(0, 30)), max_size=60))
def test_no_call_that_may_not_wait_is_ever_left_waiting(steps: list[tuple[str, int]]) -> None:
    d = desk(settings("adaptive"), slots=2)
    d.tell(BackendUp("r1", MODEL, 1, 500))
    for number, (what, amount) in enumerate(steps):
        name = f"{what}{number}"
        if what == "end":
            held = [e.call_id for e in d.core.snapshot_queue(d.now) if e.position < 0]
            if held:
                d.finish(held[amount % len(held)], at=d.now + 1)
            continue
        d.submit(name, prompt_tokens=1 + 20 * amount, max_wait=0.0 if what == "now" else None)
        waiting = [e.call_id for e in d.core.snapshot_queue(d.now) if e.position >= 0]
        assert not [each for each in waiting if each.startswith("now")]
        answers = [*(each.call_id for each in d.grants), *(each.call_id for each in d.rejects)]
        assert what != "now" or answers.count(name) == 1
