"""The simulator of the scheduler benchmark: its server model, its loop, its workloads, its sums."""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.sched.catalog import RESTARTING, driver, drivers
from tests.bench.sched.engine import Engine
from tests.bench.sched.experiments import Job, knee, perform, plan
from tests.bench.sched.metrics import confidence, jain, summarise
from tests.bench.sched.outcome import Outcome, Ratios
from tests.bench.sched.prefix_cache import Block, PrefixCache
from tests.bench.sched.report import markdown
from tests.bench.sched.server import Happened, Request, Server, Shape
from tests.bench.sched.targets import judge
from tests.bench.sched.workloads import MAKERS, Program, Step, at_rate, make, mooncake_rows
from tests.fakes.examples import examples

SMALL = Shape(budget=1_000, chunk=100, slots=3)


def request(name: str, prompt: int = 100, output: int = 10, reserve: int = 50) -> Request:
    return Request(name, (Block(name, prompt),), prompt, output, reserve)


def settle(server: Server, most: int = 10**6) -> list[Happened]:
    """Run the server until it is idle."""
    happened = []
    while server.plan(inf, most) is not None:
        happened.append(server.commit())
    return happened


def play(name: str, programs: Sequence[Program]) -> Engine:
    engine = Engine(programs, Server(), driver(name))
    engine.run()
    return engine


def test_a_call_alone_takes_what_the_formula_says() -> None:
    server = Server()
    server.submit(request("a", prompt=9_000, output=40), 0.0)

    settle(server)

    assert server.clock == pytest.approx(server.shape.alone(9_000, 40))


def test_many_steps_at_once_take_as_long_as_one_by_one() -> None:
    clocks = []
    for most in (1, 7, 10**6):
        server = Server(SMALL)
        for number in range(3):
            server.submit(request(f"r{number}", output=20 + 9 * number), 0.0)
        settle(server, most)
        clocks.append(server.clock)

    assert clocks[1:] == pytest.approx([clocks[0]] * 2)


def test_no_step_begins_after_the_time_something_else_happens() -> None:
    server = Server(SMALL)
    server.submit(request("a", output=50), 0.0)
    server.plan(inf, 10)
    server.commit()
    step = server.plan(server.clock + 1e-9, 100)

    ends = server.plan(inf, 100)

    assert ends == step  # a fixed plan stays
    assert step is not None
    assert step - server.clock == pytest.approx(0.010 + 80e-6 + 0.06e-6 * 101)


@given(st.floats(0.0, 2.0))
def test_steps_cut_short_are_those_planned_with_foresight(at: float) -> None:
    ends = []
    for known in (True, False):
        server = Server(SMALL)
        server.submit(request("a", output=150), 0.0)
        server.plan(inf, 1)
        server.commit()
        server.plan(server.clock + at if known else inf, 1_000)
        server.cut(server.clock + at)
        server.commit()
        ends.append((server.step_count, server.clock))

    assert ends[0] == pytest.approx(ends[1])


def test_a_server_twice_as_fast_needs_half_the_time() -> None:
    assert Shape().faster(2.0).alone(5_000, 100) == pytest.approx(Shape().alone(5_000, 100) / 2)


def test_a_head_that_does_not_fit_blocks_the_queue() -> None:
    server = Server(SMALL)
    first, large, small = request("a", prompt=600), request("b", prompt=600), request("c", prompt=10)
    for one in (first, large, small):
        server.submit(one, 0.0)
    waiting = [r.id for r in server.queue]
    settle(server)

    assert waiting == ["b", "c"]
    assert 0.0 == first.admitted_at < large.admitted_at <= small.admitted_at


def test_room_is_reserved_for_every_token_that_may_come() -> None:
    server = Server(SMALL)
    server.submit(request("a", prompt=100, output=1, reserve=850), 0.0)
    server.submit(request("b", prompt=10, output=1, reserve=41), 0.0)

    assert list(server.running) == ["a"]
    assert server.reserved == 950


def test_a_prompt_is_cached_only_once_its_request_has_left() -> None:
    server = Server(SMALL)
    prompt = (Block("x", 60), Block("xy", 40))
    early = Request("early", prompt, 100, 5, 10)
    beside = Request("beside", prompt, 100, 5, 10)
    later = Request("later", prompt, 100, 5, 10)

    server.submit(early, 0.0)
    server.submit(beside, 0.0)
    settle(server)
    server.submit(later, server.clock)

    assert (early.cached, beside.cached, later.cached) == (0, 0, 99)


def test_a_stopped_request_leaves_at_the_next_token_and_its_prompt_stays_cached() -> None:
    server = Server(SMALL)
    first = request("a", output=50)
    server.submit(first, 0.0)
    server.plan(inf, 1)
    server.commit()
    gone_at_once = server.stop(first)
    server.plan(inf, 1)

    happened = server.commit()

    assert not gone_at_once
    assert happened.stopped == [first]
    assert first.generated == 2
    assert server.cache.match(first.blocks) == (1, 100)
    assert server.reserved == 0


def test_a_queued_request_is_dropped_at_once() -> None:
    server = Server(SMALL)
    server.submit(request("a", prompt=900), 0.0)
    second = request("b", prompt=900)
    server.submit(second, 0.0)

    assert server.stop(second)
    assert not server.queue


def test_the_least_recently_used_leaf_is_evicted_before_its_parent() -> None:
    cache = PrefixCache()
    cache.insert((Block("x", 10), Block("xa", 10)))
    cache.insert((Block("x", 10), Block("xb", 10)))

    cache.evict(15)

    assert cache.match((Block("x", 10),)) == (1, 10)
    assert cache.idle_tokens == 10


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 300), st.integers(1, 40), st.integers(40, 90)),
        min_size=1,
        max_size=25,
    ),
    st.lists(st.integers(0, 24), max_size=6),
)
def test_reserved_and_cached_tokens_never_exceed_the_budget(
    sizes: list[tuple[int, int, int, int]], stops: list[int]
) -> None:
    """And every request ends with all its tokens or stopped."""
    server = Server(SMALL)
    requests = [
        Request(f"r{n}", (Block(f"s{share}", 50), Block(f"s{share}-{n}", prompt)), 50 + prompt, output, room)
        for n, (share, prompt, output, room) in enumerate(sizes)
    ]
    for one in requests:
        server.submit(one, 0.0)
    ended = set()
    for number in stops:
        if number < len(requests) and requests[number].id not in ended and server.stop(requests[number]):
            ended.add(requests[number].id)
        if server.plan(inf, 3) is not None:
            happened = server.commit()
            ended |= {r.id for r in (*happened.finished, *happened.stopped)}
        assert server.reserved + server.cache.idle_tokens <= SMALL.budget
    ended |= {r.id for step in settle(server) for r in (*step.finished, *step.stopped)}

    assert ended == {one.id for one in requests}
    assert server.reserved == 0
    assert server.cache.idle_tokens <= SMALL.budget


@pytest.mark.parametrize("name", [name for name in drivers() if name != RESTARTING])
def test_every_driver_ends_every_call_with_all_its_tokens(name: str) -> None:
    engine = play(name, at_rate(make("mixed", 3, 60), 6.0))

    assert all(call.done == call.step.output for call in engine.calls)
    assert sum(len(p.steps) for p in make("mixed", 3, 60)) == len(engine.calls)
    assert all(call.arrived <= call.admitted <= call.first_token <= call.finished for call in engine.calls)


@pytest.mark.parametrize("name", ["aios:adaptive", "aios:rr", "oracle-srpt"])
def test_the_same_seed_gives_the_same_result(name: str) -> None:
    first, second = (
        perform(Job(kind="run", workload="mixed", count=60, seed=5, driver=name, rate=8.0)) for _ in range(2)
    )

    assert first == second


def test_another_seed_gives_another_part_of_the_trace() -> None:
    assert make("mooncake", 1, 50) != make("mooncake", 2, 50)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_workload_has_one_arrival_per_unit_of_time(name: str) -> None:
    programs = make(name, 1, 100)
    arrivals = [p.arrival for p in programs]

    assert arrivals == sorted(arrivals)
    assert arrivals[-1] / (len(programs) - 1) == pytest.approx(1.0)
    assert all(step.prompt > 0 < step.output for p in programs for step in p.steps)


def test_a_conversation_of_the_trace_grows_from_turn_to_turn() -> None:
    rows = mooncake_rows()
    turns = [row for row in rows if row.turn]
    before = {(row.conversation, row.turn): row for row in rows}

    assert len(turns) > 100
    assert all(
        row.hashes[0] == before[row.conversation, row.turn - 1].hashes[0]
        for row in turns
        if (row.conversation, row.turn - 1) in before
    )


def test_a_step_of_an_agent_comes_after_the_one_before() -> None:
    steps = (Step((Block("p", 100),), 20), Step((Block("p", 100), Block("q", 50)), 10, after=2.0))
    engine = play("fifo", [Program("agent", 0.0, steps, "task")])

    first, second = engine.calls
    assert second.arrived == pytest.approx(first.finished + 2.0)
    assert second.tokens_cached == 100
    assert summarise(engine)["completion_mean"] == pytest.approx(second.finished)


def test_a_slice_that_restarts_never_ends_a_long_call() -> None:
    programs = [Program(f"p{n}", 0.1 * n, (Step((Block(f"b{n}", 50),), 500),), "chat") for n in range(3)]
    engine = Engine(programs, Server(), driver(RESTARTING))
    engine.run(60.0)

    assert summarise(engine) == {"ended_share": 0.0}
    assert engine.wasted_tokens > 3 * 500


def test_shortest_first_beats_fifo_beyond_the_knee() -> None:
    programs = at_rate(make("azure", 2, 300), 14.0)
    fifo, oracle, ours = (
        summarise(play(name, programs))["completion_mean"] for name in ("fifo", "oracle-sjf", "aios:adaptive")
    )

    assert oracle < fifo
    assert ours < fifo


def test_the_knee_lies_where_waiting_begins() -> None:
    rate = knee(Job(kind="knee", workload="azure", count=200, seeds=(1,)))["rate"]
    waits = [
        fmean(c.admitted - c.arrived for c in play("fifo", at_rate(make("azure", 1, 200), f * rate)).calls)
        for f in (0.5, 1.5)
    ]

    assert waits[0] < 0.1
    assert waits[1] > 1.0


def test_a_report_judges_every_target(tmp_path: Path) -> None:
    names = ("fifo", "barrier", "oracle-sjf", "aios:adaptive", "aios:adaptive+lane25")
    jobs = plan(
        workloads=("azure",),
        names=names,
        loads=(0.5, 1.5),
        seeds=(1, 2),
        sizes={"azure": 60},
        knees={"azure": 6.0},
    )
    results = [(job, perform(job)) for job in jobs]
    outcome = Outcome(results, ("azure",), names, (0.5, 1.5), (1, 2), {"azure": 6.0})
    verdicts = judge(outcome, tmp_path / "core.json")
    about = {"programs": 60, "calls": 60, "prompt_mean": 1, "output_mean": 1}
    text = markdown(outcome, verdicts, {"machine": "here", "seconds": 1.0, "workloads": {"azure": about}})

    assert len(verdicts) == 12 + 2 + 1 + 2
    assert "mean completion / FIFO" in text
    assert Ratios(outcome).of("azure", 1.5, "fifo", "fifo", "ttft_mean") == (1.0, 0.0)


def test_jain_is_one_for_equals_and_one_nth_for_a_winner() -> None:
    assert jain([2.0, 2.0, 2.0]) == pytest.approx(1.0)
    assert jain([5.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)


def test_a_confidence_interval_needs_two_values() -> None:
    assert confidence([3.0]) == (3.0, inf)
    assert confidence([1.0, 3.0]) == pytest.approx((2.0, 12.706))
