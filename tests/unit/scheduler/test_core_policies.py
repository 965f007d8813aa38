"""What each policy promises, seen from outside through the core."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.scheduler.core.events import Progress, Submit
from services.scheduler.core.policies import BUILT_IN
from services.scheduler.core.settings import CoreSettings
from services.scheduler.model import Call
from tests.fakes.examples import examples
from tests.fakes.scheduling import call, desk, serve_all, settings


def test_fifo_serves_in_order_of_arrival_not_of_submission() -> None:
    d = desk()
    d.submit("running", at=10.0)
    d.submit("late", arrived_at=9.0)
    d.submit("early", arrived_at=3.0)

    assert serve_all(d) == ["running", "early", "late"]


def test_calls_that_arrive_together_are_served_in_order_of_submission() -> None:
    for policy in BUILT_IN:
        d = desk(settings(policy.name))
        for n in range(6):
            d.submit(f"c{n}", agent="one")

        assert serve_all(d) == [f"c{n}" for n in range(6)], policy.name


def test_under_rr_a_spent_slice_yields_and_goes_to_the_tail() -> None:
    d = desk(settings("rr", {"quantum": 20}))
    for name in ("a", "b", "c"):
        d.submit(name)

    d.progress("a", 19, at=1.0)
    assert not d.preempts
    d.progress("a", 1, at=1.1)
    assert [p.call_id for p in d.preempts] == ["a"]
    d.give_back("a", 20, at=1.2)

    assert d.order == ["a", "b"]
    d.progress("b", 20, at=2.0)
    d.give_back("b", 20, at=2.0)
    assert d.order == ["a", "b", "c"]
    d.finish("c", at=3.0)
    assert d.order == ["a", "b", "c", "a"]


def test_under_rr_nobody_yields_while_nobody_waits() -> None:
    d = desk(settings("rr", {"quantum": 20}))
    d.submit("a")

    d.progress("a", 40, at=1.0)

    assert not d.preempts
    assert d.grants[0].quantum_tokens == 20


def test_under_rr_every_call_gets_its_next_turn_within_one_round() -> None:
    d = desk(settings("rr", {"quantum": 16}, guard=CoreSettings().guard), slots=2, kv_snapshot=True)
    names = [f"c{n}" for n in range(6)]
    for name in names:
        d.submit(name, max_new_tokens=48)
    done = dict.fromkeys(names, 0)
    alive = set(names)

    while alive:
        running = [e.call_id for e in d.core.snapshot_queue(d.now) if e.position < 0]
        for name in running:
            done[name] += 16
            if done[name] == 48:
                alive.discard(name)
                d.finish(name, at=d.now + 0.1, tokens=48)
                continue
            d.progress(name, 16, at=d.now + 0.1)
            if d.preempts and d.preempts[-1].call_id == name:
                d.give_back(name, done[name])

    turns = {n: [i for i, g in enumerate(d.order) if g == n] for n in names}
    assert all(len(t) == 3 for t in turns.values())
    assert all(later - earlier <= len(names) for t in turns.values() for earlier, later in pairwise(t))


def test_strict_priority_serves_the_most_urgent_first() -> None:
    d = desk(settings("priority", {"ageing": "inf"}))
    d.submit("running")
    for name, priority in (("low", 5), ("high", -5), ("middle", 0)):
        d.submit(name, priority=priority)

    assert serve_all(d) == ["running", "high", "middle", "low"]


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 100.0)), min_size=2, max_size=30),
    ageing=st.floats(0.1, 50.0),
)
@hypothesis_settings(max_examples=examples(60), deadline=None)
def test_nobody_is_overtaken_by_a_call_that_came_much_later(
    arrivals: list[tuple[int, float]], ageing: float
) -> None:
    """Overtaking needs (difference of priorities) * ageing seconds at most."""
    d = desk(settings("priority", {"ageing": ageing}))
    calls = [call(f"c{n}", priority=p, arrived_at=at) for n, (p, at) in enumerate(arrivals)]
    d.submit("running", at=100.0)
    for each in calls:
        d.tell(Submit(each))
    order = {name: place for place, name in enumerate(serve_all(d, 0.0))}

    for a in calls:
        for b in calls:
            if b.arrived_at > a.arrived_at + max(0, a.priority - b.priority) * ageing + 1e-9:
                assert order[a.id] < order[b.id]


def test_an_urgent_call_may_stop_a_lesser_one() -> None:
    d = desk(settings("priority", {"preempt": True, "quantum": 16}))
    d.submit("low", priority=5)
    d.progress("low", 16, at=1.0)

    d.submit("equal", priority=5)
    assert not d.preempts
    d.submit("high", priority=0)

    assert [p.call_id for p in d.preempts] == ["low"]
    d.give_back("low", 16)
    assert d.order == ["low", "high"]


def test_sjf_serves_the_least_predicted_work_first() -> None:
    d = desk(settings("sjf"))
    d.submit("running")
    d.submit("long", predicted_tokens=50, max_new_tokens=900)
    d.submit("longer", predicted_tokens=900, max_new_tokens=900)
    d.submit("short", predicted_tokens=5, max_new_tokens=900)
    d.submit("heavy", predicted_tokens=5, prompt_tokens=9000)

    assert serve_all(d) == ["running", "short", "long", "heavy", "longer"]


def test_sjf_counts_a_cached_prefix_as_work_already_done() -> None:
    d = desk(settings("sjf"))
    d.submit("first", program="p", prompt_tokens=4000)
    d.submit("fresh", prompt_tokens=3000)
    d.submit("next", program="p", prompt_tokens=4100)

    d.finish("first")

    assert d.order == ["first", "next"]


def test_lengths_are_learned_per_kind_and_step() -> None:
    d = desk(settings("sjf"))
    for n in range(3):
        d.submit(f"t{n}", agent_kind="talker", max_new_tokens=800)
        d.finish(f"t{n}", tokens=600)
        d.submit(f"q{n}", agent_kind="quiet", max_new_tokens=800)
        d.finish(f"q{n}", tokens=10)
    d.submit("running")
    d.submit("talker", agent_kind="talker", max_new_tokens=800)
    d.submit("quiet", agent_kind="quiet", max_new_tokens=800)

    assert serve_all(d)[-2:] == ["quiet", "talker"]


def test_edf_serves_the_earliest_deadline_first() -> None:
    d = desk(settings("edf"))
    d.submit("running")
    d.submit("later", due=100.0)
    d.submit("sooner", due=50.0)
    d.submit("none")

    assert serve_all(d) == ["running", "none", "sooner", "later"]


def test_edf_demotes_and_counts_calls_that_cannot_make_their_deadline() -> None:
    d = desk(settings("edf", {"slack": 1.0}))
    d.submit("running")
    d.submit("hopeless", arrived_at=0.0)
    d.submit("feasible", at=5.0, due=100.0)

    assert serve_all(d) == ["running", "feasible", "hopeless"]
    gauges = next(c.policy_gauges for c in d.core.stats(d.now).classes if c.policy == "edf" and c.dispatched)
    assert gauges["demoted"] == 1.0


def test_las_prefers_programs_that_were_served_little() -> None:
    d = desk(settings("las", {"base": 0.01}))
    for n in range(3):
        d.submit(f"greedy{n}", program="greedy", prompt_tokens=2000)
        d.progress(f"greedy{n}", 40)
        d.finish(f"greedy{n}")
    d.submit("running")
    d.submit("again", program="greedy")
    d.submit("fresh", program="modest")

    assert serve_all(d)[-2:] == ["fresh", "again"]


def test_las_serves_the_older_program_of_a_level_first() -> None:
    d = desk(settings("las"))
    d.submit("a1", program="a")
    d.submit("b1", program="b")
    d.submit("b2", program="b")
    d.submit("a2", program="a")

    assert serve_all(d, 0.0) == ["a1", "a2", "b1", "b2"]


def test_a_fork_starts_with_the_service_of_its_parent() -> None:
    d = desk(settings("las", {"base": 0.01}))
    d.submit("p1", program="parent", prompt_tokens=5000)
    d.finish("p1")
    d.submit("running")
    d.submit("fork", program="child", parent_program="parent")
    d.submit("fresh", program="other")

    assert serve_all(d)[-2:] == ["fresh", "fork"]


def test_attained_service_survives_a_restart_with_the_call() -> None:
    d = desk(settings("las"))
    d.submit("running")
    d.submit("old", program="a", attained_seconds=100.0)
    d.submit("new", program="b")

    assert serve_all(d)[-2:] == ["new", "old"]


def test_las_may_stop_a_program_that_was_served_much() -> None:
    d = desk(settings("las", {"base": 0.001, "preempt": True, "quantum": 16}))
    d.submit("a", program="a")
    d.progress("a", 40, at=1.0)

    d.submit("b", program="b")

    assert [p.call_id for p in d.preempts] == ["a"]


def test_mlfq_lets_a_long_prompt_join_further_down() -> None:
    d = desk(settings("mlfq", {"base": 2}))
    d.submit("running")
    d.submit("long", prompt_tokens=20_000)
    d.submit("short", prompt_tokens=10)

    assert serve_all(d) == ["running", "short", "long"]


def test_mlfq_stops_a_call_that_used_up_its_level() -> None:
    d = desk(settings("mlfq", {"base": 16}))
    d.submit("a", max_new_tokens=500)
    d.progress("a", 15, at=1.0)
    d.submit("b", at=1.0)
    assert not d.preempts

    d.progress("a", 1, at=1.1)
    d.give_back("a", 16, at=1.1)

    assert d.order == ["a", "b"]
    d.finish("b")
    assert d.order == ["a", "b", "a"]
    gauges = next(c.policy_gauges for c in d.core.stats(d.now).classes if c.dispatched)
    assert sum(gauges.values()) == 0


def test_stride_shares_work_by_weight() -> None:
    d = desk(settings("stride", {"by": "agent"}))
    d.submit("running")
    for n in range(30):
        d.submit(f"h{n}", agent="heavy", weight=3.0)
        d.submit(f"l{n}", agent="light", weight=1.0)
    served = serve_all(d)[1:21]

    assert sum(name.startswith("h") for name in served) == pytest.approx(15, abs=1)


def test_tenants_share_before_their_agents_do() -> None:
    for policy in ("vtc", "stride"):
        d = desk(settings(policy))
        d.submit("running", tenant="zero", agent="zero")
        for n in range(12):
            for agent in ("a1", "a2", "a3"):
                d.submit(f"many-{agent}-{n}", tenant="many", agent=agent)
            d.submit(f"one-{n}", tenant="one", agent="b1")
        served = serve_all(d)[1:17]

        assert sum(name.startswith("one") for name in served) == 8, policy
        for agent in ("a1", "a2", "a3"):
            assert sum(agent in name for name in served) in {2, 3}, policy


def test_vtc_gives_no_credit_for_idleness() -> None:
    d = desk(settings("vtc"))
    d.submit("running", tenant="busy")
    for n in range(20):
        d.submit(f"busy{n}", tenant="busy")
    for _ in range(10):
        d.finish(d.order[-1])
    for n in range(10):
        d.submit(f"idle{n}", tenant="idle")
    before = len(d.order)
    served = serve_all(d)[before : before + 10]

    assert sum(name.startswith("idle") for name in served) in {5, 6}


@given(
    sizes=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 60)), min_size=40, max_size=80),
    weights=st.tuples(st.sampled_from([1.0, 2.0]), st.sampled_from([1.0, 2.0])),
    slots=st.integers(1, 4),
)
@hypothesis_settings(max_examples=examples(15), deadline=None)
def test_two_backlogged_tenants_stay_within_the_vtc_bound(
    sizes: list[tuple[int, int]], weights: tuple[float, float], slots: int
) -> None:
    """Normalised service of tenants that both wait differs by at most 2 max(wp L, wq M)."""
    d = desk(settings("vtc"), slots=slots)
    for n, (prompt, new) in enumerate(sizes):
        tenant = n % 2
        d.submit(
            f"c{n}",
            tenant=f"t{tenant}",
            tenant_weight=weights[tenant],
            prompt_tokens=prompt,
            max_new_tokens=new,
        )
    bound = 2 * max(*(p for p, _ in sizes), 2 * slots * max(n for _, n in sizes)) / min(weights)
    calls: dict[str, Call] = {}

    while d.core.stats(d.now).running:
        queue = d.core.snapshot_queue(d.now)
        waiting = {e.tenant for e in queue if e.position >= 0}
        if len(waiting) < 2:
            break
        spread = max(c.policy_gauges.get("spread", 0.0) for c in d.core.stats(d.now).classes)
        assert spread <= bound
        running = [e for e in queue if e.position < 0]
        for entry in running:
            calls.setdefault(entry.call_id, d.core.call(entry.call_id) or call("x"))
            if entry.tokens_done >= calls[entry.call_id].max_new_tokens:
                d.finish(entry.call_id)
            else:
                d.tell(Progress(entry.call_id, 1), at=d.now + 0.01)


def test_adaptive_prefers_little_uncached_work() -> None:
    d = desk(settings("adaptive"))
    d.submit("running")
    d.submit("heavy", prompt_tokens=5000)
    d.submit("light", prompt_tokens=50)

    assert serve_all(d) == ["running", "light", "heavy"]


def test_adaptive_lets_a_program_that_had_much_give_way() -> None:
    d = desk(settings("adaptive", {"base": 0.001}))
    d.submit("a1", program="a", prompt_tokens=20_000)
    d.finish("a1")
    d.submit("running")
    d.submit("a2", program="a", prompt_tokens=100)
    d.submit("b1", program="b", prompt_tokens=500)

    assert serve_all(d)[-2:] == ["b1", "a2"]


def test_adaptive_protects_a_light_tenant_from_a_flooder() -> None:
    d = desk(settings("adaptive", {"band": 1000}))
    d.submit("running", tenant="flooder")
    for n in range(40):
        d.submit(f"f{n}", tenant="flooder", prompt_tokens=100)
    for _ in range(15):
        d.finish(d.order[-1], tokens=10)
    d.submit("light", tenant="light", prompt_tokens=900)

    d.finish(d.order[-1], tokens=10)

    assert len(d.order) == 17
    later = serve_all(d)
    assert later.index("light") < 30


def test_adaptive_honours_priority_and_weight() -> None:
    d = desk(settings("adaptive"))
    d.submit("running")
    d.submit("plain")
    d.submit("weighty", weight=4.0)
    d.submit("urgent", priority=-10)

    assert serve_all(d) == ["running", "urgent", "weighty", "plain"]


def test_adaptive_may_stop_a_much_longer_call() -> None:
    d = desk(settings("adaptive", {"preempt": True, "quantum": 16}))
    d.submit("long", max_new_tokens=4000, predicted_tokens=4000)
    d.progress("long", 20, at=1.0)

    d.submit("short", max_new_tokens=10)

    assert [p.call_id for p in d.preempts] == ["long"]
