"""What every store of calls that ended must do: in memory, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.chassis.auth.identity import Scope
from services.scheduler.model import NO_SUMS, PastCall, SumKey, Sums
from services.scheduler.ports import Batch, PastQuery, PastStore, UsageQuery
from services.scheduler.store.sql import MIGRATIONS, SqlPastStore
from tests.fakes.databases import migrated
from tests.fakes.stores.scheduler import MemoryPastStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE: Sums = (1, 0, 0, 100, 7, 1500, 2500, 0)


def ended(call: str, minute: int = 0, agent: str = "planner", **fields: Any) -> PastCall:
    """Build a call that ended some minutes after noon."""
    defaults: dict[str, Any] = {
        "tenant": "acme",
        "lane": "inference",
        "resource": "llama",
        "scheduling_class": "normal",
        "outcome": "completed",
        "arrive_time": NOON,
        "start_time": NOON + timedelta(seconds=1),
        "end_time": NOON + timedelta(minutes=minute),
    }
    return PastCall(agent=agent, call=call, **(defaults | fields))


def batch(number: int, *calls: PastCall, writer: int = 1, **sums: Any) -> Batch:
    return Batch(writer, number, calls, sums.get("sums", {}))


def key(*path: str, hour: int = 12, lane: str = "inference", tenant: str = "acme") -> SumKey:
    return SumKey(tenant, path, NOON.replace(hour=hour), lane)


async def names(store: PastStore, limit: int = 10, **query: Any) -> list[str]:
    asked = PastQuery(query.pop("tenant", "acme"), query.pop("agent", "planner"), **query)
    return [call.call for call in await store.page(asked, limit)]


class Suite:
    """The suite."""

    async def test_what_is_written_is_read_as_it_was(self, store: PastStore) -> None:
        made = ended(
            "c",
            5,
            path=("root",),
            prompt_tokens=10,
            new_tokens=3,
            waited=1.25,
            ran=2.5,
            preemptions=2,
            replica="r0",
            start_time=None,
        )
        await store.write(batch(1, made))

        assert await store.page(PastQuery("acme", "planner"), 10) == [made]

    async def test_calls_are_listed_newest_first_page_by_page_and_of_the_agent_alone(
        self, store: PastStore
    ) -> None:
        others = [ended("x", agent="critic"), ended("y", tenant="globex")]
        await store.write(batch(1, *(ended(f"c{n}", n // 2) for n in range(5)), *others))

        assert await names(store) == ["c4", "c3", "c2", "c1", "c0"]
        first = (await store.page(PastQuery("acme", "planner"), 2))[-1]
        place = (round(first.end_time.timestamp() * 1e6), first.call)
        assert await names(store, 2, beyond=place) == ["c2", "c1"]

    async def test_lists_are_filtered_by_time_outcome_and_lane(self, store: PastStore) -> None:
        await store.write(
            batch(
                1,
                ended("a", 1),
                ended("b", 2, outcome="failed"),
                ended("c", 3, outcome="cancelled", lane="tool"),
            )
        )
        two = NOON + timedelta(minutes=2)

        assert await names(store, ended_from=two) == ["c", "b"]
        assert await names(store, ended_before=two) == ["a"]
        assert await names(store, failed_only=True) == ["b"]
        assert await names(store, lane="tool") == ["c"]

    async def test_a_batch_that_is_tried_again_is_not_added_twice(self, store: PastStore) -> None:
        first = batch(1, ended("a"), sums={key("planner"): (ONE, ONE)})
        await store.write(first)
        await store.write(first)
        await store.write(batch(1, ended("b"), writer=2, sums={key("planner"): (ONE, ONE)}))
        [row] = await store.usage(UsageQuery("acme", "", NOON), 10)

        assert (row.own[0], row.own[3]) == (2, 200)
        assert await names(store) == ["b", "a"]

    async def test_the_last_end_of_an_id_is_kept(self, store: PastStore) -> None:
        await store.write(batch(1, ended("a", 1, outcome="evicted_gateway"), ended("b", 2)))
        await store.write(batch(2, ended("a", 3)))

        assert await names(store) == ["a", "b"]
        assert await names(store, failed_only=True) == []

    async def test_sums_are_told_by_agent_and_lane_for_a_tree_and_for_a_tenant(
        self, store: PastStore
    ) -> None:
        tree = {
            key("root"): (NO_SUMS, ONE),
            key("root", "leaf"): (ONE, ONE),
            key("root", "leaf", hour=13): (ONE, ONE),
            key("root", "leaf", lane="tool"): (ONE, ONE),
            key("root-2"): (ONE, ONE),
            key("root", tenant="globex"): (ONE, ONE),
        }
        await store.write(batch(1, sums=tree))

        async def told(
            agent: str, since: int = 12, after: tuple[str, ...] = (), limit: int = 10
        ) -> list[Any]:
            query = UsageQuery("acme", agent, NOON.replace(hour=since), after)
            rows = await store.usage(query, limit)
            return [("/".join(row.path), row.lane, row.own[0], row.tree[0]) for row in rows]

        leaf = [("root/leaf", "inference", 2, 2), ("root/leaf", "tool", 1, 1)]
        assert await told("root") == [("root", "inference", 0, 1), *leaf]
        assert await told("leaf") == leaf
        assert await told("") == [("root", "inference", 0, 1), ("root-2", "inference", 1, 1), *leaf]
        assert await told("root", 13) == [("root/leaf", "inference", 1, 1)]
        assert await told("", limit=1) == [("root", "inference", 0, 1)]
        assert await told("", after=("root-2",)) == leaf
        assert await told("nobody") == []

    async def test_what_is_old_goes_a_few_rows_at_a_time(self, store: PastStore) -> None:
        sums = {key("a", hour=hour): (ONE, ONE) for hour in (10, 11, 12)}
        await store.write(batch(1, *(ended(f"c{n}", n) for n in range(4)), sums=sums))
        edge = NOON + timedelta(minutes=3)

        assert await store.forget(calls_before=edge, sums_before=NOON, limit=2) == 4
        assert await store.forget(calls_before=edge, sums_before=NOON, limit=2) == 1
        assert await store.forget(calls_before=edge, sums_before=NOON, limit=2) == 0
        assert await names(store) == ["c3"]
        assert len(await store.usage(UsageQuery("acme", "", NOON.replace(hour=0)), 10)) == 1

    async def test_the_oldest_go_beyond_the_bound_of_an_agent_and_of_a_tenant(self, store: PastStore) -> None:
        await store.write(
            batch(
                1,
                *(ended(f"c{n}", n) for n in range(5)),
                ended("x", 9, agent="critic"),
                ended("y", tenant="globex"),
            )
        )

        assert await store.trim("acme", "planner", 3, 100) == 2
        assert await names(store) == ["c4", "c3", "c2"]
        assert await store.trim("acme", "planner", 3, 100) == 0
        assert await store.trim("acme", "", 2, 100) == 2
        assert await names(store) == ["c4"]
        assert await names(store, agent="critic") == ["x"]
        assert await names(store, tenant="globex") == ["y"]

    async def test_a_purge_leaves_nothing_of_the_agent_and_all_of_others(self, store: PastStore) -> None:
        sums = {key("root"): (NO_SUMS, ONE), key("root", "planner"): (ONE, ONE)}
        await store.write(
            batch(1, ended("a"), ended("b", agent="critic"), ended("c", tenant="globex"), sums=sums)
        )
        counts = await store.purge(Scope("acme", "planner"))

        assert counts == {"past_calls": 1, "call_sums": 1}
        assert await store.purge(Scope("acme", "planner")) == {}
        assert await names(store) == []
        assert await names(store, agent="critic") == ["b"]
        assert await names(store, tenant="globex") == ["c"]
        assert [row.path for row in await store.usage(UsageQuery("acme", "", NOON), 10)] == [("root",)]


class TestMemory(Suite):
    """In memory."""

    @pytest.fixture
    def store(self) -> PastStore:
        return MemoryPastStore()


class TestSqlite(Suite):
    """On SQLite."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[PastStore]:
        async with migrated(f"sqlite:///{tmp_path}/scheduler.db", MIGRATIONS) as database:
            yield SqlPastStore(database)


@pytest.mark.postgres
class TestPostgres(Suite):
    """On PostgreSQL."""

    @pytest.fixture
    async def store(self, lent_postgres_url: str) -> AsyncIterator[PastStore]:
        async with migrated(lent_postgres_url, MIGRATIONS, schema="scheduler") as database:
            yield SqlPastStore(database)
