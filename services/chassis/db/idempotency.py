"""Replies remembered by `request_id`, in the transaction of the effect: a repeat gets the same answer.

Use inside `Database.write`:

    def put(conn):
        known = idempotency.remembered(conn, table, tenant, request)
        if known is not None:
            return known
        ...the effect...
        idempotency.remember(conn, table, tenant, request, reply, now=now)
        return reply
"""

from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table

from services.chassis.db.usage import UsageBook
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.quotas import Owner
from services.chassis.rpc.errors import IdempotencyMismatch

KEPT: Final = timedelta(hours=24)
"""How long a reply is remembered at least."""

TABLE_NAME: Final = "idempotency"


def columns() -> list[Column[Any]]:
    """Return the columns, for the service's migration: `op.create_table("idempotency", *columns())`."""
    return [
        Column("tenant", String(63), primary_key=True),
        Column("agent", String(63), primary_key=True),
        Column("method", String(64), primary_key=True),
        Column("request_id", String(128), primary_key=True),
        Column("digest", LargeBinary, nullable=False),
        Column("reply", LargeBinary, nullable=False),
        Column("created_at", BigInteger, nullable=False, index=True),
    ]


def table(metadata: MetaData) -> Table:
    """Return the table for a service's metadata."""
    return Table(TABLE_NAME, metadata, *columns())


def remembered(
    conn: sqlalchemy.Connection, table: Table, tenant: str, request: RequestIdentity
) -> bytes | None:
    """Return the reply to an earlier request with the same id; None when there is none or no id.

    Raises IdempotencyMismatch when the earlier request was a different one.
    """
    if not request.request_id:
        return None
    same = _is(table, tenant, request)
    row = conn.execute(sqlalchemy.select(table.c.digest, table.c.reply).where(*same)).first()
    if row is None:
        return None
    if row.digest != request.digest:
        raise IdempotencyMismatch(
            f"request_id {request.request_id} was used for a different request",
            metadata={"request_id": request.request_id, "method": request.method},
        )
    return bytes(row.reply)


def remember(
    conn: sqlalchemy.Connection,
    table: Table,
    tenant: str,
    request: RequestIdentity,
    reply: bytes,
    *,
    now: datetime,
) -> None:
    """Keep the reply to a request; does nothing when it has no id."""
    if request.request_id:
        conn.execute(
            sqlalchemy.insert(table).values(
                tenant=tenant,
                agent=request.agent,
                method=request.method,
                request_id=request.request_id,
                digest=request.digest,
                reply=reply,
                created_at=int(now.timestamp()),
            )
        )


def forget_expired(
    conn: sqlalchemy.Connection, table: Table, now: datetime, book: UsageBook | None = None
) -> int:
    """Delete replies older than KEPT and return how many. Call it from a periodic background task.

    With a book they no longer count for those who asked.
    """
    old = table.c.created_at < int((now - KEPT).timestamp())
    if book is not None:
        columns = (table.c.tenant, table.c.agent)
        count = sqlalchemy.func.count().label("kept")
        found = conn.execute(sqlalchemy.select(*columns, count).where(old).group_by(*columns)).all()
        book.release(conn, [(Owner(row.tenant, row.agent, ""), {REPLIES: -row.kept}) for row in found])
    return conn.execute(sqlalchemy.delete(table).where(old)).rowcount


def _is(table: Table, tenant: str, request: RequestIdentity) -> list[sqlalchemy.ColumnElement[bool]]:
    return [
        table.c.tenant == tenant,
        table.c.agent == request.agent,
        table.c.method == request.method,
        table.c.request_id == request.request_id,
    ]
