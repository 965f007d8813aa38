"""What every database shows its service, whichever engine is behind it."""

import asyncio
import functools
import multiprocessing
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy
from prometheus_client import CollectorRegistry
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from services.chassis.db import Database, idempotency, open_database
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import IdempotencyMismatch, KernelError, ServiceUnavailable
from services.chassis.runtime.metrics import DatabaseMetrics
from tests.fakes.clock import FakeClock

METADATA = MetaData()
NOTES = Table(
    "notes", METADATA, Column("key", String, primary_key=True), Column("value", Integer, nullable=False)
)
REPLIES = idempotency.table(METADATA)

FIRST = '''
"""Notes."""
import sqlalchemy as sa
from alembic import op
from services.chassis.db import idempotency

revision = "0001"
down_revision = None

def upgrade() -> None:
    key = sa.Column("key", sa.String, primary_key=True)
    op.create_table("notes", key, sa.Column("value", sa.Integer, nullable=False))
    op.create_table("idempotency", *idempotency.columns())
'''
SECOND = '''
"""Colours."""
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

def upgrade() -> None:
    op.add_column("notes", sa.Column("colour", sa.String))
'''
BROKEN = '''
"""Broken half way."""
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

def upgrade() -> None:
    op.add_column("notes", sa.Column("half", sa.String))
    op.execute("this is no SQL")
'''


def put(conn: Connection, key: str, value: int) -> None:
    """Add a note."""
    conn.execute(insert(NOTES).values(key=key, value=value))


def storing(key: str, value: int) -> Callable[[Connection], None]:
    """Return a transaction that adds a note."""
    return lambda conn: put(conn, key, value)


def reading(key: str) -> Callable[[Connection], int | None]:
    """Return a transaction that reads a note."""
    return lambda conn: value_of(conn, key)


def value_of(conn: Connection, key: str) -> int | None:
    """Read a note."""
    return conn.execute(select(NOTES.c.value).where(NOTES.c.key == key)).scalar_one_or_none()


def add_one(conn: Connection) -> None:
    """Read, then write what depends on it: loses updates unless transactions are serializable."""
    value = value_of(conn, "counter") or 0
    conn.execute(update(NOTES).where(NOTES.c.key == "counter").values(value=value + 1))


def migrate_in_a_process(url: str, directory: str) -> None:
    """Migrate and add a note, as one of several processes that start at once."""

    async def work() -> None:
        database = open_database(url, schema="memory", migrations=Path(directory))
        await database.migrate()
        await database.write(add_one)
        await database.close()

    asyncio.run(work())


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """Make a directory with the first revision."""
    directory = tmp_path / "migrations"
    directory.mkdir()
    (directory / "0001_notes.py").write_text(FIRST)
    return directory


def remember_agent(conn: Connection, key: RequestIdentity, now: datetime) -> None:
    """Remember a reply that names the agent."""
    idempotency.remember(conn, REPLIES, "acme", replace(key, digest=b"d"), key.agent.encode(), now=now)


class DatabaseContract:
    """Behaviour of every database; subclasses supply `url`."""

    @pytest.fixture
    def registry(self) -> CollectorRegistry:
        return CollectorRegistry()

    @pytest.fixture
    async def database(
        self, url: str, migrations: Path, registry: CollectorRegistry
    ) -> AsyncIterator[Database]:
        database = open_database(
            url, schema="memory", migrations=migrations, metrics=DatabaseMetrics(registry)
        )
        await database.migrate()
        yield database
        await database.close()

    async def test_a_read_sees_every_acknowledged_write(self, database: Database) -> None:
        for number in range(20):
            await database.write(storing(f"k{number}", number))

            assert await database.read(reading(f"k{number}")) == number

    async def test_a_write_returns_what_its_function_returns(self, database: Database) -> None:
        assert await database.write(lambda conn: value_of(conn, "none") or "nothing") == "nothing"

    async def test_what_a_function_raises_undoes_it_and_comes_out(self, database: Database) -> None:
        def fail(conn: Connection) -> None:
            put(conn, "k", 1)
            raise LookupError("changed my mind")

        with pytest.raises(LookupError, match="changed my mind"):
            await database.write(fail)

        assert await database.read(reading("k")) is None

    async def test_a_failing_neighbour_costs_nobody_else_anything(self, database: Database) -> None:
        def write(number: int) -> Coroutine[None, None, None]:
            def fn(conn: Connection) -> None:
                put(conn, f"k{number}", number)
                if number % 3 == 0:
                    raise ValueError(number)

            return database.write(fn)

        results = await asyncio.gather(*(write(n) for n in range(30)), return_exceptions=True)
        kept = await database.read(lambda conn: set(conn.execute(select(NOTES.c.value)).scalars()))

        assert [isinstance(result, ValueError) for result in results] == [n % 3 == 0 for n in range(30)]
        assert kept == {n for n in range(30) if n % 3}

    async def test_a_broken_rule_is_the_caller_s_own_error(self, database: Database) -> None:
        await database.write(storing("k", 1))

        with pytest.raises(IntegrityError):
            await database.write(storing("k", 2))
        assert await database.read(reading("k")) == 1

    async def test_no_update_is_lost(self, database: Database) -> None:
        await database.write(storing("counter", 0))

        async def worker() -> None:
            for _ in range(10):
                await database.write(add_one)

        await asyncio.gather(*(worker() for _ in range(5)))

        assert await database.read(reading("counter")) == 50

    async def test_a_read_cannot_write(self, database: Database) -> None:
        with pytest.raises((SQLAlchemyError, KernelError)):
            await database.read(storing("k", 1))

        assert await database.read(reading("k")) is None

    async def test_a_cancelled_write_leaves_the_database_usable(self, database: Database) -> None:
        task = asyncio.ensure_future(database.write(storing("k", 1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await database.write(storing("other", 2))

        assert await database.read(reading("other")) == 2

    async def test_a_healthy_database_has_no_problem(self, database: Database) -> None:
        assert await database.problem() is None

    async def test_commits_are_measured(self, database: Database, registry: CollectorRegistry) -> None:
        await database.write(storing("k", 1))

        assert registry.get_sample_value("aios_database_commit_seconds_count", {"database": "main"}) == 1
        assert registry.get_sample_value("aios_database_batch_size_sum", {"database": "main"}) == 1
        assert (registry.get_sample_value("aios_database_queue", {"database": "main"}) or 0) == 0

    async def test_a_second_migration_applies_only_what_is_new(
        self, database: Database, url: str, migrations: Path
    ) -> None:
        await database.write(storing("k", 1))
        await database.migrate()
        (migrations / "0002_colours.py").write_text(SECOND)
        newer = open_database(url, schema="memory", migrations=migrations)
        await newer.migrate()
        row = await newer.read(lambda conn: conn.execute(sqlalchemy.text("SELECT * FROM notes")).one())
        await newer.close()

        assert tuple(row) == ("k", 1, None)

    async def test_a_migration_that_fails_changes_nothing(self, database: Database, migrations: Path) -> None:
        (migrations / "0002_broken.py").write_text(BROKEN)
        with pytest.raises(SQLAlchemyError):
            await database.migrate()
        columns = await database.read(
            lambda conn: [column["name"] for column in sqlalchemy.inspect(conn).get_columns("notes")]
        )

        assert columns == ["key", "value"]

    def test_processes_that_start_at_once_migrate_once(self, url: str, migrations: Path) -> None:
        context = multiprocessing.get_context("spawn")
        arguments = (url, str(migrations))
        processes = [context.Process(target=migrate_in_a_process, args=arguments) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(45)

        assert [process.exitcode for process in processes] == [0, 0, 0]

    async def test_a_repeated_request_gets_the_first_reply(self, database: Database) -> None:
        key = RequestIdentity("planner", "PutNote", "r1")
        now = FakeClock().now()

        def put_once(conn: Connection) -> bytes:
            known = idempotency.remembered(conn, REPLIES, "acme", replace(key, digest=b"d1"))
            if known is not None:
                return known
            add_one(conn)
            reply = str(value_of(conn, "counter")).encode()
            idempotency.remember(conn, REPLIES, "acme", replace(key, digest=b"d1"), reply, now=now)
            return reply

        await database.write(storing("counter", 0))
        replies = await asyncio.gather(*(database.write(put_once) for _ in range(8)))

        assert replies == [b"1"] * 8
        assert await database.read(reading("counter")) == 1

    async def test_the_same_request_id_for_another_request_is_refused(self, database: Database) -> None:
        key = RequestIdentity("planner", "PutNote", "r1")
        now = FakeClock().now()
        await database.write(
            lambda conn: idempotency.remember(
                conn, REPLIES, "acme", replace(key, digest=b"d1"), b"reply", now=now
            )
        )

        with pytest.raises(IdempotencyMismatch):
            await database.read(
                lambda conn: idempotency.remembered(conn, REPLIES, "acme", replace(key, digest=b"d2"))
            )

    async def test_another_agent_s_request_id_is_another_request(self, database: Database) -> None:
        now = FakeClock().now()
        for agent in ("planner", "critic"):
            key = RequestIdentity(agent, "PutNote", "r1")
            await database.write(functools.partial(remember_agent, key=key, now=now))
        key = RequestIdentity("critic", "PutNote", "r1")

        assert await database.read(
            lambda conn: idempotency.remembered(conn, REPLIES, "acme", replace(key, digest=b"d"))
        ) == b"critic"  # fmt: skip

    async def test_replies_are_forgotten_after_a_day(self, database: Database) -> None:
        clock = FakeClock()
        key = RequestIdentity("planner", "PutNote", "r1")
        await database.write(
            lambda conn: idempotency.remember(
                conn, REPLIES, "acme", replace(key, digest=b"d"), b"r", now=clock.now()
            )
        )
        clock.advance(24 * 3600 - 1)
        early = await database.write(lambda conn: idempotency.forget_expired(conn, REPLIES, clock.now()))
        clock.advance(2)
        late = await database.write(lambda conn: idempotency.forget_expired(conn, REPLIES, clock.now()))

        assert (early, late) == (0, 1)

    async def test_a_request_without_an_id_is_never_remembered(self, database: Database) -> None:
        key = RequestIdentity("planner", "PutNote", "")
        now = FakeClock().now()
        await database.write(
            lambda conn: idempotency.remember(conn, REPLIES, "acme", replace(key, digest=b"d"), b"r", now=now)
        )

        assert (
            await database.read(
                lambda conn: idempotency.remembered(conn, REPLIES, "acme", replace(key, digest=b"d"))
            )
            is None
        )


class TestSqlite(DatabaseContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/deep/m.db"

    async def test_writes_that_wait_together_share_a_commit(
        self, database: Database, registry: CollectorRegistry
    ) -> None:
        await asyncio.gather(*(database.write(storing(f"k{n}", n)) for n in range(200)))
        commits = registry.get_sample_value("aios_database_commit_seconds_count", {"database": "main"})

        assert commits is not None
        assert commits < 100

    async def test_a_full_database_says_so_and_recovers(self, database: Database) -> None:
        def limit(pages: int) -> Callable[[Connection], None]:
            def fn(conn: Connection) -> None:
                conn.exec_driver_sql(f"PRAGMA max_page_count={pages}")

            return fn

        await database.write(limit(1))
        big = "x" * 200_000
        with pytest.raises(KernelError) as full:
            await database.write(storing(big, 1))
        await database.write(limit(1_000_000))
        await database.write(storing(big, 1))

        assert full.value.reason == "DISK_FULL"
        assert await database.read(reading(big)) == 1

    async def test_a_full_disk_in_a_group_is_the_fault_of_one(self, database: Database) -> None:
        await database.write(lambda conn: conn.exec_driver_sql("PRAGMA max_page_count=30"))
        big = "x" * 200_000
        results = await asyncio.gather(
            *(database.write(storing(big if n == 5 else f"k{n}", n)) for n in range(10)),
            return_exceptions=True,
        )
        kept = await database.read(lambda conn: set(conn.execute(select(NOTES.c.value)).scalars()))

        assert [n for n, result in enumerate(results) if isinstance(result, BaseException)] == [5]
        assert kept == set(range(10)) - {5}

    async def test_a_damaged_file_is_data_corrupt(self, tmp_path: Path) -> None:
        path = tmp_path / "bad.db"
        path.write_bytes(b"this is no database" * 1000)
        database = open_database(f"sqlite:///{path}")

        assert await database.problem() == "the database is damaged"
        await database.close()

    async def test_a_closed_database_refuses_writes(self, url: str) -> None:
        database = open_database(url)
        await database.migrate()
        await database.close()

        with pytest.raises(ServiceUnavailable):
            await database.write(lambda conn: conn.execute(select(1)))


@pytest.mark.postgres
class TestPostgres(DatabaseContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url

    async def test_the_tables_lie_in_the_service_s_own_schema(self, database: Database) -> None:
        schemas = await database.read(
            lambda conn: (
                conn.execute(sqlalchemy.text("SELECT schemaname FROM pg_tables WHERE tablename = 'notes'"))
                .scalars()
                .all()
            )
        )

        assert list(schemas) == ["memory"]

    async def test_a_server_that_is_away_is_unavailable(self) -> None:
        database = open_database("postgresql://nobody@127.0.0.1:1/none", schema="memory")

        with pytest.raises(ServiceUnavailable):
            await database.write(lambda conn: conn.execute(select(1)))
        assert await database.problem() == "the database is not available"
        await database.close()


def test_other_databases_are_refused() -> None:
    with pytest.raises(ValueError, match="mysql"):
        open_database("mysql://x/y")
    with pytest.raises(ValueError, match="needs a file"):
        open_database("sqlite://")
    with pytest.raises(ValueError, match="schema name"):
        open_database("postgresql://x/y", schema="a;b")
