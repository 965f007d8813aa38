"""What every NoteStore must do; each adapter runs the same suite."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.db import Database
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import DataCorrupt, IdempotencyMismatch
from services.memory.core.notes import describe
from services.memory.model import Fields, Filter, Link, LinkKind, Note, Order, Totals
from services.memory.ports import NoteStore, Transaction
from services.memory.store import tables
from services.memory.store.sql import MIGRATIONS, SqlStore
from tests.fakes.clock import FakeClock
from tests.fakes.databases import migrated
from tests.fakes.stores.memory import InMemoryStore

PLANNER = Scope("acme", "planner")
CRITIC = Scope("acme", "critic")
NAMESAKE = Scope("other", "planner")
CLOCK = FakeClock()
NOW = CLOCK.now()


def note(key: str, content: str = "", *, minute: int = 0, **fields: object) -> Note:
    said = Fields(content=content, **fields)  # type: ignore[arg-type]
    at = NOW + timedelta(minutes=minute)
    return Note(key, said, at, at, at, "nonce", "planner", said.size)


async def put(store: NoteStore, *notes: Note, scope: Scope = PLANNER) -> None:
    def work(tx: Transaction) -> None:
        for item in notes:
            tx.put(item, describe(item.fields))

    await store.write(scope, work)


async def keys(
    store: NoteStore,
    wanted: Filter | None = None,
    order: Order = Order.KEY,
    *,
    after: tuple[str | int, ...] | None = None,
    limit: int = 10,
) -> list[str]:
    found = await store.read(
        PLANNER, lambda tx: tx.listed(wanted or Filter(), order, after=after, now=NOW, limit=limit)
    )
    return [item.key for item in found]


def micros(minute: int) -> int:
    return int((NOW + timedelta(minutes=minute)).timestamp()) * 1_000_000


class StoreContract:
    """Subclasses supply `store`."""

    async def test_a_note_comes_back_as_it_was_put(self, store: NoteStore) -> None:
        made = note(
            "trip/budget ü%_",
            "text \u0000 end",
            tags=("a", "b\u0001"),
            keywords=("k",),
            category="travel\u0000",
            links=(Link("other", LinkKind.SUPERSEDES, 0.5),),
            metadata={"x": "y"},
            importance=0.25,
            expires_at=NOW + timedelta(days=1),
        )
        await put(store, made)

        assert await store.read(PLANNER, lambda tx: tx.note(made.key)) == made
        assert await store.read(PLANNER, lambda tx: tx.etag(made.key)) == made.etag
        assert await store.read(PLANNER, lambda tx: tx.notes(["none", made.key])) == {made.key: made}

    async def test_a_note_is_invisible_to_another_agent_and_tenant(self, store: NoteStore) -> None:
        await put(store, note("n1", "secret words", links=(Link("n2"),)))

        for scope in (CRITIC, NAMESAKE):
            assert await store.read(scope, lambda tx: tx.note("n1")) is None
            assert await store.read(scope, lambda tx: tx.etag("n1")) == ""
            assert await store.read(scope, lambda tx: tx.pointing_at("n2")) == []
            assert (
                await store.read(scope, lambda tx: tx.matching(Filter(), ["secret"], now=NOW, limit=9)) == []
            )
            assert await store.read(scope, lambda tx: tx.vectors(Filter(), now=NOW, limit=9)) == []

    async def test_a_failed_transaction_changes_nothing(self, store: NoteStore) -> None:
        def work(tx: Transaction) -> None:
            tx.put(note("n1"), describe(Fields()))
            raise ValueError("planned")

        with pytest.raises(ValueError, match="planned"):
            await store.write(PLANNER, work)

        assert await store.read(PLANNER, lambda tx: tx.note("n1")) is None

    async def test_a_dropped_note_leaves_nothing_behind(self, store: NoteStore) -> None:
        await put(store, note("n1", "words", links=(Link("n2"),)), note("n2"))
        await store.write(PLANNER, lambda tx: tx.drop("n1"))

        assert await keys(store) == ["n2"]
        assert await store.read(PLANNER, lambda tx: tx.pointing_at("n2")) == []
        assert await store.read(PLANNER, lambda tx: tx.matching(Filter(), ["words"], now=NOW, limit=9)) == []

    async def test_notes_are_listed_by_key_in_byte_order(self, store: NoteStore) -> None:
        await put(store, *(note(key) for key in ("b", "a/1", "B", "a", "ä", "a-1")))

        assert await keys(store) == ["B", "a", "a-1", "a/1", "b", "ä"]
        assert await keys(store, after=("a",), limit=2) == ["a-1", "a/1"]

    async def test_notes_are_listed_by_time(self, store: NoteStore) -> None:
        await put(store, note("a", minute=1), note("b", minute=3), note("c", minute=3), note("d", minute=2))

        assert await keys(store, order=Order.UPDATED) == ["b", "c", "d", "a"]
        assert await keys(store, order=Order.UPDATED, after=(micros(3), "b")) == ["c", "d", "a"]
        assert await keys(store, order=Order.CREATED) == ["a", "d", "b", "c"]
        assert await keys(store, order=Order.CREATED, after=(micros(2), "d")) == ["b", "c"]

    async def test_filters_narrow_a_list(self, store: NoteStore) -> None:
        await put(
            store,
            note("trip/a", tags=("x", "y"), category="travel"),
            note("trip/b", tags=("x",), category="food", minute=5),
            note("tripod", tags=("X", "xy")),
            note("t%ip/c", tags=("x\u0001",)),
        )

        assert await keys(store, Filter(key_prefix="trip/")) == ["trip/a", "trip/b"]
        assert await keys(store, Filter(key_prefix="t%")) == ["t%ip/c"]
        assert await keys(store, Filter(tags=("x",))) == ["trip/a", "trip/b"]
        assert await keys(store, Filter(tags=("x", "y"))) == ["trip/a"]
        assert await keys(store, Filter(tags=("x\u0001",))) == ["t%ip/c"]
        assert await keys(store, Filter(category="food")) == ["trip/b"]
        assert await keys(store, Filter(updated_after=NOW + timedelta(minutes=5))) == ["trip/b"]

    async def test_expired_notes_are_listed_for_deletion_only(self, store: NoteStore) -> None:
        await put(
            store,
            note("old", "words", expires_at=NOW),
            note("young", "words", expires_at=NOW + timedelta(seconds=1)),
            note("ever", "words"),
        )

        assert await keys(store) == ["ever", "young"]
        assert await store.read(PLANNER, lambda tx: tx.expired(NOW, limit=9)) == ["old"]
        assert await store.expiring(limit=9) == [PLANNER]
        found = await store.read(PLANNER, lambda tx: tx.matching(Filter(), ["words"], now=NOW, limit=9))
        assert {item.key for item, _ in found} == {"ever", "young"}

    async def test_notes_match_by_whole_normalised_words(self, store: NoteStore) -> None:
        await put(store, note("a", "Paris in Spring"), note("b", "comparison"), note("c", "PÂRIS!", minute=1))
        found = await store.read(PLANNER, lambda tx: tx.matching(Filter(), ["paris"], now=NOW, limit=9))
        first = await store.read(PLANNER, lambda tx: tx.matching(Filter(), ["paris"], now=NOW, limit=1))

        assert [(item.key, text) for item, text in found] == [("c", "paris"), ("a", "paris in spring")]
        assert [item.key for item, _ in first] == ["c"]

    async def test_vectors_come_back_as_they_were_put(self, store: NoteStore) -> None:
        made = note("a", "Paris in Spring")
        await put(store, made)
        await store.write(PLANNER, lambda tx: tx.put(replace(made, revision=2), None))
        found = await store.read(PLANNER, lambda tx: tx.vectors(Filter(), now=NOW, limit=9))

        assert [(item.key, vector) for item, vector in found] == [("a", describe(made.fields).vector)]

    async def test_links_are_found_from_their_target(self, store: NoteStore) -> None:
        await put(store, note("b", links=(Link("x"),)), note("a", links=(Link("x"), Link("y"))), note("x"))
        before = await store.read(PLANNER, lambda tx: tx.pointing_at("x"))
        await put(store, note("b", links=(Link("y"),)))

        assert before == ["a", "b"]
        assert await store.read(PLANNER, lambda tx: tx.pointing_at("x")) == ["a"]
        assert await store.read(PLANNER, lambda tx: tx.pointing_at("y")) == ["a", "b"]

    async def test_times_of_use_are_kept(self, store: NoteStore) -> None:
        await put(store, note("a"))
        later = NOW + timedelta(minutes=9)
        await store.write(PLANNER, lambda tx: tx.touch({"a": later, "none": later}))
        found = await store.read(PLANNER, lambda tx: tx.note("a"))

        assert found is not None
        assert found.accessed_at == later

    async def test_totals_are_kept(self, store: NoteStore) -> None:
        await store.write(PLANNER, lambda tx: tx.put_totals(Totals(1, 2)))
        await store.write(PLANNER, lambda tx: tx.put_totals(Totals(3, 4)))

        assert await store.read(PLANNER, lambda tx: tx.totals()) == Totals(3, 4)
        assert await store.read(CRITIC, lambda tx: tx.totals()) == Totals()

    async def test_a_repeated_request_gets_its_first_answer(self, store: NoteStore) -> None:
        actor = RequestIdentity("planner", "PutNote", "r1", b"digest")
        await store.write(PLANNER, lambda tx: tx.remember(actor, b"answer"))
        await store.collect()

        assert await store.write(PLANNER, lambda tx: tx.recall(actor)) == b"answer"
        assert await store.write(PLANNER, lambda tx: tx.recall(replace(actor, agent="critic"))) is None
        assert await store.write(NAMESAKE, lambda tx: tx.recall(actor)) is None
        with pytest.raises(IdempotencyMismatch):
            await store.write(CRITIC, lambda tx: tx.recall(replace(actor, digest=b"other")))


class TestInMemory(StoreContract):
    @pytest.fixture
    def store(self) -> NoteStore:
        return InMemoryStore(CLOCK)


class TestSqlite(StoreContract):
    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[Database]:
        async with migrated(f"sqlite:///{tmp_path}/memory.db", MIGRATIONS) as database:
            yield database

    @pytest.fixture
    def store(self, database: Database) -> NoteStore:
        return SqlStore(database, CLOCK)

    async def test_a_flipped_bit_is_noticed(self, store: NoteStore, database: Database) -> None:
        await put(store, note("a", "words"))
        table = tables.notes

        def damage(conn: sa.Connection) -> None:
            body = bytearray(conn.execute(sa.select(table.c.body)).scalar_one())
            body[-3] ^= 1
            conn.execute(sa.update(table).values(body=bytes(body)))

        await database.write(damage)
        with pytest.raises(DataCorrupt):
            await store.read(PLANNER, lambda tx: tx.note("a"))


@pytest.mark.postgres
class TestPostgres(StoreContract):
    @pytest.fixture
    async def store(self, lent_postgres_url: str) -> AsyncIterator[NoteStore]:
        async with migrated(lent_postgres_url, MIGRATIONS, schema="memory") as database:
            yield SqlStore(database, CLOCK)
