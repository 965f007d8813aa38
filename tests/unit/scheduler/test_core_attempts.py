"""A call that comes again under its id is another attempt: nothing said of one ends or feeds the other."""

from typing import Any

import pytest

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.dispatch.scheduling import Completion, QueueOutcome
from services.scheduler.core.events import (
    Cancelled,
    DispatchGrant,
    Event,
    Finished,
    GatewayLost,
    Preempt,
    Progress,
    Reject,
    Revoke,
    Submit,
    TimelineKind,
    Yielded,
)
from services.scheduler.model import Attempt, CallState
from services.scheduler.wire import dispatch
from tests.fakes.scheduling import Desk, call, desk, settings

FIRST, SECOND = Attempt("gw", 1), Attempt("gw", 2)

LATE: list[Event] = [
    Cancelled("c", FIRST),
    Finished("c", Completion.CANCELLED, 3, attempt=FIRST),
    Yielded("c", 3, attempt=FIRST),
    Progress("c", 30, attempt=FIRST),
]


def stands(d: Desk) -> list[tuple[str, CallState, int]]:
    """Return what is known: attempts, where they stand and what they have produced."""
    return [
        (f"{entry.call_id}{known.attempt}", entry.state, entry.tokens_done)
        for entry in d.core.snapshot_queue(d.now)
        if (known := d.core.call(entry.call_id)) is not None
    ]


@pytest.mark.parametrize("late", LATE, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("running", [True, False])
def test_a_late_report_of_one_attempt_changes_nothing_for_the_next(late: Event, *, running: bool) -> None:
    d = desk()
    if not running:
        d.submit("other")
    d.submit("c", attempt=1)
    d.tell(Cancelled("c", FIRST))
    d.submit("c", attempt=2)
    before = stands(d)
    decisions = d.tell(late)

    assert decisions == []
    assert stands(d) == before
    assert before[-1][:2] == ("c2", CallState.RUNNING if running else CallState.WAITING)


def test_every_decision_names_the_attempt_it_is_about() -> None:
    d = desk(settings("rr", {"quantum": 8}))
    d.submit("c", attempt=7)
    d.submit("other", attempt=8)
    d.progress("c", 20)
    d.tell(Cancelled("c"))
    d.submit("waits", attempt=9)
    d.tell(Cancelled("waits"))

    assert [(each.call_id, each.attempt) for each in d.grants] == [("c", 7), ("other", 8)]
    assert [each.attempt for each in d.preempts] == [7]
    assert [each.attempt for each in d.revokes] == [7]
    assert [each.attempt for each in d.rejects] == [9]


def test_every_decision_goes_over_the_wire_with_its_attempt() -> None:
    decisions: list[DispatchGrant | Preempt | Revoke | Reject] = [
        DispatchGrant("t/a/c", "gw", "r0", 3, 0, 0.0, attempt=7),
        Preempt("t/a/c", "gw", "r0", 3, attempt=7),
        Revoke("t/a/c", "gw", "r0", 3, QueueOutcome.EVICTED_CANCELLED, attempt=7),
        Reject("t/a/c", "gw", QueueOutcome.EVICTED_WAIT, 0.0, attempt=7),
    ]
    sent = [dispatch.instruction(each) for each in decisions]

    assert [getattr(each, each.WhichOneof("message")).attempt for each in sent] == [7] * 4


def test_every_report_comes_off_the_wire_with_its_attempt_and_its_gateway() -> None:
    key = pb.CallKey(tenant="t", agent="a", call="c")
    reports = [
        pb.DispatchRequest(progress=pb.Progress(key=key, attempt=7)),
        pb.DispatchRequest(yielded=pb.Yielded(key=key, attempt=7)),
        pb.DispatchRequest(ended=pb.Ended(key=key, completion="failed", attempt=7)),
        pb.DispatchRequest(withdraw=pb.Withdraw(key=key, attempt=7)),
    ]
    read: list[Any] = [dispatch.event(each, "gw", 0.0) for each in reports]

    assert [each.attempt for each in read] == [Attempt("gw", 7)] * 4


@pytest.mark.parametrize("running", [True, False])
def test_a_newer_attempt_ends_the_one_before_and_takes_its_slot_or_its_place(*, running: bool) -> None:
    d = desk()
    if not running:
        d.submit("other")
    d.submit("c", attempt=1)
    d.submit("c", attempt=2)
    ended: list[Any] = [*d.revokes, *d.rejects]

    assert [(each.attempt, each.outcome) for each in ended] == [(1, QueueOutcome.EVICTED_CANCELLED)]
    assert isinstance(ended[0], Revoke if running else Reject)
    assert [each.attempt for each in d.grants if each.call_id == "c"] == ([1, 2] if running else [])
    assert d.core.stats(d.now).running == 1


def test_an_older_attempt_that_comes_late_is_told_that_it_is_over_and_only_its_gateway_hears_of_it() -> None:
    d = desk()
    d.submit("c", attempt=2)
    d.timeline.clear()
    decisions = d.submit("c", attempt=1)

    assert [(type(each), getattr(each, "attempt", 0)) for each in decisions] == [(Reject, 1)]
    assert stands(d) == [("c2", CallState.RUNNING, 0)]


def test_the_same_attempt_told_again_stays_what_it_is() -> None:
    d = desk()
    d.submit("c", attempt=1)
    (again,) = d.submit("c", attempt=1)

    assert isinstance(again, DispatchGrant)
    assert len({each.epoch for each in d.grants}) == 1
    assert d.core.stats(d.now).running == 1


def test_a_gateway_that_numbers_nothing_is_served_as_ever() -> None:
    d = desk()
    d.submit("c")
    d.submit("c")
    d.tell(Progress("c", 5, attempt=Attempt("gw", 0)))
    d.tell(Finished("c", Completion.COMPLETED, attempt=Attempt("gw", 0)))
    d.submit("c")
    d.tell(Cancelled("c", Attempt("gw", 0)))

    assert not stands(d)
    assert len(d.grants) == 3
    assert len(d.revokes) == 1


def test_what_the_gateway_before_still_says_of_a_call_does_not_touch_it_where_it_is_now() -> None:
    d = desk()
    d.submit("c", attempt=5)
    d.submit("c", at=1.0, gateway="gw2", attempt=5)
    epoch = d.grants[-1].epoch
    for late in (
        Cancelled("c", Attempt("gw", 5)),
        Yielded("c", 9, attempt=Attempt("gw", 5)),
        GatewayLost("gw"),
    ):
        d.tell(late)

    assert [(each.gateway, each.attempt) for each in d.revokes] == [("gw", 5)]
    assert stands(d) == [("c5", CallState.RUNNING, 0)]

    d.tell(Finished("c", Completion.COMPLETED, 4, epoch, attempt=Attempt("gw2", 5)))

    assert not stands(d)


@pytest.mark.parametrize("newer_first", [True, False])
def test_of_two_gateways_that_tell_again_the_later_request_is_kept(*, newer_first: bool) -> None:
    d = desk()
    d.submit("other", at=20.0)
    told = [
        Submit(call("c", attempt=900, gateway="old", arrived_at=5.0), resubmission=True),
        Submit(call("c", attempt=1, gateway="new", arrived_at=9.0), resubmission=True),
    ]
    for submit in reversed(told) if newer_first else told:
        d.tell(submit)

    assert [(each.gateway, each.attempt) for each in d.rejects] == [("old", 900)]
    assert stands(d)[-1] == ("c1", CallState.WAITING, 0)


def test_a_run_told_again_that_has_lost_its_id_to_a_newer_attempt_is_told_so() -> None:
    d = desk(slots=2)
    d.submit("c", at=20.0, gateway="new", attempt=1)
    old = call("c", gateway="old", attempt=3, arrived_at=5.0, tokens_done=2)
    d.tell(Submit(old, running_on="r0", epoch=1, resubmission=True))

    assert [(each.gateway, each.attempt) for each in d.rejects] == [("old", 3)]
    assert d.core.stats(d.now).running == 1


def test_a_stopping_run_that_is_cancelled_is_not_given_back_twice() -> None:
    d = desk(settings("rr", {"quantum": 8}))
    d.submit("c", attempt=1)
    d.submit("other", attempt=2)
    d.progress("c", 20)
    epoch = d.grants[0].epoch
    assert [type(each) for each in d.preempts] == [Preempt]
    d.tell(Cancelled("c"))
    d.submit("c", attempt=3)
    d.tell(Yielded("c", 20, epoch=epoch, attempt=FIRST))
    d.finish("other")

    assert [each.attempt for each in d.grants] == [1, 2, 3]
    assert d.core.stats(d.now).running == 1


def test_a_member_of_a_gang_that_comes_again_is_counted_once() -> None:
    d = desk(slots=4)
    gang: dict[str, Any] = {"gang": "g", "gang_size": 2}
    d.submit("a", attempt=1, **gang)
    d.tell(Cancelled("a", FIRST))
    d.submit("a", attempt=2, **gang)
    alone = list(d.order)
    d.submit("b", attempt=3, **gang)

    assert alone == []
    assert sorted(d.order) == ["a", "b"]


def test_a_member_of_a_complete_gang_that_comes_again_still_starts_with_it() -> None:
    d = desk(slots=3)
    d.submit("busy")
    gang: dict[str, Any] = {"gang": "g", "gang_size": 3}
    for number, name in enumerate("abc"):
        d.submit(name, attempt=number + 1, **gang)
    for name, attempt in (("a", 4), ("b", 5)):  # the first one stands in the queue for all
        d.submit(name, attempt=attempt, **gang)
    before = list(d.order)
    d.finish("busy")

    assert before == ["busy"]
    assert d.kinds().count(TimelineKind.GANG_READY) == 1
    assert sorted((each.call_id, each.attempt) for each in d.grants[1:]) == [("a", 4), ("b", 5), ("c", 3)]


def test_cancelling_from_outside_ends_the_attempt_that_is_known_and_not_the_one_after() -> None:
    d = desk()
    d.submit("other")
    d.submit("c", attempt=1)
    d.tell(Cancelled("c"))
    d.submit("c", attempt=2)
    d.finish("other")

    assert [each.attempt for each in d.rejects] == [1]
    assert [each.attempt for each in d.grants if each.call_id == "c"] == [2]
