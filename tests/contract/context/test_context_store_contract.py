"""What every Store of the context manager must do; each adapter runs the same suite."""

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis.auth.identity import Scope
from services.chassis.chat import ChatMessage, Role, ToolCall
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Cap, Level
from services.chassis.rpc.errors import IdempotencyMismatch, QuotaExceeded
from services.context.model import Context, Head, Message, Run, Segment, Settings, Summary
from services.context.ports import Part, Store, StoredPart, Transaction
from services.context.store.encrypted import EncryptedStore
from services.context.store.keys import KeyRing
from services.context.store.sql import MIGRATIONS, SqlStore
from tests.fakes.clock import FakeClock
from tests.fakes.databases import migrated
from tests.fakes.stores.context import InMemoryStore

PLANNER = Scope("acme", "planner")
CRITIC = Scope("acme", "critic")
NAMESAKE = Scope("other", "planner")
CAPS = {"contexts": Cap.of(2), "context_bytes": Cap.of(20), "replies": Cap.of(9)}
CLOCK = FakeClock()
NOW = CLOCK.now()
RING = KeyRing.parse([f"k1={base64.b64encode(bytes(32)).decode()}"])


def context(id_: str, *segments: Segment, size: int = 0, revision: int = 1) -> Context:
    settings = Settings(model="demo", labels={"kind": "\u0000 ünï"})
    return Context(id_, settings, NOW, NOW, "nonce", segments, revision=revision, size=size)


def own(branch: str, agent: str = "planner") -> Segment:
    return Segment(agent, branch, 0)


def message(position: int) -> Message:
    chat = ChatMessage(Role.ASSISTANT, f"says {position} \u0000", (ToolCall("c1", "search", '{"q": 1}'),))
    return Message(position, chat, NOW, 3, 3 * position, 9 * position, ("c1",))


def summary(last: int) -> Summary:
    return Summary((Run(1, last),), f"up to {last}", "demo", NOW)


def run(first: int, last: int) -> list[Message]:
    return [message(position) for position in range(first, last + 1)]


def head(generation: str, *, minute: int = 0, finished: bool = False) -> Head:
    at = NOW + timedelta(minutes=minute)
    return Head(
        generation, "demo", 1, "gateway-a", 5, finished, NOW, at, at + timedelta(hours=1), 10, 20, 30, 1
    )


def keeping(**changes: int) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        tx.count(**changes)
        tx.settle(CAPS)

    return work


async def used(store: Store, scope: Scope) -> dict[str, int]:
    told = await store.read(scope, lambda tx: tx.used(CAPS))
    return {one.quota: one.used for one in told if one.level is Level.AGENT}


class StoreContract:
    """Subclasses supply `store`."""

    async def test_a_context_comes_back_as_it_was_put(self, store: Store) -> None:
        made = replace(context("trip", own("b1"), size=7), pinned=(1, 4), open_calls=("c1",), parent="x")
        await store.write(PLANNER, lambda tx: tx.put_context(made))

        assert await store.read(PLANNER, lambda tx: tx.context("trip")) == made

    async def test_a_context_is_invisible_to_another_agent_and_tenant(self, store: Store) -> None:
        await store.write(PLANNER, lambda tx: tx.put_context(context("trip", own("b1"))))

        assert await store.read(CRITIC, lambda tx: tx.context("trip")) is None
        assert await store.read(NAMESAKE, lambda tx: tx.context("trip")) is None

    async def test_a_failed_transaction_changes_nothing(self, store: Store) -> None:
        def work(tx: Transaction) -> None:
            tx.put_context(context("trip", own("b1")))
            raise ValueError("planned")

        with pytest.raises(ValueError, match="planned"):
            await store.write(PLANNER, work)

        assert await store.read(PLANNER, lambda tx: tx.context("trip")) is None

    async def test_contexts_are_listed_by_id_in_byte_order(self, store: Store) -> None:
        for id_ in ("b", "a-1", "a.1", "a", "a_1"):
            await store.write(PLANNER, lambda tx, id_=id_: tx.put_context(context(id_, own(f"b-{id_}"))))  # type: ignore[misc]

        found = await store.read(PLANNER, lambda tx: tx.contexts(after="a", limit=3))
        assert [item.id for item in found] == ["a-1", "a.1", "a_1"]

    async def test_what_is_counted_is_told_and_capped(self, store: Store) -> None:
        await store.write(PLANNER, keeping(contexts=2, context_bytes=14))
        with pytest.raises(QuotaExceeded):
            await store.write(PLANNER, keeping(contexts=1, context_bytes=1))

        assert await used(store, PLANNER) == {"contexts": 2, "context_bytes": 14, "replies": 0}
        assert await used(store, NAMESAKE) == {"contexts": 0, "context_bytes": 0, "replies": 0}

    async def test_an_answer_that_is_kept_is_charged_to_who_asked(self, store: Store) -> None:
        def work(tx: Transaction) -> None:
            tx.remember(RequestIdentity("critic", "AppendMessages", "r1", b"digest"), b"answer")
            tx.settle(CAPS)

        await store.write(PLANNER, work)

        assert (await used(store, CRITIC))["replies"] == 1
        assert (await used(store, PLANNER))["replies"] == 0

    async def test_messages_of_shared_and_own_branches_are_one_list(self, store: Store) -> None:
        await store.write(PLANNER, lambda tx: tx.append("b1", run(1, 6)))
        await store.write(CRITIC, lambda tx: tx.append("b2", run(5, 8)))
        segments = (Segment("planner", "b1", 4), own("b2", "critic"))

        forward = await store.read(CRITIC, lambda tx: tx.messages(segments, after=2, limit=4))
        backward = await store.read(CRITIC, lambda tx: tx.messages(segments, limit=3, newest_first=True))
        before = await store.read(
            CRITIC, lambda tx: tx.messages(segments, before=6, after=2, limit=9, newest_first=True)
        )

        assert forward == run(3, 6)
        assert [item.position for item in backward] == [8, 7, 6]
        assert [item.position for item in before] == [5, 4, 3]

    async def test_the_summaries_of_a_branch_that_end_last_are_kept(self, store: Store) -> None:
        for last in (4, 9, 2, 9, 7):
            await store.write(
                PLANNER,
                lambda tx, last=last: tx.put_summary("b1", summary(last), keep=3),  # type: ignore[misc]
            )
        await store.write(CRITIC, lambda tx: tx.put_summary("b2", summary(1), keep=3))
        segments = (Segment("planner", "b1", 5), own("b2", "critic"))

        found = await store.read(CRITIC, lambda tx: tx.summaries(segments))
        assert found == [(segments[0], summary(last)) for last in (4, 7, 9)] + [(segments[1], summary(1))]
        assert await store.read(NAMESAKE, lambda tx: tx.summaries(segments)) == []

    async def test_summaries_go_with_the_messages_that_they_tell_of(self, store: Store) -> None:
        shared = Segment("planner", "b1", 3)
        await store.write(PLANNER, lambda tx: tx.put_context(context("trip", own("b1"))))
        await store.write(PLANNER, lambda tx: tx.append("b1", run(1, 5)))
        await store.write(CRITIC, lambda tx: tx.put_context(context("fork", shared, own("b2", "critic"))))
        for scope, branch, last in ((PLANNER, "b1", 3), (PLANNER, "b1", 5), (CRITIC, "b2", 2)):
            await store.write(
                scope,
                lambda tx, branch=branch, last=last: tx.put_summary(branch, summary(last), keep=9),  # type: ignore[misc]
            )
        segments = (own("b1"), own("b2", "critic"))

        async def left() -> list[int]:
            found = await store.read(CRITIC, lambda tx: tx.summaries(segments))
            return [each.through for _, each in found]

        assert await left() == [3, 5, 2]
        await store.write(PLANNER, lambda tx: tx.drop_context("trip"))
        assert await left() == [3, 2]
        await store.write(CRITIC, lambda tx: tx.drop_context("fork"))
        assert await left() == []

    async def test_dropping_a_context_keeps_what_forks_show(self, store: Store) -> None:
        shared = Segment("planner", "b1", 3)
        await store.write(PLANNER, lambda tx: tx.put_context(context("trip", own("b1"))))
        await store.write(PLANNER, lambda tx: tx.append("b1", run(1, 5)))
        await store.write(CRITIC, lambda tx: tx.put_context(context("fork", shared, own("b2", "critic"))))
        await store.write(CRITIC, lambda tx: tx.append("b2", run(4, 4)))
        await store.write(PLANNER, lambda tx: tx.drop_context("trip"))

        everything = await store.read(PLANNER, lambda tx: tx.messages((own("b1"),), limit=9))
        fork = await store.read(CRITIC, lambda tx: tx.messages((shared, own("b2", "critic")), limit=9))
        assert everything == run(1, 3)
        assert fork == run(1, 4)

        await store.write(CRITIC, lambda tx: tx.drop_context("fork"))
        assert await store.read(PLANNER, lambda tx: tx.messages((own("b1"),), limit=9)) == []

    async def test_dropping_a_fork_leaves_the_source_whole(self, store: Store) -> None:
        await store.write(PLANNER, lambda tx: tx.put_context(context("trip", own("b1"))))
        await store.write(PLANNER, lambda tx: tx.append("b1", run(1, 5)))
        fork = context("fork", Segment("planner", "b1", 3), own("b2"))
        await store.write(PLANNER, lambda tx: tx.put_context(fork))
        await store.write(PLANNER, lambda tx: tx.drop_context("fork"))

        assert await store.read(PLANNER, lambda tx: tx.messages((own("b1"),), limit=9)) == run(1, 5)

    async def test_a_head_comes_back_as_it_was_put_last(self, store: Store) -> None:
        await store.write(PLANNER, lambda tx: tx.put_head(head("g1")))
        await store.write(PLANNER, lambda tx: tx.put_head(head("g1", finished=True)))

        assert await store.read(PLANNER, lambda tx: tx.head("g1")) == head("g1", finished=True)
        assert await store.read(CRITIC, lambda tx: tx.head("g1")) is None

    async def test_heads_are_listed_last_saved_first(self, store: Store) -> None:
        heads = [
            head("a", minute=1),
            head("b", minute=3),
            head("c", minute=3, finished=True),
            head("d", minute=2),
            replace(head("e", minute=4), deleted=True),
            replace(head("f", minute=5), expires_at=NOW),
        ]
        for item in heads:
            await store.write(PLANNER, lambda tx, item=item: tx.put_head(item))  # type: ignore[misc]

        async def listed(before: tuple[str, int] | None, *, unfinished: bool = False) -> list[str]:
            position = (NOW + timedelta(minutes=before[1]), before[0]) if before else None
            found = await store.read(
                PLANNER,
                lambda tx: tx.heads(before=position, unfinished=unfinished, now=NOW, limit=3),
            )
            return [item.generation for item in found]

        assert await listed(None) == ["c", "b", "d"]
        assert await listed(("b", 3)) == ["d", "a"]
        assert await listed(None, unfinished=True) == ["b", "d", "a"]

    async def test_parts_come_back_in_order_and_can_be_dropped_by_kind(self, store: Store) -> None:
        def put(tx: Transaction) -> None:
            for part, first, data in (
                (Part.EMITTED, 32, b"later"),
                (Part.STATE, 0, b"old"),
                (Part.STATE, 0, b"state"),
                (Part.EMITTED, 0, b"first"),
                (Part.BASE, 0, b"base\0"),
            ):
                tx.put_part("g1", part, first, data)

        await store.write(PLANNER, put)
        parts = await store.read(PLANNER, lambda tx: tx.parts("g1"))
        states = await store.read(PLANNER, lambda tx: tx.states(["g1", "g2"]))
        await store.write(PLANNER, lambda tx: tx.drop_parts("g1", Part.EMITTED))
        fewer = await store.read(PLANNER, lambda tx: tx.parts("g1"))

        assert parts == [
            StoredPart(Part.BASE, 0, b"base\0"),
            StoredPart(Part.STATE, 0, b"state"),
            StoredPart(Part.EMITTED, 0, b"first"),
            StoredPart(Part.EMITTED, 32, b"later"),
        ]
        assert states == {"g1": b"state"}
        assert fewer == parts[:2]
        assert await store.read(CRITIC, lambda tx: tx.parts("g1")) == []

    async def test_collecting_forgets_what_has_expired_and_nothing_else(self, store: Store) -> None:
        for item in (
            replace(head("old"), expires_at=NOW),
            replace(head("gone"), expires_at=NOW, deleted=True),
            head("young"),
        ):
            await store.write(PLANNER, lambda tx, item=item: tx.put_head(item))  # type: ignore[misc]
        await store.write(PLANNER, lambda tx: tx.put_part("old", Part.BASE, 0, b"x"))

        assert await store.collect(limit=10) == 1
        assert await store.read(PLANNER, lambda tx: tx.head("old")) is None
        assert await store.read(PLANNER, lambda tx: tx.head("gone")) is None
        assert await store.read(PLANNER, lambda tx: tx.parts("old")) == []
        assert await store.read(PLANNER, lambda tx: tx.head("young")) is not None

    async def test_a_repeated_request_gets_its_first_answer(self, store: Store) -> None:
        actor = RequestIdentity("planner", "AppendMessages", "r1", b"digest")
        await store.write(PLANNER, lambda tx: tx.remember(actor, b"answer"))

        assert await store.write(PLANNER, lambda tx: tx.recall(actor)) == b"answer"
        assert await store.write(PLANNER, lambda tx: tx.recall(replace(actor, method="Pin"))) is None
        assert await store.write(PLANNER, lambda tx: tx.recall(replace(actor, agent="critic"))) is None
        assert await store.write(NAMESAKE, lambda tx: tx.recall(actor)) is None
        with pytest.raises(IdempotencyMismatch):
            await store.write(PLANNER, lambda tx: tx.recall(replace(actor, digest=b"other")))

    async def test_a_request_without_an_id_is_not_remembered(self, store: Store) -> None:
        actor = RequestIdentity("planner", "AppendMessages")
        await store.write(PLANNER, lambda tx: tx.remember(actor, b"answer"))

        assert await store.write(PLANNER, lambda tx: tx.recall(actor)) is None


class TestInMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return InMemoryStore(CLOCK)


class TestEncryptedInMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return EncryptedStore(InMemoryStore(CLOCK), RING)


class TestEncryptedSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        async with migrated(f"sqlite:///{tmp_path}/context.db", MIGRATIONS) as database:
            yield EncryptedStore(SqlStore(database, CLOCK), RING)


class TestSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        async with migrated(f"sqlite:///{tmp_path}/context.db", MIGRATIONS) as database:
            yield SqlStore(database, CLOCK)


@pytest.mark.postgres
class TestPostgres(StoreContract):
    @pytest.fixture
    async def store(self, lent_postgres_url: str) -> AsyncIterator[Store]:
        async with migrated(lent_postgres_url, MIGRATIONS, schema="context") as database:
            yield SqlStore(database, CLOCK)


@pytest.mark.postgres
class TestEncryptedPostgres(StoreContract):
    @pytest.fixture
    async def store(self, lent_postgres_url: str) -> AsyncIterator[Store]:
        async with migrated(lent_postgres_url, MIGRATIONS, schema="context") as database:
            yield EncryptedStore(SqlStore(database, CLOCK), RING)
