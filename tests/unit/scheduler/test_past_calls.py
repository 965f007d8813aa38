"""Calls that ended are written apart from the decisions, in batches, once, and no more than is bounded."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis.auth.identity import Scope
from services.chassis.dispatch.scheduling import Completion
from services.chassis.rpc.errors import ServiceUnavailable
from services.scheduler.core.events import BackendUp, Finished, Submit
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.ports import Batch, PastQuery, UsageQuery
from services.scheduler.service import past_calls
from services.scheduler.service.past_calls import Keeping, PastCalls
from services.scheduler.service.scheduling import SchedulerService
from services.scheduler.store.sql import MIGRATIONS, SqlPastStore
from tests.fakes.clock import FakeClock
from tests.fakes.databases import migrated
from tests.fakes.meters import RecordingMeter
from tests.fakes.scheduling import MODEL, call
from tests.fakes.stores.scheduler import MemoryPastStore


class FailingStore(MemoryPastStore):
    """Fails for a while, before or after it has written."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = self.fails_late = False
        self.writes = 0

    async def write(self, batch: Batch) -> None:
        self.writes += 1
        if self.fails:
            raise ServiceUnavailable("away")
        await super().write(batch)
        if self.fails_late:
            raise ServiceUnavailable("the answer was lost")


class World:
    """A scheduler whose calls end at once."""

    def __init__(
        self, store: MemoryPastStore | SqlPastStore, keeping: Keeping | None = None, writer: int = 1
    ) -> None:
        self.clock, self.meter = FakeClock(), RecordingMeter()
        self.past = PastCalls(store, self.clock, self.meter, keeping or Keeping(), writer=writer)
        self.service = SchedulerService(SchedulerCore(), self.clock, self.meter, ends=self.past)
        self.service.take(BackendUp("r0", MODEL, 1, 100_000))

    def end(self, name: str, agent: str = "planner") -> None:
        """Let a call come and end."""
        made = call(
            f"acme/{agent}/{name}", agent=f"acme/{agent}", tenant="acme", arrived_at=self.clock.monotonic()
        )
        self.service.take(Submit(made))
        self.service.take(Finished(made.id, Completion.COMPLETED, 1))

    async def listed(self, agent: str = "planner") -> list[str]:
        return [each.call for each in await self.past.page(PastQuery("acme", agent), 10_000)]

    async def counted(self) -> int:
        rows = await self.past.usage(UsageQuery("acme", "", self.clock.now() - timedelta(days=1)), 100)
        return sum(row.own[0] for row in rows)


async def test_ending_a_call_touches_no_store_until_the_batch_is_written() -> None:
    store = FailingStore()
    world = World(store)
    await world.past.open()
    for number in range(50):
        world.end(f"c{number}")

    assert store.writes == 0
    await world.past.flush()
    assert store.writes == 1
    assert len(await world.listed()) == 50


@pytest.mark.parametrize("late", [False, True])
async def test_what_could_not_be_written_is_tried_again_and_counted_once(late: bool) -> None:  # noqa: FBT001 - a case
    store = FailingStore()
    world = World(store)
    await world.past.open()
    world.end("a")
    store.fails, store.fails_late = not late, late
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            await world.past.flush()
        world.end("b")
    store.fails = store.fails_late = False
    await world.past.flush()

    assert sorted(await world.listed()) == ["a", "b"]
    assert await world.counted() == 4


async def test_a_scheduler_whose_store_is_away_decides_on_and_says_that_it_cannot_be_read() -> None:
    world = World(FailingStore())
    world.end("a")
    with pytest.raises(ServiceUnavailable):
        await world.listed()
    with pytest.raises(ServiceUnavailable):
        await world.past.flush()
    await world.past.open()
    await world.past.flush()

    assert await world.listed() == ["a"]


async def test_what_is_held_while_the_store_is_away_is_bounded_and_what_is_lost_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(past_calls, "MOST_GATHERED", 10)
    monkeypatch.setattr(past_calls, "MOST_OF_AGENT", 4)
    world = World(MemoryPastStore())
    for number in range(6):
        for agent in ("a", "b", "c"):
            world.end(f"{agent}{number}", agent)
    await world.past.open()
    await world.past.flush()

    assert [len(await world.listed(agent)) for agent in "abc"] == [4, 3, 3]
    assert world.meter.counts["past_lost"] == 8
    assert await world.counted() == 18


async def test_what_ended_is_there_after_a_restart_and_the_last_second_is_written_at_the_end(
    tmp_path: Path,
) -> None:
    async with migrated(f"sqlite:///{tmp_path}/scheduler.db", MIGRATIONS) as database:
        first = World(SqlPastStore(database), writer=1)
        await first.past.open()
        first.end("a")
        await first.past.close()
        second = World(SqlPastStore(database), writer=2)
        await second.past.open()
        second.end("b")
        await second.past.flush()

        assert sorted(await second.listed()) == ["a", "b"]
        assert await second.counted() == 2


async def test_the_end_of_a_process_waits_for_a_store_that_is_away_no_longer_than_it_must() -> None:
    store = FailingStore()
    world = World(store)
    await world.past.open()
    world.end("a")
    store.fails = True
    await asyncio.wait_for(world.past.close(), 5)

    assert world.meter.counts["past_lost"] == 1


async def test_old_calls_and_those_beyond_the_bounds_of_an_agent_go() -> None:
    world = World(MemoryPastStore(), Keeping(calls=timedelta(hours=1), of_agent=3))
    await world.past.open()
    world.end("old", "other")
    world.clock.advance(3601.0)
    for number in range(5):
        world.end(f"c{number}")
        world.clock.advance(1.0)
    await world.past.flush()
    await world.past.sweep()

    assert await world.listed() == ["c4", "c3", "c2"]
    assert await world.listed("other") == []
    assert await world.counted() == 6


async def test_a_purge_takes_what_is_not_written_yet_too() -> None:
    world = World(MemoryPastStore())
    await world.past.open()
    world.end("a")
    await world.past.flush()
    world.end("b")
    world.end("c", "other")
    counts = await world.past.purge(Scope("acme", "planner"))
    await world.past.flush()

    assert counts == {"past_calls": 1, "call_sums": 1}
    assert await world.listed() == []
    assert await world.listed("other") == ["c"]
    assert await world.counted() == 1
