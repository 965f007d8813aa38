"""What each policy promises, tried with random loads; vtc, priority and the lane are tried elsewhere."""

import heapq
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.scheduler.core.settings import CostModel, PreemptionSettings
from tests.fakes.examples import examples
from tests.fakes.scheduling import Desk, desk, settings

STEP = 0.01


@given(durations=st.lists(st.floats(0.1, 20.0), min_size=2, max_size=40), slots=st.integers(1, 4))
@hypothesis_settings(max_examples=examples(40), deadline=None)
def test_under_fifo_a_call_waits_for_no_more_than_the_backlog_it_found(
    durations: list[float], slots: int
) -> None:
    """Wait <= backlog / capacity: every slot works on an earlier call while one waits."""
    d = desk(settings("fifo"), slots=slots)
    for number in range(len(durations)):
        d.submit(f"c{number}")
    ends: list[tuple[float, str]] = []
    seen = 0
    while True:
        for grant in d.grants[seen:]:
            heapq.heappush(ends, (d.now + durations[int(grant.call_id[1:])], grant.call_id))
        seen = len(d.grants)
        if not ends:
            break
        at, name = heapq.heappop(ends)
        d.finish(name, at=at)

    waits = {grant.call_id: grant.wait_seconds for grant in d.grants}
    for number in range(len(durations)):
        assert waits[f"c{number}"] * slots <= sum(durations[:number]) + 1e-6


@given(
    count=st.integers(2, 12),
    slots=st.integers(1, 4),
    quantum=st.sampled_from([16, 32, 100]),
    slices=st.lists(st.integers(1, 4), min_size=12, max_size=12),
)
@hypothesis_settings(max_examples=examples(40), deadline=None)
def test_under_rr_the_next_turn_comes_within_one_round(
    count: int, slots: int, quantum: int, slices: list[int]
) -> None:
    """Next turn <= ceil(n / slots) * quantum * step, where a resume costs nothing."""
    base = settings("rr", {"quantum": quantum}, guard=PreemptionSettings(max_per_call=100))
    d = desk(base, slots=slots, kv_snapshot=True)
    left = {f"c{n}": slices[n] for n in range(count)}
    done = dict.fromkeys(left, 0)
    for name in left:
        d.submit(name, max_new_tokens=1000)
    while any(left.values()):
        one_round(d, left, done, quantum)

    bound = ceil(count / slots) * quantum * STEP
    assert all(grant.wait_seconds <= bound + 1e-6 for grant in d.grants)
    assert len(d.grants) >= count


def one_round(d: Desk, left: dict[str, int], done: dict[str, int], quantum: int) -> None:
    """Let every running call use up a slice; those that are done end, the others yield when asked."""
    running = [entry.call_id for entry in d.core.snapshot_queue(d.now) if entry.position < 0]
    at = d.now + quantum * STEP
    for name in running:
        done[name] += quantum
        left[name] -= 1
        if not left[name]:
            d.finish(name, at=at, tokens=done[name])
            continue
        asked = len(d.preempts)
        d.progress(name, quantum, at=at)
        for preempt in d.preempts[asked:]:
            d.give_back(preempt.call_id, done[preempt.call_id])


@pytest.mark.parametrize("policy", ["vtc", "stride"])
@given(served=st.integers(1, 20))
@hypothesis_settings(max_examples=examples(15), deadline=None)
def test_a_newcomer_starts_level_with_the_least_served_that_waits(policy: str, served: int) -> None:
    """However long it was idle, it takes turns from now on and gets nothing for the past."""
    d = desk(settings(policy))
    d.submit("running", tenant="busy")
    for n in range(40):
        d.submit(f"busy{n}", tenant="busy")
    for _ in range(served):
        d.finish(d.order[-1], tokens=50)
    for n in range(10):
        d.submit(f"idle{n}", tenant="idle")
    before = len(d.order)
    for _ in range(10):
        d.finish(d.order[-1], tokens=50)

    assert sum(name.startswith("idle") for name in d.order[before:]) in {4, 5, 6}


@given(attained=st.lists(st.floats(0.0, 500.0), min_size=2, max_size=20), base=st.floats(0.1, 10.0))
@hypothesis_settings(max_examples=examples(40), deadline=None)
def test_las_serves_levels_in_order_and_old_programs_first_within_one(
    attained: list[float], base: float
) -> None:
    d = desk(settings("las", {"base": base}))
    d.submit("running")
    for n, seconds in enumerate(attained):
        d.submit(f"c{n}", program=f"p{n}", attained_seconds=seconds)
    while len(d.order) <= len(attained):
        d.finish(d.order[-1])

    levels = [int(log2(1.0 + seconds / base)) for seconds in attained]
    expected = sorted(range(len(attained)), key=lambda n: (levels[n], n))
    assert d.order[1:] == [f"c{n}" for n in expected]


@given(prompt=st.integers(0, 30_000), base=st.integers(1, 64), levels=st.integers(1, 8))
@hypothesis_settings(max_examples=examples(60), deadline=None)
def test_mlfq_lets_a_call_join_the_first_level_that_grants_its_prefill(
    prompt: int, base: int, levels: int
) -> None:
    d = desk(settings("mlfq", {"base": base, "levels": levels}), tokens=10**6)
    d.submit("running")
    d.submit("c", prompt_tokens=prompt)

    level = int(d.core.explain("c", 0.0).key["level"])
    steps = CostModel().prefill(prompt) / CostModel().step_seconds
    assert level == levels - 1 or steps <= base << level
    assert level == 0 or steps > base << (level - 1)


@given(prompts=st.lists(st.integers(1, 5000), min_size=2, max_size=20))
@hypothesis_settings(max_examples=examples(30), deadline=None)
def test_sjf_and_adaptive_alone_serve_by_predicted_work(prompts: list[int]) -> None:
    for policy in ("sjf", "adaptive"):
        d = desk(settings(policy), tokens=10**6)
        d.submit("running")
        for n, prompt in enumerate(prompts):
            d.submit(f"c{n}", prompt_tokens=prompt, predicted_tokens=10)
        while len(d.order) <= len(prompts):
            d.finish(d.order[-1])

        expected = sorted(range(len(prompts)), key=lambda n: (prompts[n], n))
        assert d.order[1:] == [f"c{n}" for n in expected], policy


@given(dues=st.lists(st.floats(1.0, 60.0), min_size=2, max_size=20))
@hypothesis_settings(max_examples=examples(30), deadline=None)
def test_edf_serves_what_can_be_in_time_by_its_due_time_and_counts_the_rest(dues: list[float]) -> None:
    d = desk(settings("edf"))
    d.submit("running")
    for n, due in enumerate(dues):
        d.submit(f"c{n}", due=due)
    now = 20.0
    while len(d.order) <= len(dues):
        d.finish(d.order[-1], at=now)

    work = CostModel().prefill(100) + CostModel().decode(50, 100)
    late = [n for n, due in enumerate(dues) if now + work > due]
    expected = sorted(range(len(dues)), key=lambda n: (n in late, dues[n], n))
    assert d.order[1:] == [f"c{n}" for n in expected]
    gauges = next(c.policy_gauges for c in d.core.stats(now).classes if c.dispatched)
    assert gauges["demoted"] == len(late)
