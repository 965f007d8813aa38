"""Branches of a purged agent that others' contexts show: they become those contexts' own.

A fork shares the messages before its cut. When the agent that they belong to is purged, the fork keeps what
it shows: the messages are copied into the scope of the fork's owner, some at a time, and then the context is
pointed at them in one transaction. Each step can be repeated.
"""

from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.auth.identity import Scope
from services.chassis.db.sql import upsert
from services.context.model import Context, Segment
from services.context.store import tables
from services.context.store.rows import ContextRows

_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Use:
    """Another agent's context that shows a branch up to a position."""

    branch: str
    agent: str
    context: str
    last: int


def next_use(conn: sa.Connection, purged: Scope) -> Use | None:
    """Return a context of another agent that shows a branch of the purged one, or None."""
    uses = tables.branch_uses
    query = sa.select(uses).where(
        uses.c.tenant == purged.tenant, uses.c.agent == purged.agent, uses.c.user_agent != purged.agent
    )
    row = conn.execute(query.limit(1)).first()
    return Use(row.branch, row.user_agent, row.user_context, row.last_position) if row else None


def advance(conn: sa.Connection, purged: Scope, use: Use) -> bool:
    """Copy some messages, or point the context at the copies when all are there; tell whether that is done.

    In one transaction: the owner may delete another context meanwhile, and copies with it.
    """
    if _copy_some(conn, purged, use):
        return False
    _hand_over(conn, purged, use)
    return True


def _copy_some(conn: sa.Connection, purged: Scope, use: Use) -> int:
    """Copy some messages that are not there yet; return how many."""
    table = tables.messages
    theirs = (table.c.tenant == purged.tenant, table.c.agent == use.agent, table.c.branch == use.branch)
    done = conn.execute(sa.select(sa.func.max(table.c.position)).where(*theirs)).scalar() or 0
    query = (
        sa.select(table.c.position, table.c.body)
        .where(
            table.c.tenant == purged.tenant,
            table.c.agent == purged.agent,
            table.c.branch == use.branch,
            table.c.position > done,
            table.c.position <= use.last,
        )
        .order_by(table.c.position)
        .limit(_BATCH)
    )
    rows = [
        {
            "tenant": purged.tenant,
            "agent": use.agent,
            "branch": use.branch,
            "position": row.position,
            "body": row.body,
        }
        for row in conn.execute(query)
    ]
    upsert(conn, table, *rows)
    return len(rows)


def _hand_over(conn: sa.Connection, purged: Scope, use: Use) -> None:
    """Point a context at the copies."""
    uses = tables.branch_uses
    which = (
        uses.c.tenant == purged.tenant,
        uses.c.agent == purged.agent,
        uses.c.branch == use.branch,
        uses.c.user_agent == use.agent,
        uses.c.user_context == use.context,
    )
    conn.execute(sa.update(uses).where(*which).values(agent=use.agent))
    rows = ContextRows(conn, purged.tenant, use.agent)
    context = rows.context(use.context)
    if context is None:  # deleted while its messages were copied
        rows.trim(Segment(use.agent, use.branch, use.last))
        return
    theirs = tuple(
        replace(segment, agent=use.agent)
        if (segment.agent, segment.branch) == (purged.agent, use.branch)
        else segment
        for segment in context.segments
    )
    _put(conn, purged.tenant, use.agent, replace(context, segments=theirs))


def forget_parent(conn: sa.Connection, purged: Scope) -> int:
    """Let some contexts of others no longer tell that they were forked of its contexts; return how many.

    Not every fork shows a branch: one of an empty context shows nothing, one of many pieces has copies.
    """
    table = tables.contexts
    forked = (table.c.tenant == purged.tenant, table.c.parent_agent == purged.agent)
    found = conn.execute(sa.select(table.c.agent, table.c.body).where(*forked).limit(_BATCH)).all()
    for row in found:
        context = codec.decode(Context, row.body)
        _put(conn, purged.tenant, row.agent, replace(context, parent=""), parent_agent=None)
    return len(found)


def _put(conn: sa.Connection, tenant: str, agent: str, context: Context, **columns: None) -> None:
    table = tables.contexts
    which = (table.c.tenant == tenant, table.c.agent == agent, table.c.context == context.id)
    conn.execute(sa.update(table).where(*which).values(body=codec.encode(context), **columns))
