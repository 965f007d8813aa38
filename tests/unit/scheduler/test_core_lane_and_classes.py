"""The starvation lane, the wait monitor and the sharing of a pool among classes."""

from dataclasses import replace
from math import inf

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.core.events import FROM_LANE, TimelineKind
from services.scheduler.core.settings import CoreSettings, CostModel
from tests.fakes.examples import examples
from tests.fakes.scheduling import Desk, desk, settings, with_class

NORMAL = SchedulingClass.NORMAL


def laned(policy: str = "sjf", after: float = 30.0, share: float = 0.25) -> CoreSettings:
    """Build settings with a lane for the normal class."""
    return with_class(
        settings(policy), NORMAL, lane_after=after, lane_share=share, max_wait=None, alert_wait=1e9
    )


def test_an_old_call_enters_the_lane_and_watchers_see_it() -> None:
    d = desk(laned())
    d.submit("running")
    d.submit("old", prompt_tokens=9000)

    assert d.core.next_wakeup(0.0) == 30.0
    d.tick(30.0)

    assert TimelineKind.LANE_ENTERED in d.kinds()
    assert d.core.explain("old", 31.0).in_lane
    assert next(c for c in d.core.stats(31.0).classes if c.waiting).in_starvation_lane == 1


def test_of_calls_of_one_length_the_lane_gets_one_of_every_four_dispatches() -> None:
    d = desk(laned("priority", after=1.0))
    d.submit("running")
    for n in range(10):
        d.submit(f"old{n}", priority=5)
    for n in range(40):
        d.submit(f"new{n}", at=10.0, priority=-5)
    start = len(d.order)
    for _ in range(20):
        d.finish(d.order[-1], at=10.0)

    served = d.order[start:]
    assert [i for i, name in enumerate(served) if name.startswith("old")] == [0, 4, 8, 12, 16]
    from_lane = [event for event in d.timeline if event.detail == FROM_LANE]
    assert [event.kind for event in from_lane] == [TimelineKind.GRANTED] * 5


def test_the_lane_sends_no_more_than_its_share_of_the_work() -> None:
    """A long call uses up the lane's share for as many short ones as it is long."""
    d = desk(laned(after=1.0, share=0.25))
    d.submit("running")
    for n in range(10):
        d.submit(f"old{n}", prompt_tokens=9000)
    for n in range(200):
        d.submit(f"new{n}", at=10.0, prompt_tokens=1000)
    start = len(d.order)
    for _ in range(100):
        d.finish(d.order[-1], at=10.0)

    old = sum(name.startswith("old") for name in d.order[start:])
    assert old == sum(e.detail == FROM_LANE for e in d.timeline)
    assert 3 <= old <= 5


@given(
    arrivals=st.lists(
        st.tuples(st.floats(0.0, 0.5), st.integers(0, 3000) | st.integers(20_000, 80_000)),
        min_size=20, max_size=80,
    ),
    share=st.sampled_from([0.1, 0.15, 0.25, 0.5]),
)  # fmt: skip
@hypothesis_settings(max_examples=examples(60), deadline=None)
def test_no_call_waits_longer_than_the_lane_promises(arrivals: list[tuple[float, int]], share: float) -> None:
    """Wait <= S + W / (share * C) + drain, whatever comes: W is older work and the call sent last."""
    d = desk(laned("sjf", after=5.0, share=share))
    works: dict[str, float] = {}
    ends = inf
    for number, (gap, prompt) in enumerate(arrivals):
        at = d.now + gap
        while d.grants and ends <= at and len(d.order) <= number:
            ends = finish_one(d, ends, works)
        name = f"c{number}"
        works[name] = CostModel().prefill(prompt) + CostModel().decode(1, prompt)
        d.submit(name, at=at, prompt_tokens=prompt, max_new_tokens=1)
        if d.order == [name] or (ends == inf and d.order[-1] == name):
            ends = d.now + works[name]
    while ends < inf:
        ends = finish_one(d, ends, works)

    assert len(d.order) == len(arrivals)
    longest = max(works.values())
    older = 0.0
    waits = {g.call_id: g.wait_seconds for g in d.grants}
    for name, work in works.items():
        assert waits[name] <= 5.0 + (older + longest) / share + longest + 1e-6
        older += work


def finish_one(d: Desk, at: float, works: dict[str, float]) -> float:
    """End the one running call after exactly its work; give the end of the one granted then."""
    count = len(d.order)
    d.finish(d.order[-1], at=at)
    return d.now + works[d.order[-1]] if len(d.order) > count else inf


def test_policies_in_order_of_arrival_keep_no_lane() -> None:
    d = desk(settings("fifo"))
    d.submit("running")
    d.submit("old")
    d.tick(100.0)

    told = d.core.explain("old", 100.0)
    assert not told.in_lane
    assert told.lane_in_seconds is None


def test_the_oldest_wait_switches_a_boost_on_and_off() -> None:
    d = desk(with_class(settings("sjf"), NORMAL, alert_wait=50.0, max_wait=None))
    d.submit("running")
    d.submit("old")

    assert d.core.next_wakeup(31.0) is not None
    d.tick(50.0)
    assert d.core.explain("old", 50.0).boosted
    d.finish("running", at=51.0)
    d.tick(52.0)

    kinds = d.kinds()
    assert kinds.index(TimelineKind.BOOST_ON) < kinds.index(TimelineKind.BOOST_OFF)
    assert not any(c.boosted for c in d.core.stats(52.0).classes)


def test_the_monitor_reports_oldest_mean_and_p99() -> None:
    d = desk()
    d.submit("a")
    for n in range(100):
        d.submit(f"c{n}")
        d.finish(d.order[-1], at=d.now + 1.0)
    d.submit("last")

    normal = next(c for c in d.core.stats(d.now + 7.0).classes if c.scheduling_class is NORMAL)
    assert normal.oldest_wait == 7.0
    assert normal.p99_wait == 1.0
    assert 0.9 < normal.mean_wait <= 1.0
    assert normal.dispatched == 101


def served(d: Desk, count: int) -> list[str]:
    """Finish and grant `count` calls; give the new grants."""
    start = len(d.order)
    for _ in range(count):
        d.finish(d.order[-1], tokens=50)
    return d.order[start:]


def test_classes_share_by_weight_and_none_starves() -> None:
    d = desk(settings("fifo"))
    d.submit("running", scheduling_class=SchedulingClass.REALTIME)
    for n in range(40):
        for name in (SchedulingClass.INTERACTIVE, NORMAL, SchedulingClass.BATCH):
            d.submit(f"{name.value}-{n}", scheduling_class=name)

    got = served(d, 35)

    shares = [sum(g.startswith(name) for g in got) for name in ("interactive", "normal", "batch")]
    assert shares == [20, 10, 5]


def test_a_class_that_was_idle_starts_level_with_the_others() -> None:
    d = desk(settings("fifo"))
    d.submit("running")
    for n in range(60):
        d.submit(f"n{n}")
    served(d, 20)
    for n in range(20):
        d.submit(f"b{n}", scheduling_class=SchedulingClass.BATCH)

    assert sum(name.startswith("b") for name in served(d, 12)) in {4, 5}


def test_realtime_goes_first_up_to_its_share() -> None:
    d = desk(settings("fifo"), slots=10)
    for n in range(10):
        d.submit(f"first{n}")
    for n in range(10):
        d.submit(f"n{n}")
    for n in range(10):
        d.submit(f"r{n}", scheduling_class=SchedulingClass.REALTIME)
    for n in range(10):
        d.finish(f"first{n}")

    got = d.order[10:]
    assert got[:3] == ["r0", "r1", "r2"]
    assert sum(name.startswith("r") for name in got) == 3


def test_realtime_may_use_what_nobody_else_wants() -> None:
    d = desk(settings("fifo"), slots=4)
    for n in range(4):
        d.submit(f"r{n}", scheduling_class=SchedulingClass.REALTIME)

    assert len(d.order) == 4


def test_idle_calls_run_only_while_nobody_else_waits() -> None:
    d = desk(settings("fifo"))
    d.submit("running")
    d.submit("idle", scheduling_class=SchedulingClass.IDLE)
    d.submit("batch", scheduling_class=SchedulingClass.BATCH)

    assert served(d, 2) == ["batch", "idle"]


def test_a_class_below_its_minimum_share_goes_first() -> None:
    base = with_class(settings("fifo"), SchedulingClass.BATCH, min_share=0.5)
    d = desk(base, slots=4)
    for n in range(4):
        d.submit(f"first{n}")
    for n in range(8):
        d.submit(f"i{n}", scheduling_class=SchedulingClass.INTERACTIVE)
        d.submit(f"b{n}", scheduling_class=SchedulingClass.BATCH)
    for n in range(4):
        d.finish(f"first{n}")

    assert d.order[4:6] == ["b0", "b1"]
    assert sum(name.startswith("b") for name in d.order[4:]) == 2


def test_idle_work_is_stopped_when_a_call_needs_its_slot() -> None:
    d = desk(settings("fifo"))
    d.submit("idle", scheduling_class=SchedulingClass.IDLE, max_new_tokens=500)
    d.progress("idle", 20, at=1.0)

    d.submit("normal")

    assert [p.call_id for p in d.preempts] == ["idle"]
    d.give_back("idle", 20, at=1.1)
    assert d.order == ["idle", "normal"]
    d.finish("normal")
    assert d.order == ["idle", "normal", "idle"]


def test_realtime_stops_idle_before_batch_and_never_normal_work() -> None:
    d = desk(settings("fifo"), slots=3)
    for name in (NORMAL, SchedulingClass.BATCH, SchedulingClass.IDLE):
        d.submit(name.value, scheduling_class=name, max_new_tokens=500)
    for running in ("normal", "batch", "idle"):
        d.progress(running, 20, at=1.0)

    for n in range(3):
        d.submit(f"r{n}", scheduling_class=SchedulingClass.REALTIME)

    assert [p.call_id for p in d.preempts] == ["idle", "batch"]


def test_policies_of_classes_differ() -> None:
    base = settings("fifo")
    base = with_class(base, NORMAL, policy=replace(base.classes[NORMAL].policy, name="sjf"))
    d = desk(base)
    d.submit("running")
    d.submit("long", prompt_tokens=5000)
    d.submit("short")
    d.submit("b-long", prompt_tokens=5000, scheduling_class=SchedulingClass.BATCH)
    d.submit("b-short", scheduling_class=SchedulingClass.BATCH)

    got = served(d, 4)

    assert got.index("short") < got.index("long")
    assert got.index("b-long") < got.index("b-short")
