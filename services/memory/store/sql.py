"""The store in SQL: SQLite or PostgreSQL behind the chassis' Database."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.db import Database, idempotency, rankings
from services.chassis.db.purging import purge_tables
from services.chassis.db.sql import upsert
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.quotas import Caps, Tab, Usage
from services.chassis.runtime.clock import Clock, SystemClock
from services.chassis.times import micros
from services.memory.model import Entry, Filter, Listed, Note, Order, Totals
from services.memory.ports import Position, Transaction
from services.memory.store import rows, tables, writers

T = TypeVar("T")

MIGRATIONS: Final = Path(__file__).parent / "migrations" / "versions"
_MOST_PARAMETERS: Final = 500

_NOTES: Final = tables.notes
_LINKS: Final = tables.note_links
_USAGE: Final = tables.usage


def _scoped(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant == sa.bindparam("tenant"), table.c.agent == sa.bindparam("agent"))


def _one(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(_scoped(table), table.c.key == sa.bindparam("of"))


# What every read and write runs, built once: building takes longer than running.
_NOTE: Final = sa.select(_NOTES.c.key, _NOTES.c.accessed_us, _NOTES.c.body).where(_one(_NOTES))
_ETAG: Final = sa.select(_NOTES.c.etag).where(_one(_NOTES))
_TOTALS: Final = sa.select(_USAGE.c.note_count, _USAGE.c.size_bytes).where(_scoped(_USAGE))
_DROPS: Final = tuple(sa.delete(table).where(_one(table)) for table in (_NOTES, tables.note_texts, _LINKS))
_DROP_LINKS: Final = _DROPS[-1]
_ADD_LINKS: Final = sa.insert(_LINKS)
_POINTING: Final = (
    sa.select(_LINKS.c.key)
    .where(_scoped(_LINKS), _LINKS.c.target == sa.bindparam("of"))
    .order_by(_LINKS.c.key)
)


class SqlStore:
    """A NoteStore on a database that has been migrated."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    @property
    def exclusive(self) -> bool:
        """A SQLite file belongs to one process; a PostgreSQL schema may be shared."""
        return self._database.dialect == "sqlite"

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on one snapshot of the database."""
        return await self._database.read(lambda conn: work(_Transaction(conn, scope, self._clock)))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction."""

        def run(conn: sa.Connection) -> T:
            return work(_Transaction(conn, scope, self._clock))

        return await self._database.write(run, turn=scope.tenant)

    async def expiring(self, *, limit: int) -> list[Scope]:
        """Return scopes with expired notes."""
        return await self._database.read(lambda conn: self._expiring(conn, limit))

    async def collect(self) -> None:
        """Forget old replies and rankings."""
        now = self._clock.now()
        await self._database.write(
            lambda conn: idempotency.forget_expired(conn, tables.replies, now, tables.book)
        )
        await self._database.write(lambda conn: rankings.forget_expired(conn, tables.rankings, now))

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent."""
        return await purge_tables(self._database, tables.metadata, scope)

    async def written_by(self, writer: Scope, *, limit: int) -> list[Scope]:
        """Return scopes of others with notes that an agent wrote last."""
        return await writers.written_by(self._database, writer, limit)

    async def forget_writer(self, writer: Scope, owner: Scope) -> int:
        """Blank the writer of what an agent wrote in another scope."""
        return await writers.forget_writer(self._database, writer, owner)

    def _expiring(self, conn: sa.Connection, limit: int) -> list[Scope]:
        table, now = tables.notes, micros(self._clock.now())
        due = sa.and_(table.c.expires_us > rows.NEVER, table.c.expires_us <= now)
        found = conn.execute(sa.select(table.c.tenant, table.c.agent).where(due).distinct().limit(limit))
        return [Scope(row.tenant, row.agent) for row in found]


class _Transaction:
    """A Transaction on one connection."""

    def __init__(self, conn: sa.Connection, scope: Scope, clock: Clock) -> None:
        self._conn = conn
        self._scope = scope
        self._clock = clock
        self._tab = Tab()

    @property
    def scope(self) -> Scope:
        """Whose notes they are."""
        return self._scope

    def note(self, key: str) -> Note | None:
        """Return a note."""
        row = self._conn.execute(_NOTE, self._at(key)).first()
        return None if row is None else rows.from_row(row)

    def notes(self, keys: Sequence[str]) -> dict[str, Note]:
        """Return those notes that exist."""
        table = tables.notes
        columns = table.c.key, table.c.accessed_us, table.c.body
        found: dict[str, Note] = {}
        for start in range(0, len(keys), _MOST_PARAMETERS):
            some = keys[start : start + _MOST_PARAMETERS]
            query = sa.select(*columns).where(self._mine(table), table.c.key.in_(some))
            found |= {row.key: rows.from_row(row) for row in self._conn.execute(query)}
        return found

    def etag(self, key: str) -> str:
        """Return the etag of a note."""
        return self._conn.execute(_ETAG, self._at(key)).scalar_one_or_none() or ""

    def put(self, note: Note, entry: Entry | None) -> None:
        """Insert or replace a note."""
        foreign = None if note.writer in (self._scope.agent, writers.GONE) else note.writer
        upsert(self._conn, tables.notes, {**self._columns(), **rows.to_row(note), "writer": foreign})
        if entry is not None:
            text = {"key": note.key, "vector": entry.vector, "words": f" {entry.words} "}
            upsert(self._conn, tables.note_texts, {**self._columns(), **text})
        self._conn.execute(_DROP_LINKS, self._at(note.key))
        targets = dict.fromkeys(link.key for link in note.fields.links)
        if targets:
            given = [{**self._columns(), "target": target, "key": note.key} for target in targets]
            self._conn.execute(_ADD_LINKS, given)

    def drop(self, key: str) -> None:
        """Forget a note."""
        for statement in _DROPS:
            self._conn.execute(statement, self._at(key))

    def pointing_at(self, key: str) -> list[str]:
        """Return the keys of the notes that link to a key."""
        return list(self._conn.execute(_POINTING, self._at(key)).scalars())

    def listed(
        self, wanted: Filter, order: Order, *, after: Position | None, now: datetime, limit: int
    ) -> list[Listed]:
        """List notes that have not expired."""
        query = self._found(wanted, now, *_listed_columns())
        if after is not None:
            query = query.where(rows.beyond(order, after))
        found = self._conn.execute(query.order_by(*rows.sort(order)).limit(limit))
        return [rows.listed(row) for row in found]

    def matching(
        self, wanted: Filter, words: Sequence[str], *, now: datetime, limit: int
    ) -> list[tuple[Listed, str]]:
        """Return notes that hold any of `words`."""
        column = tables.note_texts.c.words
        query = self._with_texts(wanted, now, column, limit)
        query = query.where(sa.or_(*(rows.holds(self._conn, column, f" {word} ") for word in words)))
        return [(rows.listed(row), row.words.strip()) for row in self._conn.execute(query)]

    def vectors(self, wanted: Filter, *, now: datetime, limit: int) -> list[tuple[Listed, bytes]]:
        """Return the embeddings of notes."""
        query = self._with_texts(wanted, now, tables.note_texts.c.vector, limit)
        return [(rows.listed(row), bytes(row.vector)) for row in self._conn.execute(query)]

    def keep_ranking(self, ranking: str, body: bytes) -> None:
        """Keep a ranking of a search under a new id."""
        owner = (self._scope.tenant, self._scope.agent)
        rankings.keep(self._conn, tables.rankings, owner, (ranking, body), self._clock.now())

    def ranking(self, ranking: str) -> bytes | None:
        """Return a ranking that was kept, or None."""
        owner = (self._scope.tenant, self._scope.agent)
        return rankings.kept(self._conn, tables.rankings, owner, ranking, self._clock.now())

    def expired(self, now: datetime, *, limit: int) -> list[str]:
        """Return the keys of notes that have expired."""
        table = tables.notes
        due = sa.and_(table.c.expires_us > rows.NEVER, table.c.expires_us <= micros(now))
        query = sa.select(table.c.key).where(self._mine(table), due).order_by(table.c.key).limit(limit)
        return list(self._conn.execute(query).scalars())

    def touch(self, times: Mapping[str, datetime]) -> None:
        """Note when some notes were last used."""
        table = tables.notes
        statement = sa.update(table).where(self._mine(table), table.c.key == sa.bindparam("used"))
        values = [{"used": key, "accessed_us": micros(at)} for key, at in times.items()]
        if values:
            self._conn.execute(statement, values)

    def totals(self) -> Totals:
        """Return the running sums."""
        row = self._conn.execute(_TOTALS, self._columns()).first()
        return Totals() if row is None else Totals(row.note_count, row.size_bytes)

    def put_totals(self, totals: Totals) -> None:
        """Replace the running sums."""
        row = {"note_count": totals.count, "size_bytes": totals.bytes}
        upsert(self._conn, tables.usage, {**self._columns(), **row})

    def count(self, **changes: int) -> None:
        """Note what the scope has more, or less, of each quota."""
        self._tab.add(self._scope.charged, changes)

    def settle(self, caps: Caps) -> None:
        """Charge what was noted."""
        tables.book.charge(self._conn, self._tab.owed(), caps)

    def used(self, caps: Caps) -> list[Usage]:
        """Return what is used of each quota."""
        return tables.book.told(self._conn, self._scope.charged, caps)

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer to this request, or None."""
        return idempotency.remembered(self._conn, tables.replies, self._scope.tenant, actor)

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request."""
        now = self._clock.now()
        idempotency.remember(self._conn, tables.replies, self._scope.tenant, actor, reply, now=now)
        if actor.request_id:
            self._tab.add(actor.charged(self._scope.tenant), {REPLIES: 1})

    def _found(self, wanted: Filter, now: datetime, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        limits = rows.conditions(self._conn, wanted, now)
        return sa.select(*columns).where(self._mine(tables.notes), *limits)

    def _with_texts(
        self, wanted: Filter, now: datetime, column: sa.ColumnElement[Any], limit: int
    ) -> sa.Select[Any]:
        notes, texts = tables.notes, tables.note_texts
        same = sa.and_(
            texts.c.tenant == notes.c.tenant, texts.c.agent == notes.c.agent, texts.c.key == notes.c.key
        )
        query = self._found(wanted, now, *_listed_columns(), column).select_from(notes.join(texts, same))
        return query.order_by(*rows.sort(Order.UPDATED)).limit(limit)

    def _mine(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.tenant == self._scope.tenant, table.c.agent == self._scope.agent)

    def _columns(self) -> dict[str, str]:
        return {"tenant": self._scope.tenant, "agent": self._scope.agent}

    def _at(self, key: str) -> dict[str, str]:
        return {**self._columns(), "of": key}


def _listed_columns() -> Sequence[sa.ColumnElement[Any]]:
    table = tables.notes
    return table.c.key, table.c.size_bytes, table.c.created_us, table.c.updated_us, table.c.importance
