"""The store in SQL: SQLite or PostgreSQL behind the chassis' Database."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.db import Database, idempotency
from services.chassis.db.purging import purge_rows, purge_tables, rows_of
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.quotas import Caps, Owner, Tab, Usage
from services.chassis.runtime.clock import Clock, SystemClock
from services.chassis.times import micros
from services.context.ports import Transaction
from services.context.store import handing_over, tables
from services.context.store.rows import ContextRows
from services.context.store.snapshot_rows import SnapshotRows

T = TypeVar("T")

MIGRATIONS: Final = Path(__file__).parent / "migrations" / "versions"


class SqlStore:
    """A Store on a database that has been migrated."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on one snapshot of the database."""
        return await self._database.read(lambda conn: work(self._transaction(conn, scope)))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction."""
        return await self._database.write(
            lambda conn: work(self._transaction(conn, scope)), turn=scope.tenant
        )

    async def collect(self, *, limit: int) -> int:
        """Forget expired snapshots and old replies."""
        return await self._database.write(lambda conn: self._collect(conn, limit))

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent; what others' contexts show of it becomes theirs first.

        The contexts go before all else: of what is not there nobody begins a fork, so a fork is either seen
        here or refused. That is why even looking for one is a write: a snapshot of the past would not do.
        """
        table, handed, renamed = tables.contexts, 0, 0
        mine = rows_of(table, scope.tenant, scope.agent)
        contexts = await purge_rows(self._database, table, mine)
        while one := await self._database.write(lambda conn: handing_over.next_use(conn, scope)):
            while not await self._database.write(partial(handing_over.advance, purged=scope, use=one)):
                pass
            handed += 1
        while done := await self._database.write(lambda conn: handing_over.forget_parent(conn, scope)):
            renamed += done
        counts = await purge_tables(self._database, tables.metadata, scope)
        uses = tables.branch_uses
        shown = rows_of(uses, scope.tenant, scope.agent, "user_agent")
        await purge_rows(self._database, uses, shown)
        more = {"contexts": contexts, "handed_over": handed, "parents": renamed}
        return counts | {what: count for what, count in more.items() if count}

    def _transaction(self, conn: sa.Connection, scope: Scope) -> "_Transaction":
        return _Transaction(conn, scope, self._clock)

    def _collect(self, conn: sa.Connection, limit: int) -> int:
        idempotency.forget_expired(conn, tables.replies, self._clock.now(), tables.book)
        table, now = tables.snapshots, micros(self._clock.now())
        columns = table.c.tenant, table.c.agent, table.c.generation, table.c.deleted, table.c.size_bytes
        tab = Tab()
        doomed = conn.execute(sa.select(*columns).where(table.c.expires_us <= now).limit(limit)).all()
        for row in doomed:
            SnapshotRows(conn, row.tenant, row.agent).drop_snapshot(row.generation)
            changes = {"snapshots": -int(not row.deleted), "snapshot_bytes": -row.size_bytes}
            tab.add(Owner(row.tenant, row.agent, ""), changes)
        tables.book.release(conn, tab.owed())
        return sum(not row.deleted for row in doomed)


class _Transaction(ContextRows, SnapshotRows):
    """A Transaction on one connection."""

    def __init__(self, conn: sa.Connection, scope: Scope, clock: Clock) -> None:
        super().__init__(conn, scope.tenant, scope.agent)
        self._scope = scope
        self._clock = clock
        self._tab = Tab()

    @property
    def scope(self) -> Scope:
        """Whose it is."""
        return self._scope

    def beside(self, agent: str) -> "_Transaction":
        """Return the same transaction on another agent."""
        return _Transaction(self._conn, Scope(self._scope.tenant, agent), self._clock)

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
