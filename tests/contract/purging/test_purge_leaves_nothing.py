"""After a purge no table of any database tells of the agent; the databases say which tables there are."""

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.access.model.approvals import Approval, ApprovalState, Vote
from services.access.ports.store import Transaction
from services.access.service.agents import NewAgent
from services.access.service.audit_verifying import NotedHead
from services.access.service.grants import NewGrant
from services.access.service.purging import PurgeSettings
from services.access.store import sql as access_sql
from services.chassis.auth.identity import Kind, Scope
from services.chassis.chat import ChatMessage, Role
from services.chassis.db import Database
from services.chassis.db.sql import upsert
from services.chassis.db.usage import USAGE
from services.chassis.idempotency import RequestIdentity
from services.context.core import conversations
from services.context.errors import ContextNotFound
from services.context.model import Draft, Settings
from services.context.store import sql as context_sql
from services.context.store import tables as context_tables
from services.memory.model import Fields, Mode
from services.memory.store import sql as memory_sql
from services.memory.store import tables as memory_tables
from services.storage.model import RequestContext
from services.storage.service.files import NewFile
from services.storage.store import sql as storage_sql
from services.storage.store import tables as storage_tables
from services.storage.store.directory import DirectoryBlobs
from services.tool.store import sql as tool_sql
from services.tool.store import tables as tool_tables
from tests.fakes.access_manager import ADMIN, NEW, TENANT, agent, asked, desk
from tests.fakes.clock import FakeClock
from tests.fakes.context import context_service
from tests.fakes.databases import migrated
from tests.fakes.memory import memory_service
from tests.fakes.seal_keys import SEAL_KEYS
from tests.fakes.storage import Kernel

DOOMED = "doomed-agent-7"
OTHER = "critic"
SCOPE = Scope(TENANT, DOOMED)
CLOCK = FakeClock()
BY_TENANT_ALONE = {"agent", "owner", "user_agent", "writer", "subject", "parent_agent"}
"""Columns that hold an agent's id."""

Purge = Callable[[Scope], Awaitable[Mapping[str, int]]]


@dataclass(frozen=True)
class Manager:
    """A manager's tables, and how a store on them purges."""

    metadata: sa.MetaData
    migrations: Path
    purge: Callable[[Database], Purge]


MANAGERS = {
    "context": Manager(
        context_tables.metadata, context_sql.MIGRATIONS, lambda db: context_sql.SqlStore(db, CLOCK).purge
    ),
    "memory": Manager(
        memory_tables.metadata,
        memory_sql.MIGRATIONS,
        lambda db: memory_service(store=memory_sql.SqlStore(db, CLOCK)).purging.purge,
    ),
    "storage": Manager(
        storage_tables.METADATA, storage_sql.MIGRATIONS, lambda db: storage_sql.SqlIndex(db, CLOCK).purge
    ),
    "tool": Manager(tool_tables.metadata, tool_sql.MIGRATIONS, lambda db: tool_sql.SqlStore(db, CLOCK).purge),
}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], name="url")
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/all.db"


def row(table: sa.Table, owner: str, number: int) -> dict[str, Any]:
    """Make a row of an agent, whatever columns the table has."""
    values: dict[str, Any] = {}
    for column in table.columns:
        kind = column.type.python_type
        if column.name == "tenant":
            values[column.name] = TENANT
        elif column.name in BY_TENANT_ALONE:
            values[column.name] = owner
        elif kind is str:
            values[column.name] = f"{column.name[:8]}-{number}"
        else:
            values[column.name] = {int: number, bool: False, float: 1.0, bytes: b"x"}.get(kind)
    return values


def fill(conn: sa.Connection, metadata: sa.MetaData, owner: str, rows: int) -> None:
    """Put rows of an agent into every table but those whose rows hang together with an index of their own."""
    for table in metadata.sorted_tables:
        if table.name not in {"documents", "branch_uses", USAGE}:
            first = 1 if owner == DOOMED else 100
            made = [row(table, owner, number) for number in range(first, first + rows)]
            if table.primary_key.columns.keys() == ["tenant"]:  # a row of the tenant, not of an agent
                upsert(conn, table, made[0])
            else:
                conn.execute(sa.insert(table), made[: _most(table, rows)])
    if USAGE in metadata.tables:
        levels = (("agent", owner), ("tree", owner), ("tenant", ""))
        for level, subject in levels:
            sums = {"tenant": TENANT, "level": level, "subject": subject, "quota": "notes", "used": rows}
            upsert(conn, metadata.tables[USAGE], sums)


def _most(table: sa.Table, rows: int) -> int:
    """Return how many rows differ in their key: a table by agent alone has one."""
    free = [column for column in table.primary_key if column.name not in {"tenant", *BY_TENANT_ALONE}]
    return rows if free else 1


def cells(conn: sa.Connection, schema: str | None) -> Iterator[tuple[str, str]]:
    """Yield every cell of every table that there is, as text, with where it is."""
    for name in sa.inspect(conn).get_table_names(schema=schema):
        table = sa.Table(name, sa.MetaData(), autoload_with=conn, schema=schema)
        for found in conn.execute(sa.select(sa.literal_column("*")).select_from(table)).mappings():
            for column, value in found.items():
                text = bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)
                yield f"{name}.{column}", text


async def places(database: Database, name: str) -> set[str]:
    """Return where the database tells of the doomed agent."""
    schema = _schema(database, name)
    return await database.read(lambda conn: {where for where, text in cells(conn, schema) if DOOMED in text})


@pytest.mark.parametrize("name", MANAGERS)
async def test_no_row_of_a_purged_agent_is_left_in_any_table(name: str, url: str) -> None:
    manager = MANAGERS[name]
    async with migrated(url, manager.migrations, schema=name) as database:
        for owner in (DOOMED, OTHER):
            await database.write(partial(fill, metadata=manager.metadata, owner=owner, rows=3))
        before = await places(database, name)
        count = partial(_mentions, _schema(database, name))
        theirs = await database.read(count)
        counts = await manager.purge(database)(SCOPE)
        again = await manager.purge(database)(SCOPE)

        assert before
        assert await places(database, name) == set()
        assert sum(counts.values()) >= len(before)
        assert again == {}
        assert await database.read(count) == theirs


def _mentions(schema: str | None, conn: sa.Connection) -> int:
    return sum(OTHER in text for _, text in cells(conn, schema))


def _schema(database: Database, name: str) -> str | None:
    return name if database.dialect == "postgresql" else None


async def test_more_rows_than_a_batch_go(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.chassis.db.purging.delete_some.__defaults__", (2,))
    manager = MANAGERS["memory"]
    async with migrated(url, manager.migrations, schema="memory") as database:
        await database.write(lambda conn: fill(conn, manager.metadata, DOOMED, 7))
        assert (await manager.purge(database)(SCOPE))["notes"] == 7


@pytest.fixture(name="context")
async def _context(url: str) -> AsyncIterator[Database]:
    async with migrated(url, context_sql.MIGRATIONS, schema="context") as database:
        yield database


async def test_a_fork_of_a_purged_agent_s_context_keeps_what_it_shows(
    context: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.context.store.handing_over._BATCH", 2)
    service = context_service(store=context_sql.SqlStore(context, CLOCK), clock=CLOCK)
    other = Scope(TENANT, OTHER)
    said = [Draft(ChatMessage(Role.USER, f"line {number}"), token_count=1) for number in range(5)]
    actor = RequestIdentity(DOOMED, "CreateContext")
    talk = service.conversations
    await talk.create(SCOPE, actor, "trip", Settings(), said)
    for fork, at in (("all", 0), ("some", 3)):
        await talk._deps.store.write(other, partial(_fork, fork, at))
    assert await places(context, "context")
    counts = await service.purging.purge(SCOPE)

    assert counts["handed_over"] == 2
    assert await places(context, "context") == set()
    for fork, count in (("all", 5), ("some", 3)):
        found = await talk._deps.store.read(other, partial(_lines, fork))
        assert found == [f"line {number}" for number in range(count)]


def _fork(fork: str, at: int, tx: Any) -> None:
    ids = itertools.count()
    around = conversations.ChangeContext(
        CLOCK.now(), conversations.ContextLimits(), lambda: f"{fork}-{next(ids)}"
    )
    conversations.fork(tx, fork, (DOOMED, "trip"), at, around)


def _lines(fork: str, tx: Any) -> list[str]:
    found = tx.context(fork)
    return [message.chat.content for message in tx.messages(found.segments, limit=99)]


@pytest.mark.parametrize("pieces", [0, 3], ids=["of nothing", "of copies"])
async def test_a_fork_that_shows_no_branch_of_it_does_not_name_it_either(
    context: Database, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.context.core.conversations.MOST_SEGMENTS", 1)
    service = context_service(store=context_sql.SqlStore(context, CLOCK), clock=CLOCK)
    said = [Draft(ChatMessage(Role.USER, f"line {number}"), token_count=1) for number in range(pieces)]
    talk, other = service.conversations, Scope(TENANT, OTHER)
    await talk.create(SCOPE, RequestIdentity(DOOMED, "CreateContext"), "trip", Settings(), said)
    await talk._deps.store.write(other, partial(_fork, "mine", 0))
    counts = await service.purging.purge(SCOPE)

    assert counts["parents"] == 1
    assert "handed_over" not in counts
    assert await places(context, "context") == set()
    kept = await talk._deps.store.read(other, partial(_lines, "mine"))
    assert kept == [f"line {number}" for number in range(pieces)]


class _Between:
    """A database on which something else happens before its transactions, while there is anything."""

    def __init__(self, inner: Database, act: Callable[[sa.Connection], bool]) -> None:
        self._inner = inner
        self._act = act
        self.dialect = inner.dialect

    async def write(self, fn: Callable[[sa.Connection], Any], *, turn: str = "") -> Any:
        """Act, then run `fn`, in transactions of their own."""
        await self._inner.write(self._act)
        return await self._inner.write(fn, turn=turn)

    async def read(self, fn: Callable[[sa.Connection], Any]) -> Any:
        """Act, then run `fn`."""
        await self._inner.write(self._act)
        return await self._inner.read(fn)


@pytest.mark.parametrize("when", range(8))
async def test_a_fork_that_begins_in_the_middle_of_a_purge_is_whole_or_refused(
    context: Database, when: int
) -> None:
    store = context_sql.SqlStore(context, CLOCK)
    service = context_service(store=store, clock=CLOCK)
    said = [Draft(ChatMessage(Role.USER, f"line {number}"), token_count=1) for number in range(5)]
    await service.conversations.create(
        SCOPE, RequestIdentity(DOOMED, "CreateContext"), "trip", Settings(), said
    )
    other, steps = Scope(TENANT, OTHER), itertools.count()
    tried: list[int] = []

    def act(conn: sa.Connection) -> None:
        if next(steps) == when:
            tried.append(when)
            with suppress(ContextNotFound):
                _fork("mine", 0, store._transaction(conn, other))

    await context_sql.SqlStore(_Between(context, act), CLOCK).purge(SCOPE)  # type: ignore[arg-type, unused-ignore]

    assert tried
    assert await places(context, "context") == set()
    if (await store.read(other, lambda tx: tx.context("mine"))) is not None:
        assert await store.read(other, partial(_lines, "mine")) == [f"line {number}" for number in range(5)]


async def test_notes_that_it_wrote_for_others_stay_and_do_not_name_it(url: str) -> None:
    async with migrated(url, memory_sql.MIGRATIONS, schema="memory") as database:
        service = memory_service(store=memory_sql.SqlStore(database, CLOCK), clock=CLOCK)
        other = Scope(TENANT, OTHER)
        for owner, writer, key in (
            (SCOPE, DOOMED, "a"),
            (other, DOOMED, "b"),
            (other, DOOMED, "c"),
            (other, OTHER, "d"),
        ):
            who = RequestIdentity(writer, "PutNote", f"r-{key}", b"d")
            await service.notes.put(owner, who, key, Fields(f"note {key}"), mode=Mode.ANY, etag="")
        assert (await service.notes.get(other, "b")).writer == DOOMED
        assert await places(database, "memory")
        counts = await service.purging.purge(SCOPE)

        assert counts["written"] == 2
        assert await places(database, "memory") == set()
        found = [await service.notes.get(other, key) for key in "bcd"]
        assert [(note.writer, note.fields.content) for note in found] == [
            ("erased", "note b"),
            ("erased", "note c"),
            (OTHER, "note d"),
        ]
        assert await service.purging.purge(SCOPE) == {}


async def test_files_go_with_their_blobs_and_files_of_others_stay(url: str, tmp_path: Path) -> None:
    async with migrated(url, storage_sql.MIGRATIONS, schema="storage") as database:
        blobs = DirectoryBlobs(tmp_path / "blobs")
        service = Kernel(index=storage_sql.SqlIndex(database, CLOCK), blobs=blobs).service
        other = Scope(TENANT, OTHER)
        mine, theirs = RequestContext(SCOPE, DOOMED), RequestContext(other, DOOMED)
        big = bytes(range(256)) * 1024
        for call, path in ((mine, "a"), (mine, "b"), (theirs, "c")):
            await service.files.write(call, NewFile(path, big))
        assert await places(database, "storage")
        counts = await service.purging.purge(SCOPE)

        assert await places(database, "storage") == set()
        assert counts["blobs"] >= 1
        assert (await service.files.stat(other, "c")).writer == "erased"
        assert await asyncio.to_thread(lambda: list((tmp_path / "blobs").rglob(DOOMED))) == []
        assert await service.purging.purge(SCOPE) == {}


async def test_access_forgets_a_purged_agent_and_all_below_it(url: str, tmp_path: Path) -> None:
    async with migrated(url, access_sql.MIGRATIONS, schema="access") as database:
        store = access_sql.SqlStore(database, SEAL_KEYS)
        one = await asyncio.to_thread(
            desk, store, tmp_path, purging=PurgeSettings(managers=("memory", "tool"))
        )
        manager = one.manager
        await manager.agents.register(ADMIN, NewAgent(id=DOOMED), asked("r1"))
        await one.register(OTHER)
        await one.register(f"{DOOMED}-child", by=agent(DOOMED))
        await manager.groups.create(ADMIN, "groups/g", title="", description="", asked=NEW)
        await manager.groups.add_member(ADMIN, "groups/g", f"agents/{DOOMED}", NEW)
        for by, to, on in ((DOOMED, OTHER, DOOMED), (OTHER, DOOMED, OTHER)):
            grant = NewGrant(
                grantee=f"agents/{to}",
                resource=f"agents/{on}/files/x",
                actions=frozenset({"storage.read"}),
            )
            await manager.grants.create(agent(by), grant, NEW)
        await store.write(_approvals)
        await one.decide(agent(DOOMED), "memory.read", f"agents/{OTHER}/notes/n")
        await manager.flush()
        await manager.agents.kill(ADMIN, DOOMED, "")
        assert len(await places(database, "access")) > 10

        await manager.purges.purge(ADMIN, DOOMED, "asked for", asked("r2"))
        for _ in range(2):
            await manager.purges.step()
            for name in ("memory", "tool"):
                for purge in await manager.purges.waiting_for(name, 10):
                    await manager.purges.confirm(name, purge.tenant, purge.agent, purge.number, {"notes": 2})
            await manager.purges.step()
            one.clock.advance(61)
        await manager.purges.step()

        assert await places(database, "access") == set()
        assert (await manager.verifier.verify(ADMIN, 0, 0, NotedHead())).result.intact
        assert one.meter.counts["purged"] == 2


def _approvals(tx: Transaction) -> None:
    now = CLOCK.now()
    vote = Vote(DOOMED, Kind.AGENT, approved=True, comment="fine", time=now)
    asked_of = ((DOOMED, "admin", DOOMED), (OTHER, DOOMED, ""), (OTHER, "admin", ""))
    for number, (who, decider, root) in enumerate(asked_of):
        tx.approvals.insert(
            Approval(
                TENANT,
                f"a{number}",
                who,
                "tool.call",
                "tools/t",
                "",
                "",
                "",
                ApprovalState.APPROVED,
                now,
                now,
                decider=decider,
                root=root,
                votes=(vote, dataclasses.replace(vote, decider=OTHER)),
            )
        )


@pytest.mark.parametrize(
    ("name", "table", "index", "column"),
    [
        ("memory", "notes", "notes_by_writer", "writer"),
        ("context", "contexts", "contexts_by_parent", "parent_agent"),
    ],
)
async def test_what_an_earlier_release_kept_is_found_too(
    name: str, table: str, index: str, column: str, url: str
) -> None:
    manager = MANAGERS[name]
    async with migrated(url, manager.migrations, schema=name) as database:
        await _keep_for_others(name, database)
        where = f"{name}." if database.dialect == "postgresql" else ""

        def go_back(conn: sa.Connection) -> None:
            for statement in (
                f"DROP INDEX {where}{index}",
                f"ALTER TABLE {where}{table} DROP COLUMN {column}",
                f"UPDATE {where}alembic_version SET version_num = '0003'",  # noqa: S608 - the test's own text
            ):
                conn.execute(sa.text(statement))

        await database.write(go_back)
        await database.migrate()
        assert await places(database, name)
        await manager.purge(database)(SCOPE)

        assert await places(database, name) == set()


async def _keep_for_others(name: str, database: Database) -> None:
    other, by = Scope(TENANT, OTHER), RequestIdentity(DOOMED, "Put")
    if name == "memory":
        notes = memory_service(store=memory_sql.SqlStore(database, CLOCK), clock=CLOCK).notes
        for key in "ab":
            await notes.put(other, by, key, Fields("hello"), mode=Mode.ANY, etag="")
        return
    store = context_sql.SqlStore(database, CLOCK)
    talk = context_service(store=store, clock=CLOCK).conversations
    await talk.create(SCOPE, by, "trip", Settings(), [])
    for fork in "ab":
        await store.write(other, partial(_fork, fork, 0))
