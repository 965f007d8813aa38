"""Crowds of agents: their workloads, their retries, what is reported of them."""

import random

import pytest

from tests.bench.live.clients import DirectAgents, play
from tests.bench.live.crowd_report import markdown
from tests.bench.live.crowds import CROWDS, FIFO, WAYS, RetryingAgents, humaneval, simulate
from tests.bench.live.plays import compressed, simulated, summary
from tests.bench.live.retry import BACKOFFS, Retrying
from tests.bench.live.tgi import TimedConfig, TimedTgi
from tests.bench.live.world import Backend
from tests.bench.sched.drivers import PassThrough
from tests.bench.sched.server import Shape

SMALL = Backend(slots=8, budget=12_000, speedup=1.0, max_concurrent=4)


class Crowded(Retrying):
    """Notes how many calls the server held at most."""

    most = 0

    def progress(self, now: float) -> None:  # noqa: ARG002 - interface
        self.most = max(self.most, len(self.engine.server.running) + len(self.engine.server.queue))


@pytest.mark.parametrize("name", BACKOFFS)
def test_every_call_gets_through_in_the_end_and_the_server_never_holds_too_many(name: str) -> None:
    programs = compressed(CROWDS["mint"](1, 20), 1.0)
    retrying = Crowded(BACKOFFS[name], max_concurrent=4, speedup=1.0)
    retrying.stride = 1

    samples = simulated(programs, SMALL.shape, retrying)

    assert len(samples) == sum(len(program.steps) for program in programs)
    assert all(sample.tokens == sample.program.steps[sample.index].output for sample in samples)
    assert retrying.refusals
    assert retrying.most == 4


@pytest.mark.parametrize(("name", "first", "longest"), [("sdk", 0.5, 8.0), ("cookbook", 1.0, 60.0)])
def test_retries_wait_longer_each_time_up_to_a_bound(name: str, first: float, longest: float) -> None:
    rng = random.Random(1)  # noqa: S311 - jitter
    backoff = BACKOFFS[name]

    assert backoff.after(1, rng, 1.0) <= first
    assert max(backoff.after(50, rng, 1.0) for _ in range(200)) == pytest.approx(longest, rel=0.05)
    assert backoff.after(50, rng, 10.0) <= longest / 10


def test_without_refusals_retrying_is_the_backends_own_queue() -> None:
    programs = compressed(CROWDS["humaneval"](1, 12), 1.0)

    retried = summary(simulated(programs, SMALL.shape, Retrying(BACKOFFS["sdk"], 10**6, 1.0)), 1.0)

    assert retried == summary(simulated(programs, SMALL.shape, PassThrough()), 1.0)


def test_humaneval_agents_share_instructions_and_those_of_one_task_its_text() -> None:
    programs = humaneval(3, 400)

    first = [program.steps[0].blocks for program in programs]
    assert len({blocks[0] for blocks in first}) == 1
    assert len({blocks[1] for blocks in first}) <= 164
    assert programs == humaneval(3, 400)
    assert {len(program.steps) for program in programs} == {1, 2, 3, 4, 5}


async def test_agents_retry_in_real_time_too() -> None:
    programs = compressed(CROWDS["mint"](1, 6), 200.0)
    server = TimedTgi(TimedConfig(shape=Shape().faster(200.0), max_concurrent=1))
    await server.start()
    direct = DirectAgents(server.url)

    samples = await play(programs, RetryingAgents(direct, BACKOFFS["tuned"], 200.0))
    await direct.close()
    await server.stop()

    assert sum(sample.refusals for sample in samples) == server.counts.overloaded > 0
    assert server.counts.succeeded == sum(len(program.steps) for program in programs)


def test_the_report_compares_every_way_with_the_kernel() -> None:
    by_way = {way: simulate("mint", 20, way, SMALL) for way in WAYS}
    rows = [
        {"kind": "simulated", "crowd": "mint", "count": 20, "way": way, "figures": figures}
        for way, figures in by_way.items()
    ]
    backend = {"slots": 8, "budget": 12_000, "max_concurrent": 4, "speedup": 1.0}
    machine = {"cpus": 2, "python": "3", "load": 0.0, "seconds": 1.0}
    results = {
        "rows": rows,
        "conditions": [{"meaning": "small", "by_way": by_way}],
        "backend": backend,
        "machine": machine,
    }

    text = markdown(results)

    ours, theirs = by_way["aios"]["makespan"], by_way[FIFO]["makespan"]
    assert f"| 20 mint | simulated | `aios` | `{FIFO}` | {theirs / ours:.2f} |" in text
    assert "| small | `aios-parts` |" in text
