"""Preemption guard, adaptive limits, prefix estimates and placement."""

from typing import Any

import pytest

from services.chassis.dispatch.scheduling import Completion, SchedulingClass
from services.scheduler.core.accounts import ProgramBook
from services.scheduler.core.adaptive_limit import AdaptiveLimit
from services.scheduler.core.events import (
    BackendLimits,
    BackendUp,
    Cancelled,
    Finished,
    PolicyChanged,
    Progress,
    Submit,
    TimelineKind,
    Yielded,
)
from services.scheduler.core.length_history import LengthHistory
from services.scheduler.core.prefix_cache import PrefixMap
from services.scheduler.core.settings import CostModel, LimitSettings, PreemptionSettings
from services.scheduler.model import Prefix, SnapshotInfo
from tests.fakes.scheduling import MODEL, Desk, call, desk, settings

RR = {"quantum": 20}


def waiting_behind(running: dict[str, Any], **backend: Any) -> Desk:
    """One running call under round robin, one waiting behind it."""
    d = desk(settings("rr", RR), **backend)
    d.submit("a", **({"max_new_tokens": 5000} | running))
    d.submit("b")
    return d


def test_a_call_that_may_not_be_stopped_is_not() -> None:
    d = waiting_behind({"preemptible": False})

    d.progress("a", 100, at=1.0)

    assert not d.preempts


def test_a_call_is_stopped_twice_at_most() -> None:
    d = waiting_behind({})
    for turn in range(1, 4):
        d.progress("a", 20)
        if not d.preempts or len(d.preempts) < turn:
            break
        d.give_back("a", 20 * turn)
        d.give_back("b", 0)

    assert [p.call_id for p in d.preempts].count("a") == 2


def test_preemptions_before_a_restart_count() -> None:
    d = waiting_behind({"preemptions": 2})

    d.progress("a", 100, at=1.0)

    assert not d.preempts


def test_nothing_is_stopped_when_reading_the_context_again_costs_too_much() -> None:
    d = waiting_behind({"prompt_tokens": 2000}, prefix_cache=False)

    d.progress("a", 100, at=1.0)
    assert not d.preempts
    d.progress("a", 4000, at=60.0)

    assert [p.call_id for p in d.preempts] == ["a"]


def test_nothing_is_stopped_when_the_queue_would_evict_its_prefix_meanwhile() -> None:
    d = desk(settings("rr", RR), tokens=10_000)
    d.submit("a", prompt_tokens=2000, max_new_tokens=5000)
    for n in range(5):
        d.submit(f"w{n}", prompt_tokens=2000)
    d.progress("a", 100, at=1.0)
    assert not d.preempts

    for n in range(5):
        d.tell(Cancelled(f"w{n}"))
    d.submit("last", prompt_tokens=2000)

    assert [p.call_id for p in d.preempts] == ["a"]


def test_saved_kv_state_makes_stopping_cheap() -> None:
    d = waiting_behind({"prompt_tokens": 20_000}, prefix_cache=False, kv_snapshot=True)

    d.progress("a", 100, at=1.0)

    assert [p.call_id for p in d.preempts] == ["a"]


def test_nothing_is_stopped_while_kv_memory_is_nearly_full() -> None:
    d = desk(settings("rr", RR), slots=2, tokens=10_000)
    d.submit("a", prompt_tokens=4500, max_new_tokens=100)
    d.submit("b", prompt_tokens=4700, max_new_tokens=100)
    d.submit("c")

    d.progress("a", 20, at=1.0)

    assert not d.preempts


def test_one_stop_is_asked_for_per_waiting_call() -> None:
    d = desk(settings("rr", RR), slots=3)
    for name in ("a", "b", "c", "d"):
        d.submit(name, max_new_tokens=500)

    for name in ("a", "b", "c"):
        d.progress(name, 30, at=1.0)

    assert [p.call_id for p in d.preempts] == ["a"]


def test_a_stop_that_became_pointless_serves_the_next_waiter() -> None:
    d = desk(settings("rr", RR), slots=2)
    for name in ("a", "b", "c"):
        d.submit(name, max_new_tokens=500)
    d.progress("a", 30, at=1.0)
    d.progress("b", 30, at=1.0)
    d.finish("b", at=1.1)
    d.submit("d", at=1.2)

    assert [p.call_id for p in d.preempts] == ["a"]
    d.give_back("a", 30, at=1.3)
    assert d.order == ["a", "b", "c", "d"]


def test_a_call_that_ends_instead_of_yielding_frees_its_slot() -> None:
    d = waiting_behind({})
    d.progress("a", 20)

    d.finish("a")

    assert d.order == ["a", "b"]


def test_enough_calls_are_stopped_to_make_room_for_a_big_one() -> None:
    d = desk(settings("rr", RR), slots=10, tokens=2000, kv_snapshot=True)
    for n in range(4):
        d.submit(f"s{n}", prompt_tokens=300, max_new_tokens=100)
    d.submit("big", prompt_tokens=1000, max_new_tokens=100)
    for n in range(4):
        d.progress(f"s{n}", 20, at=1.0)

    assert len(d.preempts) == 2
    for stopped in list(d.preempts):
        d.give_back(stopped.call_id, 20, at=1.1)
    assert "big" in d.order


def test_running_calls_come_under_a_new_policys_rules() -> None:
    d = desk(settings("fifo"))
    d.submit("a", max_new_tokens=500)
    d.submit("b")
    d.progress("a", 100, at=1.0)

    d.tell(PolicyChanged(SchedulingClass.NORMAL, "rr", RR))

    assert [p.call_id for p in d.preempts] == ["a"]


def test_a_resume_with_saved_state_reads_nothing_again() -> None:
    d = desk(settings("sjf"), kv_snapshot=True)
    d.submit("a", prompt_tokens=4000)
    d.submit("b")
    d.tell(Yielded("a", 10, SnapshotInfo(has_kv=True, replica="r0")))

    assert d.order == ["a", "a"]


def test_a_seen_backend_queue_cuts_the_limit_and_it_recovers() -> None:
    d = desk(slots=10)
    d.tell(BackendLimits("r0", queue_size=3))
    assert d.core.stats(0.0).replicas[0].slot_limit == 10
    d.tell(BackendLimits("r0", queue_size=1))

    assert d.core.stats(0.0).replicas[0].slot_limit == 9
    assert d.kinds().count(TimelineKind.LIMIT_CUT) == 1
    for n in range(10):
        d.submit(f"c{n}")
    assert len(d.order) == 9

    d.tick(d.core.next_wakeup(0.0) or 0.0)
    assert len(d.order) == 9
    d.tick(5.1)

    assert len(d.order) == 10


def test_a_queue_seen_once_is_only_a_race() -> None:
    d = desk(slots=10)
    for size in (3, 0, 3, 0):
        d.tell(BackendLimits("r0", queue_size=size))

    assert d.core.stats(0.0).replicas[0].limit_factor == 1.0


def thrash(output: int) -> Desk:
    """Let ten calls at a time of long shared contexts and so many output tokens find nothing cached."""
    d = desk(slots=10, tokens=10**6)
    for n in range(50):
        d.submit(f"c{n}", program="p", prompt_tokens=4000, max_new_tokens=output)
    for n in range(40):
        d.tell(Finished(f"c{n}", Completion.COMPLETED, output, cached_tokens=0))
    return d


def test_prefixes_read_again_cut_the_limit() -> None:
    d = thrash(output=5)

    assert d.core.stats(0.0).replicas[0].limit_factor < 1.0
    assert d.core.stats(0.0).replicas[0].prefix_trust < 0.5
    assert TimelineKind.LIMIT_CUT in d.kinds()


def test_a_limit_is_not_cut_where_fewer_calls_at_a_time_would_lose_more() -> None:
    """Long answers share the fixed part of every step: that is worth more than the prompts read again."""
    d = thrash(output=1000)

    assert d.core.stats(0.0).replicas[0].limit_factor == 1.0


def test_cached_prefixes_that_are_found_cut_nothing() -> None:
    d = desk(slots=10)
    for n in range(40):
        d.submit(f"c{n}", program="p", prompt_tokens=1000)
        d.tell(Progress(f"c{n}", 5, cached_tokens=1000))
        d.finish(f"c{n}")

    assert d.core.stats(0.0).replicas[0].limit_factor == 1.0


def test_slow_tokens_cut_the_limit_once_a_second() -> None:
    limit = AdaptiveLimit(LimitSettings(target_seconds_per_token=0.05), CostModel())

    assert not limit.token_seen(0.01, 1.0)
    assert limit.token_seen(5.0, 2.0)
    assert not limit.token_seen(5.0, 2.5)
    assert limit.token_seen(5.0, 3.5)
    assert limit.factor(3.5) < 0.9
    assert limit.factor(1000.0) == 1.0


def test_slow_tokens_are_told_to_watchers() -> None:
    d = desk(settings(limits=LimitSettings(target_seconds_per_token=0.01)), slots=4)
    d.submit("a")

    d.progress("a", 1, at=10.0)

    assert TimelineKind.LIMIT_CUT in d.kinds()


def test_a_cut_never_goes_below_the_floor() -> None:
    limit = AdaptiveLimit(LimitSettings(floor=0.5), CostModel())
    for _ in range(100):
        limit.queue_seen(5, 1.0)

    assert limit.factor(1.0) == 0.5
    assert limit.is_cut(1.0)


def test_a_call_runs_alone_even_when_the_limit_is_cut_below_it() -> None:
    d = desk(slots=4, tokens=1000)
    for _ in range(20):
        d.tell(BackendLimits("r0", queue_size=2))

    d.submit("big", prompt_tokens=800, max_new_tokens=100)

    assert d.order == ["big"]


def test_a_program_returns_to_the_replica_that_holds_its_prefix() -> None:
    d = desk(slots=4, replicas=3)
    for n in range(3):
        d.submit(f"p{n}", program=f"p{n}", prompt_tokens=4000)
    homes = {g.call_id: g.replica for g in d.grants}
    for n in range(3):
        d.finish(f"p{n}")

    for n in (2, 0, 1):
        d.submit(f"q{n}", program=f"p{n}", prompt_tokens=4200)

    assert len(set(homes.values())) == 3
    assert {g.call_id[1]: g.replica for g in d.grants[3:]} == {n[1]: r for n, r in homes.items()}


def test_a_shared_prefix_draws_calls_to_where_it_is_cached() -> None:
    d = desk(slots=8, replicas=2)
    system = (Prefix("system", 5000),)
    d.submit("a", prompt_tokens=5100, prefixes=system)
    d.finish("a")
    d.submit("other", prompt_tokens=10)

    d.submit("b", prompt_tokens=5200, prefixes=system)

    assert d.grants[2].replica == d.grants[0].replica


def test_load_spreads_when_no_prefix_draws() -> None:
    d = desk(slots=4, replicas=4)
    for n in range(8):
        d.submit(f"c{n}", prompt_tokens=500)

    per_replica = [r.running for r in d.core.stats(0.0).replicas]
    assert per_replica == [2, 2, 2, 2]


def test_the_prefix_map_forgets_the_longest_unused_first() -> None:
    d = desk(slots=4, tokens=1000)
    prefixes = PrefixMap(500)
    jobs = []
    for n in range(3):
        d.submit(f"c{n}", program=f"p{n}", prompt_tokens=200)
        jobs.append(d.core._calls.find(f"c{n}"))
    for job in jobs:
        assert job is not None
        prefixes.prefilled(job)

    assert [prefixes.cached(job) for job in jobs if job] == [0, 199, 199]
    prefixes.resize(200)
    assert [prefixes.cached(job) for job in jobs if job] == [0, 0, 199]
    prefixes.observed(100, 50)
    assert 0 < prefixes.trust < 1


def test_predictions_fall_back_from_step_to_kind_to_all() -> None:
    history = LengthHistory(default=99)
    known = call("x", agent_kind="k", step_index=1, max_new_tokens=1000)
    assert history.whole(known) == 99
    for _ in range(3):
        history.learn(call("y", agent_kind="other"), 40)
    assert history.whole(known) == 40
    for _ in range(3):
        history.learn(call("y", agent_kind="k", step_index=7), 200)
    assert history.whole(known) == 200
    for _ in range(3):
        history.learn(known, 10)
    assert history.whole(known) == 10
    assert history.remaining(known, 10) == 10
    assert history.remaining(known, 4) == 6
    assert history.whole(call("z", predicted_tokens=7)) == 7
    assert history.whole(call("z", predicted_tokens=7, max_new_tokens=3)) == 3


def test_idle_programs_are_forgotten_beyond_a_bound() -> None:
    book = ProgramBook(keep=2)
    for n in range(5):
        made = call(f"c{n}", program=f"p{n}", parent_program="root")
        book.enter(made, n)
        book.leave(made)

    assert len(book) == 2
    assert book.tree("root") == ["root", "p4"]
    assert book.tree("p0") == ["p0"]


@pytest.mark.parametrize("max_overhead", [0.0, 1.0])
def test_the_guard_can_be_tuned(max_overhead: float) -> None:
    guard = PreemptionSettings(max_overhead=max_overhead)
    d = desk(settings("rr", RR, guard=guard), prefix_cache=False)
    d.submit("a", prompt_tokens=200, max_new_tokens=500)
    d.submit("b")

    d.progress("a", 40, at=1.0)

    assert bool(d.preempts) == bool(max_overhead)


def test_a_backend_may_learn_to_save_state() -> None:
    d = desk(settings("rr", RR), prefix_cache=False)
    d.submit("a", prompt_tokens=20_000, max_new_tokens=500)
    d.submit("b")
    d.progress("a", 40, at=1.0)
    assert not d.preempts

    d.tell(BackendLimits("r0", kv_snapshot=True))

    assert [p.call_id for p in d.preempts] == ["a"]


def test_more_slots_are_filled_at_once() -> None:
    d = desk(slots=1)
    d.submit("a")
    d.submit("b")

    d.tell(BackendLimits("r0", slots=2))

    assert d.order == ["a", "b"]


def test_realtime_passes_a_reservation_until_its_patience_ends() -> None:
    d = desk(settings("fifo", reservation_patience=10.0), slots=50, tokens=1000)
    d.submit("first", prompt_tokens=500, max_new_tokens=100)
    d.submit("big", prompt_tokens=800, max_new_tokens=100)
    realtime: dict[str, Any] = {
        "scheduling_class": SchedulingClass.REALTIME,
        "prompt_tokens": 10,
        "max_new_tokens": 10,
    }
    d.submit("r1", **realtime)

    assert d.order == ["first", "r1"]
    assert d.core.next_wakeup(1.0) is not None
    d.submit("r2", at=11.0, **realtime)
    d.submit("r3", at=11.0, **realtime)

    assert d.order == ["first", "r1"]


def test_a_replica_seen_again_keeps_its_runs() -> None:
    d = desk(slots=2)
    d.submit("a")
    d.tell(BackendUp("r0", MODEL, 1, 1000))
    d.tell(Submit(call("b")))

    assert d.order == ["a"]
