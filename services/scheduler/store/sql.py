"""The store in SQL: SQLite or PostgreSQL behind the chassis' Database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.chassis import codec
from services.chassis.auth.identity import Scope
from services.chassis.db import Database
from services.chassis.db.purging import delete_some, purge_tables, rows_of
from services.chassis.db.sql import upsert
from services.chassis.times import micros
from services.scheduler.model import SUM_FIELDS, PastCall, SumKey, Sums, UsageRow
from services.scheduler.ports import Batch, PastQuery, UsageQuery
from services.scheduler.store.tables import SUMS, call_sums, metadata, past_calls, written_batches

MIGRATIONS: Final = Path(__file__).parent / "migrations" / "versions"
_AFTER_SLASH: Final = chr(ord("/") + 1)


class SqlPastStore:
    """A PastStore on a database that has not been migrated yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        """Bring the database to its newest form."""
        await self._database.migrate()

    async def write(self, batch: Batch) -> None:
        """Keep a batch."""
        await self._database.write(lambda conn: _write(conn, batch))

    async def page(self, query: PastQuery, limit: int) -> list[PastCall]:
        """List an agent's past calls, newest first."""
        table = past_calls
        chosen = sa.select(table.c.body).where(rows_of(table, query.tenant, query.agent))
        if query.ended_from is not None:
            chosen = chosen.where(table.c.ended_us >= micros(query.ended_from))
        if query.ended_before is not None:
            chosen = chosen.where(table.c.ended_us < micros(query.ended_before))
        if query.failed_only:
            chosen = chosen.where(table.c.failed.is_(True))
        if query.lane:
            chosen = chosen.where(table.c.lane == query.lane)
        if query.beyond is not None:
            chosen = chosen.where(sa.tuple_(table.c.ended_us, table.c.call) < query.beyond)
        chosen = chosen.order_by(table.c.ended_us.desc(), table.c.call.desc()).limit(limit)
        bodies = await self._database.read(lambda conn: conn.execute(chosen).scalars().all())
        return [codec.decode(PastCall, body) for body in bodies]

    async def usage(self, query: UsageQuery, limit: int) -> list[UsageRow]:
        """Add up what calls took, by path."""
        return await self._database.read(lambda conn: _usage(conn, query, limit))

    async def forget(self, *, calls_before: datetime, sums_before: datetime, limit: int) -> int:
        """Delete what is older."""
        calls = past_calls.c.ended_us < micros(calls_before)
        sums = call_sums.c.hour_us < micros(sums_before)
        return await self._database.write(
            lambda conn: (
                delete_some(conn, past_calls, calls, limit) + delete_some(conn, call_sums, sums, limit)
            )
        )

    async def trim(self, tenant: str, agent: str, most: int, limit: int) -> int:
        """Delete the oldest past calls beyond `most`."""
        table = past_calls
        whose = rows_of(table, tenant, agent) if agent else table.c.tenant == tenant
        newest = sa.select(table.c.ended_us).where(whose).order_by(table.c.ended_us.desc())
        edge = newest.offset(most).limit(1).scalar_subquery()
        return await self._database.write(
            lambda conn: delete_some(conn, table, sa.and_(whose, table.c.ended_us <= edge), limit)
        )

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent."""
        return await purge_tables(self._database, metadata, scope)


def _write(conn: sa.Connection, batch: Batch) -> None:
    table = written_batches
    known = conn.execute(sa.select(table.c.number).where(table.c.writer == batch.writer)).scalar()
    if known is not None and known >= batch.number:
        return
    conn.execute(sa.delete(table).where(table.c.writer < batch.writer))
    upsert(conn, table, {"writer": batch.writer, "number": batch.number})
    if batch.calls:
        upsert(conn, past_calls, *(_row(call) for call in batch.calls))
    if batch.sums:
        rows = [_sum_row(key, own, tree) for key, (own, tree) in sorted(batch.sums.items())]
        conn.execute(_adding(conn.dialect.name), rows)


def _row(call: PastCall) -> dict[str, Any]:
    return {
        "tenant": call.tenant,
        "agent": call.agent,
        "call": call.call,
        "ended_us": micros(call.end_time),
        "body": codec.encode(call),
        "lane": call.lane,
        "failed": call.failed,
    }


def _sum_row(key: SumKey, own: Sums, tree: Sums) -> dict[str, Any]:
    keys = {
        "tenant": key.tenant,
        "path": "/".join(key.path),
        "hour_us": micros(key.hour),
        "lane": key.lane,
        "agent": key.path[-1],
    }
    return keys | dict(zip(SUMS, (*own, *tree), strict=True))


@cache
def _adding(dialect: str) -> sa.Executable:
    """Build the statement that adds to sums, and begins those that there are not yet."""
    insert = postgresql.insert(call_sums) if dialect == "postgresql" else sqlite.insert(call_sums)
    keys = [column.name for column in call_sums.primary_key]
    added = {name: call_sums.c[name] + insert.excluded[name] for name in SUMS}
    return insert.on_conflict_do_update(index_elements=keys, set_=added)


def _usage(conn: sa.Connection, query: UsageQuery, limit: int) -> list[UsageRow]:
    table = call_sums
    where = sa.and_(table.c.tenant == query.tenant, table.c.hour_us >= micros(query.since))
    if query.agent:
        place = sa.select(table.c.path).where(rows_of(table, query.tenant, query.agent)).limit(1)
        path = conn.execute(place).scalar()
        if path is None:
            return []
        below = sa.and_(table.c.path > f"{path}/", table.c.path < f"{path}{_AFTER_SLASH}")
        where = sa.and_(where, sa.or_(table.c.path == path, below))
    if query.after:
        where = sa.and_(where, table.c.path > "/".join(query.after))
    paths = sa.select(table.c.path).where(where).distinct().order_by(table.c.path).limit(limit)
    chosen = conn.execute(paths).scalars().all()
    if not chosen:
        return []
    sums = [sa.func.sum(table.c[name]).label(name) for name in SUMS]
    added = sa.select(table.c.path, table.c.lane, *sums).where(where, table.c.path <= chosen[-1])
    rows = conn.execute(added.group_by(table.c.path, table.c.lane).order_by(table.c.path, table.c.lane))
    return [_usage_row(row) for row in rows]


def _usage_row(row: sa.Row[Any]) -> UsageRow:
    values: Sequence[Any] = row[2:]
    numbers = tuple(int(value) for value in values)
    half = len(SUM_FIELDS)
    return UsageRow(tuple(row.path.split("/")), row.lane, numbers[:half], numbers[half:])
