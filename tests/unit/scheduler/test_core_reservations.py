"""Reservations: who may pass a call that does not fit yet, and how long it holds out."""

import heapq
from itertools import cycle

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.events import FROM_LANE, TimelineKind
from services.scheduler.core.reservation import Reservation
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import CoreSettings
from tests.fakes.examples import examples
from tests.fakes.scheduling import Desk, call, desk, settings, with_class

PATIENCE = 20.0


def guarded(share: float = 0.25) -> CoreSettings:
    """Build settings of shortest job first with a lane after one second."""
    return with_class(
        settings("sjf", reservation_patience=PATIENCE),
        SchedulingClass.NORMAL, lane_after=1.0, lane_share=share, max_wait=None, alert_wait=1e9,
    )  # fmt: skip


def full(base: CoreSettings) -> Desk:
    """One call runs until about second 5; one that does not fit beside it holds the replica from second 2."""
    d = desk(base, slots=100, tokens=1000)
    d.submit("first", prompt_tokens=100, max_new_tokens=500, predicted_tokens=500)
    d.submit("big", prompt_tokens=800, max_new_tokens=100)
    d.tick(2.0)
    return d


def test_calls_that_end_before_the_holder_fits_pass_it() -> None:
    d = full(guarded())

    d.submit("short", prompt_tokens=10, max_new_tokens=10)

    assert TimelineKind.RESERVED in d.kinds()
    assert d.core.explain("big", 2.0).replica == "r0"
    assert d.order == ["first", "short"]


def test_calls_that_would_delay_the_holder_do_not_pass() -> None:
    d = full(guarded())

    d.submit("late", at=4.5, prompt_tokens=10, max_new_tokens=300, predicted_tokens=300)

    assert d.order == ["first"]
    d.finish("first", at=5.0)
    assert d.order[1] == "big"


def test_calls_that_fit_beside_the_holder_pass_it() -> None:
    d = desk(guarded(), slots=100, tokens=2000)
    d.submit("first", prompt_tokens=1000, max_new_tokens=500, predicted_tokens=10)
    d.submit("big", prompt_tokens=1200, max_new_tokens=100)
    d.tick(2.0)

    d.submit("beside", prompt_tokens=100, max_new_tokens=300, predicted_tokens=300)
    d.submit("too-much", prompt_tokens=10, max_new_tokens=390, predicted_tokens=390)

    assert d.order == ["first", "beside"]


def test_where_a_lane_guards_only_its_calls_hold_a_replica() -> None:
    d = desk(guarded(), slots=100, tokens=1000)
    d.submit("first", prompt_tokens=500, max_new_tokens=100)
    d.submit("big", prompt_tokens=800, max_new_tokens=100)
    for n in range(3):
        d.submit(f"small{n}", prompt_tokens=10, max_new_tokens=100, predicted_tokens=100)

    assert TimelineKind.RESERVED not in d.kinds()
    assert d.order == ["first", "small0", "small1", "small2"]


def test_without_a_lane_the_head_holds_a_replica() -> None:
    d = desk(guarded(share=0.0), slots=100, tokens=1000)
    d.submit("first", prompt_tokens=500, max_new_tokens=100)
    d.submit("big", prompt_tokens=800, max_new_tokens=100)

    assert TimelineKind.RESERVED in d.kinds()


def test_a_holder_that_the_lane_sent_is_paid_for_by_the_lane() -> None:
    d = full(guarded())

    d.finish("first", at=5.0)

    assert d.order == ["first", "big"]
    assert d.timeline[-1].detail == FROM_LANE


def test_room_beside_the_holder_is_given_away_once() -> None:
    held = Reservation(ScheduledCall(call("big"), 0, 0.0), 0.0, start=10.0, spare_tokens=100, spare_slots=1)

    assert held.lets_pass(500, ends=9.0)
    held.passed(500, ends=9.0)
    assert held.lets_pass(100, ends=11.0)
    held.passed(60, ends=11.0)

    assert not held.lets_pass(40, ends=11.0)
    assert held.open(9.9)
    assert not held.open(10.0)


@given(
    lengths=st.lists(st.tuples(st.integers(1, 300), st.floats(0.1, 10.0)), min_size=10, max_size=80),
    big=st.integers(300, 880),
)
@hypothesis_settings(max_examples=examples(25), deadline=None)
def test_a_holder_is_granted_within_its_patience_and_one_drain(
    lengths: list[tuple[int, float]], big: int
) -> None:
    """However long the calls that pass really take; none takes longer than 10 seconds here."""
    d = desk(guarded(), slots=8, tokens=1000)
    ends: list[tuple[float, str]] = []
    known = 0
    flood = cycle(lengths)
    d.submit("first", prompt_tokens=500, max_new_tokens=100)
    d.submit("big", prompt_tokens=big, max_new_tokens=10)
    while "big" not in d.order and d.now < 200.0:
        for grant in d.grants[known:]:
            heapq.heappush(ends, (d.now + next(flood)[1], grant.call_id))
        known = len(d.grants)
        tokens, _ = next(flood)
        d.submit(f"s{d.now}-{known}", prompt_tokens=5, max_new_tokens=tokens, predicted_tokens=1)
        if len(d.grants) == known:
            wakeup = d.core.next_wakeup(d.now)
            at, name = ends[0]
            if wakeup is not None and wakeup < at:
                d.tick(wakeup)
            else:
                heapq.heappop(ends)
                d.finish(name, at=at)

    made = next((e.at for e in d.timeline if e.kind is TimelineKind.RESERVED), d.now)
    assert "big" in d.order
    assert d.now - made <= PATIENCE + 10.0
