"""The index in SQL: SQLite or PostgreSQL through the chassis' database."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.auth.identity import Scope
from services.chassis.db import Database, idempotency, rankings
from services.chassis.db.sql import insert_new
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Caps, Tab, Usage
from services.chassis.runtime.clock import Clock
from services.storage.model import Change, Totals
from services.storage.ports import Transaction
from services.storage.store.purging import purge_scope
from services.storage.store.sql_nodes import SqlNodes, SqlVacatedNames, SqlVersions
from services.storage.store.sql_records import SqlRecords, SqlUploads
from services.storage.store.sql_texts import SqlTexts
from services.storage.store.tables import BOOK, CHANGES, NODES, RANKINGS, REPLIES, SCOPES, VERSIONS

T = TypeVar("T")

MIGRATIONS: Final = Path(__file__).parent / "migrations"
SCHEMA: Final = "storage"

_OWNER: Final = (SCOPES.c.tenant, SCOPES.c.agent)
_MOST_SCOPES: Final = 10_000
"""Named in one statement: databases bound its parameters."""


class SqlIndex:
    """The FileIndex port on a database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot."""
        return await self._database.read(lambda conn: work(SqlTransaction(conn, scope, self._clock)))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction that owns the scope."""

        def run(conn: sa.Connection) -> T:
            transaction = SqlTransaction(conn, scope, self._clock)
            transaction.lock()
            result = work(transaction)
            transaction.flush()
            return result

        return await self._database.write(run, turn=scope.tenant)

    async def forget_replies(self) -> int:
        """Forget the answers and rankings that were kept long enough; return how many answers."""
        now = self._clock.now()
        await self._database.write(lambda conn: rankings.forget_expired(conn, RANKINGS, now))
        return await self._database.write(lambda conn: idempotency.forget_expired(conn, REPLIES, now, BOOK))

    async def last_sequences(self, scopes: Sequence[Scope]) -> dict[Scope, int]:
        """Return the last number taken in each of the scopes."""
        wanted = [(scope.tenant, scope.agent) for scope in scopes]

        def look(conn: sa.Connection) -> dict[Scope, int]:
            found = {}
            for at in range(0, len(wanted), _MOST_SCOPES):
                many = wanted[at : at + _MOST_SCOPES]
                query = sa.select(*_OWNER, SCOPES.c.sequence).where(sa.tuple_(*_OWNER).in_(many))
                for tenant, agent, sequence in conn.execute(query):
                    found[Scope(tenant, agent)] = int(sequence)
            return found

        return dict.fromkeys(scopes, 0) | await self._database.read(look)

    async def scopes(self, *, after: Scope | None, limit: int) -> list[Scope]:
        """List scopes by tenant and agent."""
        position = sa.tuple_(SCOPES.c.tenant, SCOPES.c.agent)
        statement = sa.select(SCOPES.c.tenant, SCOPES.c.agent).order_by(SCOPES.c.tenant, SCOPES.c.agent)
        if after is not None:
            statement = statement.where(position > (after.tenant, after.agent))
        rows = await self._database.read(lambda conn: conn.execute(statement.limit(limit)).all())
        return [Scope(row.tenant, row.agent) for row in rows]

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of a scope."""
        return await purge_scope(self._database, scope)


class SqlTransaction(SqlTexts, SqlNodes, SqlVersions, SqlVacatedNames, SqlUploads, SqlRecords):
    """A Transaction on one connection."""

    def __init__(self, conn: sa.Connection, scope: Scope, clock: Clock) -> None:
        super().__init__(conn, scope)
        self._clock = clock
        self._state: dict[str, int] | None = None
        self._dirty = False

    def lock(self) -> None:
        """Take the scope's row, so that transactions of a scope run one after the other on every engine."""
        found = self._conn.execute(_LOCK, self._whose()).first()
        if found is None:
            insert_new(self._conn, SCOPES, self._owned(dict.fromkeys(_COUNTERS, 0)))
            found = self._conn.execute(_LOCK, self._whose()).one()
        self._state = {name: found._mapping[name] for name in _COUNTERS}  # noqa: SLF001 - the public name

    def flush(self) -> None:
        """Write sums and sequence, once for the whole transaction."""
        if self._dirty:
            self._conn.execute(_COUNT, {**self._whose(), **self._counters()})

    def blocking(self, work: Callable[[], T]) -> T:
        """Run it here on SQLite, whose transactions have a thread; in another thread on PostgreSQL."""
        return work() if self._sqlite else sa.util.await_only(asyncio.to_thread(work))

    def drop_nodes(self, node_ids: Sequence[str]) -> int:
        """Forget nodes with their versions and documents; return how many versions."""
        for node_id in node_ids:
            self.drop_document(node_id)
        versions = self._delete(VERSIONS, VERSIONS.c.node_id.in_(node_ids))
        self._delete(NODES, NODES.c.id.in_(node_ids))
        return versions

    def keep_ranking(self, ranking: str, body: bytes) -> None:
        """Keep a ranking of a search under a new id."""
        owner = (self._scope.tenant, self._scope.agent)
        rankings.keep(self._conn, RANKINGS, owner, (ranking, body), self._clock.now())

    def ranking(self, ranking: str) -> bytes | None:
        """Return a ranking that was kept, or None."""
        owner = (self._scope.tenant, self._scope.agent)
        return rankings.kept(self._conn, RANKINGS, owner, ranking, self._clock.now())

    def totals(self) -> Totals:
        """Return the running sums."""
        state = self._counters()
        return Totals(**{name: state[name] for name in _SUMS})

    def put_totals(self, totals: Totals) -> None:
        """Replace the running sums."""
        self._put_counters(asdict(totals))

    def charge(self, tab: Tab, caps: Caps) -> None:
        """Add what is kept more, or less, to the sums."""
        BOOK.charge(self._conn, tab.owed(), caps)

    def used(self, caps: Caps) -> list[Usage]:
        """Return what is used of each quota."""
        return BOOK.told(self._conn, self._scope.charged, caps)

    def next_sequence(self) -> int:
        """Take the next number of the scope's sequence."""
        return self._take_sequence(1)

    def last_sequence(self) -> int:
        """Return the last number taken."""
        return self._counters()["sequence"]

    def record(self, changes: Sequence[Change]) -> None:
        """Record events and number them."""
        first = self._take_sequence(len(changes)) - len(changes) + 1
        numbered = [replace(change, sequence=at) for at, change in enumerate(changes, start=first)]
        self._insert(CHANGES, [{"sequence": c.sequence, "body": codec.encode(c)} for c in numbered])

    def changes(self, *, after: int, limit: int) -> list[Change]:
        """List events after a sequence number, in order."""
        found = self._select(CHANGES, CHANGES.c.sequence > after)
        rows = self._rows(found.order_by(CHANGES.c.sequence).limit(limit))
        return [codec.decode(Change, row.body) for row in rows]

    def dropped_changes(self) -> int:
        """Return the sequence number up to which events were dropped."""
        return self._counters()["dropped"]

    def drop_changes(self, *, up_to: int) -> None:
        """Forget events up to a sequence number."""
        self._delete(CHANGES, CHANGES.c.sequence <= up_to)
        self._put_counters({"dropped": max(self.dropped_changes(), up_to)})

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer that this very request got before, or None."""
        return idempotency.remembered(self._conn, REPLIES, self._scope.tenant, actor)

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request for its repeats."""
        now = self._clock.now()
        idempotency.remember(self._conn, REPLIES, self._scope.tenant, actor, reply, now=now)

    def _whose(self) -> dict[str, Any]:
        return {"of_tenant": self._scope.tenant, "of_agent": self._scope.agent}

    def _take_sequence(self, count: int) -> int:
        last = self.last_sequence() + count
        self._put_counters({"sequence": last})
        return last

    def _counters(self) -> dict[str, int]:
        if self._state is None:
            row = self._row(SCOPES)
            self._state = {name: row._mapping[name] if row else 0 for name in _COUNTERS}  # noqa: SLF001
        return self._state

    def _put_counters(self, values: dict[str, int]) -> None:
        self._counters().update(values)
        self._dirty = True


_SUMS: Final = tuple(Totals.__dataclass_fields__)
_COUNTERS: Final = ("sequence", "dropped", *_SUMS)
_MINE: Final = (SCOPES.c.tenant == sa.bindparam("of_tenant"), SCOPES.c.agent == sa.bindparam("of_agent"))
_LOCK: Final = sa.select(SCOPES).where(*_MINE).with_for_update()
_COUNT: Final = sa.update(SCOPES).where(*_MINE).values({name: sa.bindparam(name) for name in _COUNTERS})
