"""The store in SQL: SQLite or PostgreSQL behind the chassis' Database."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.auth.identity import Scope
from services.chassis.db import Database, idempotency
from services.chassis.db.purging import purge_rows, purge_tables, rows_of
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.quotas import Caps, Owner, Tab, Usage
from services.chassis.runtime.clock import Clock, SystemClock
from services.chassis.times import micros
from services.tool.model import CallQuery, SealedSecret, ToolCall
from services.tool.ports import CallPlace, Transaction
from services.tool.store import tables
from services.tool.store.rows import Rows, chosen, sealed_secret
from services.tool.store.server_rows import ServerRows

T = TypeVar("T")

MIGRATIONS: Final = Path(__file__).parent / "migrations" / "versions"


class SqlStore:
    """A Store on a database that has been migrated."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on one snapshot of the database."""
        return await self._database.read(lambda conn: work(_Transaction(conn, scope, self._clock)))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction."""

        def run(conn: sa.Connection) -> T:
            return work(_Transaction(conn, scope, self._clock))

        return await self._database.write(run, turn=scope.tenant)

    async def calls_of(
        self, tenant: str, wanted: CallQuery, *, before: CallPlace | None, limit: int
    ) -> list[tuple[Scope, ToolCall]]:
        """List the calls of all agents of a tenant without answers, newest first."""
        table = tables.calls
        query = sa.select(table.c.agent, table.c.body).where(table.c.tenant == tenant, *chosen(wanted))
        if before is not None:
            position = sa.tuple_(table.c.created_us, table.c.agent, table.c.call)
            query = query.where(position < (micros(before[0]), *before[1:]))
        order = (table.c.created_us.desc(), table.c.agent.desc(), table.c.call.desc())
        rows = await self._database.read(lambda conn: conn.execute(query.order_by(*order).limit(limit)).all())
        return [(Scope(tenant, row.agent), codec.decode(ToolCall, row.body).without_answer()) for row in rows]

    async def unfinished(self, *, limit: int) -> list[tuple[Scope, ToolCall]]:
        """List calls of all agents that have not ended."""
        table = tables.calls
        query = sa.select(table.c.tenant, table.c.agent, table.c.body).where(table.c.ended_us.is_(None))
        rows = await self._database.read(lambda conn: conn.execute(query.limit(limit)).all())
        return [(Scope(row.tenant, row.agent), codec.decode(ToolCall, row.body)) for row in rows]

    async def collect(self, *, ended_before: datetime, limit: int) -> int:
        """Forget old calls and old replies."""
        return await self._database.write(lambda conn: self._collect(conn, micros(ended_before), limit))

    async def sealed_otherwise(
        self, key_id: str, *, after: tuple[str, str], limit: int
    ) -> list[tuple[str, SealedSecret]]:
        """List secrets that another key seals."""
        table = tables.secrets
        place = sa.tuple_(table.c.tenant, table.c.secret)
        query = sa.select(table).where(table.c.key_id != key_id, place > after)
        query = query.order_by(table.c.tenant, table.c.secret).limit(limit)
        rows = await self._database.read(lambda conn: conn.execute(query).all())
        return [(row.tenant, sealed_secret(row)) for row in rows]

    async def tools_of(self, scope: Scope) -> list[str]:
        """Return the ids of the tools that an agent registered."""
        table = tables.tools
        query = sa.select(table.c.tool).where(rows_of(table, scope.tenant, scope.agent, "owner"))
        return list(await self._database.read(lambda conn: conn.execute(query).scalars().all()))

    async def servers_of(self, scope: Scope) -> list[str]:
        """Return the ids of the MCP servers that an agent added."""
        table = tables.mcp_servers
        query = sa.select(table.c.server).where(rows_of(table, scope.tenant, scope.agent))
        return list(await self._database.read(lambda conn: conn.execute(query).scalars().all()))

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent."""
        counts = await purge_tables(self._database, tables.metadata, scope)
        registered = rows_of(tables.tools, scope.tenant, scope.agent, "owner")
        removed = await purge_rows(self._database, tables.tools, registered)
        return counts | ({"tools": removed} if removed else {})

    def _collect(self, conn: sa.Connection, before: int, limit: int) -> int:
        idempotency.forget_expired(conn, tables.replies, self._clock.now(), tables.book)
        table = tables.calls
        keys = list(table.primary_key)
        doomed = conn.execute(
            sa.select(*keys, table.c.bytes).where(table.c.ended_us < before).limit(limit)
        ).all()
        tab = Tab()
        for row in doomed:
            conn.execute(
                sa.delete(table).where(*(column == value for column, value in zip(keys, row, strict=False)))
            )
            tab.add(Owner(row.tenant, row.agent, ""), {"calls": -1, "call_bytes": -row.bytes})
        tables.book.release(conn, tab.owed())
        return len(doomed)


class _Transaction(Rows, ServerRows):
    """A Transaction on one connection."""

    def __init__(self, conn: sa.Connection, scope: Scope, clock: Clock) -> None:
        super().__init__(conn, scope.tenant, scope.agent)
        self._scope = scope
        self._clock = clock
        self._tab = Tab()

    def count(self, **changes: int) -> None:
        """Note what the scope has more, or less, of each quota."""
        self._tab.add(self._scope.charged, changes)

    def charge(self, agent: str, **changes: int) -> None:
        """Note what an agent of the tenant has more, or less."""
        tree = self._scope.tree if agent == self._scope.agent else ""
        self._tab.add(Owner(self._scope.tenant, agent, tree), changes)

    def settle(self, caps: Caps) -> None:
        """Charge what was noted."""
        tables.book.charge(self._conn, self._tab.owed(), caps)

    def used(self, caps: Caps) -> list[Usage]:
        """Return what is used of each quota."""
        return tables.book.told(self._conn, self._scope.charged, caps)

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer to this request, or None."""
        return idempotency.remembered(self._conn, tables.replies, self._tenant, actor)

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request."""
        now = self._clock.now()
        idempotency.remember(self._conn, tables.replies, self._tenant, actor, reply, now=now)
        if actor.request_id:
            self._tab.add(actor.charged(self._tenant), {REPLIES: 1})
