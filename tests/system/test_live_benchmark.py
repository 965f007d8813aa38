"""The live benchmark's agents through the real processes: their tokens, and the figures that come of it."""

import pytest

from tests.bench.live.clients import DirectAgents, play
from tests.bench.live.plays import Sample, compressed, summary
from tests.bench.live.world import (
    Backend,
    agents_of,
    cpu_by_process,
    kernel_before,
    metrics,
    timed,
    used_since,
)
from tests.bench.sched.workloads import mint

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


async def test_agents_get_the_same_tokens_straight_and_through_the_kernel() -> None:
    """Also with more agents than slots, under a policy that stops running calls."""
    backend = Backend(slots=2, speedup=50.0)
    programs = compressed(mint(5, 6), backend.speedup)
    async with timed(backend) as url:
        direct = DirectAgents(url)
        straight = [await direct.call(Sample(program, 0, 0.0)) for program in programs[:3]]
        await direct.close()
        async with kernel_before(url, backend) as running, agents_of(running) as agents:
            await agents.use("rr", {"quantum": 32})
            await agents.register(programs)
            before = cpu_by_process(running)
            through = [await agents.call(Sample(program, 0, 0.0)) for program in programs[:3]]
            samples = await play(programs, agents)
            cpu = used_since(running, before)
        server = await metrics(url)

    assert through == straight
    assert [s.tokens for s in samples] == [s.program.steps[s.index].output for s in samples]
    assert summary(samples, backend.speedup)["calls"] == sum(len(program.steps) for program in programs)
    assert server["tgi_queue_size"] == server["tgi_batch_current_size"] == 0
    assert cpu["gateway"] > 0
