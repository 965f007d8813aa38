"""The scheduler is killed with a long queue: the order stays, nothing is lost, nothing runs twice."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from aios.kernel import Kernel
from aios.types.agents import Hints
from aios.types.llm import Answer
from tests.fakes.fake_tgi import Behaviour, FakeTgi, fake_tgi, word
from tests.system.cluster import Cluster, cluster

pytestmark = pytest.mark.system

PATIENCE = 280.0
TOKENS = 24
WHOLE = "".join(word(number) for number in range(TOKENS))
_CALL = re.compile(r"call (\d+)")
SLOW, FAST = 3.0, 0.002
"""Seconds a token: runs outlast the scheduler's restart, the rest goes quickly."""
PAUSE = 0.01
"""Seconds between arrivals."""


@dataclass
class World:
    """A kernel before a backend of our own."""

    kernel: Cluster
    admin: Kernel
    tgi: FakeTgi
    slots: int

    async def queue(self) -> dict[str, str]:
        """Return the calls that the scheduler knows, oldest arrival first, and their states."""
        return {call.name.rpartition("/")[2]: call.state for call in await self.admin.queue.list(timeout=20)}

    async def full(self, calls: int) -> dict[str, str]:
        """Wait until all slots are taken and everything else waits."""
        async with asyncio.timeout(60):
            while True:
                queue = await self.queue()
                if len(queue) == calls and sum(state == "running" for state in queue.values()) == self.slots:
                    return queue
                await asyncio.sleep(0.05)

    async def restart_scheduler(self) -> None:
        """Kill it and wait for the next one."""
        self.kernel.kill("scheduler")
        await self.kernel.restarted("scheduler")

    def started(self) -> list[str]:
        """Return the calls in the order in which the backend began them."""
        return [f"c{_CALL.findall(run.inputs)[-1]}" for run in self.tgi.seen.runs]


@asynccontextmanager
async def world(policy: str, slots: int) -> AsyncIterator[World]:
    """Run a kernel under one policy."""
    behaviour = Behaviour(
        tokens=TOKENS, token_delay=SLOW, slots=slots, kv_snapshot=False, max_concurrent=10_000
    )
    extra = {
        "AIOS_SCHEDULER_POLICY": policy,
        "AIOS_SCHEDULER_KEPT_SLOT_FROM": "0",
        "AIOS_TGI_SLOTS": str(slots),
    }
    async with (
        fake_tgi(behaviour) as tgi,
        cluster(tgi=(tgi.url,), extra=extra) as kernel,
        kernel.admin() as admin,
    ):
        yield World(kernel, admin, tgi, slots)


def ask(agent: Kernel, number: int) -> "asyncio.Task[Answer]":
    """Send one call."""
    return asyncio.create_task(
        agent.llm.chat(
            f"call {number}",
            max_tokens=TOKENS,
            request_id=f"c{number}",
            hints=Hints(max_wait=PATIENCE),
            timeout=PATIENCE,
        )
    )


def displacement(expected: Sequence[str], seen: Sequence[str]) -> int:
    """Return by how many places a call is at most away from where it was expected."""
    assert sorted(expected) == sorted(seen)
    places = {name: at for at, name in enumerate(expected)}
    return max(abs(places[name] - at) for at, name in enumerate(seen))


async def kept_through_a_crash(world: World, agents: Sequence[Kernel], waiting: int) -> None:
    """Fill the slots and the queue, kill the scheduler, and follow everything to its end."""
    count = world.slots + waiting
    calls = []
    for number in range(count):
        calls.append(ask(agents[number % len(agents)], number))
        await asyncio.sleep(PAUSE)
    before = await world.full(count)
    begun = len(world.tgi.seen.runs)
    await world.restart_scheduler()
    after = await world.full(count)
    world.tgi.behaviour.token_delay = FAST
    answers = await asyncio.gather(*calls)

    # The scheduler knows when a call arrived to within the time of a message: neighbours may change places.
    assert displacement(list(before), list(after)) < 2 * world.slots
    assert after == before  # the same calls run, under the next scheduler
    assert [answer.text for answer in answers] == [WHOLE] * count
    # The backend's own account: every token of every call was generated once, by one run.
    assert sorted(world.started()) == sorted(before)
    assert all((run.first, run.sent) == (0, TOKENS) for run in world.tgi.seen.runs)
    # Calls granted in the same moment may reach the backend in any order.
    in_turn = [name for name in before if before[name] == "waiting"]
    assert displacement(in_turn, world.started()[begun:]) < 2 * world.slots
    assert world.tgi.seen.most_running <= world.slots


@pytest.mark.timeout(120)
async def test_a_killed_scheduler_finds_its_queue_again() -> None:
    async with world("fifo", slots=8) as kernel:
        agents = [await kernel.kernel.agent(kernel.admin, f"a{number}") for number in range(4)]
        await kept_through_a_crash(kernel, agents, waiting=100)


@pytest.mark.torture
@pytest.mark.timeout(600)
async def test_a_killed_scheduler_finds_a_thousand_waiting_calls_again() -> None:
    async with world("fifo", slots=64) as kernel:
        agents = [await kernel.kernel.agent(kernel.admin, f"a{number}") for number in range(20)]
        await kept_through_a_crash(kernel, agents, waiting=1000)


@pytest.mark.timeout(120)
async def test_attained_service_outlives_the_scheduler() -> None:
    async with world("las", slots=2) as kernel:
        served, fresh, busy = [
            await kernel.kernel.agent(kernel.admin, name) for name in ("served", "fresh", "busy")
        ]
        kernel.tgi.behaviour.token_delay = FAST
        for number in range(3):
            await ask(served, number)
        kernel.tgi.behaviour.token_delay = SLOW
        running = [ask(busy, number) for number in (3, 4)]
        await kernel.full(2)
        waiting = [ask(served, 5)]
        await kernel.full(3)
        waiting.append(ask(fresh, 6))
        await kernel.full(4)
        await kernel.restart_scheduler()
        await kernel.admin.queue.set_policy("las", parameters={"base": 0.0001})
        await kernel.full(4)
        kernel.tgi.behaviour.token_delay = FAST
        await asyncio.gather(*running, *waiting)

        # The older call belongs to the agent that had its share, so the newer one goes first.
        assert kernel.started()[-2:] == ["c6", "c5"]
