"""Contexts, branches and messages as rows."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.db.sql import upsert
from services.chassis.rpc import names
from services.context.model import Context, Message, Segment, Summary
from services.context.store import tables


class Rows:
    """Rows of one scope on one connection."""

    def __init__(self, conn: sa.Connection, tenant: str, agent: str) -> None:
        self._conn = conn
        self._tenant = tenant
        self._agent = agent

    def _mine(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.tenant == self._tenant, table.c.agent == self._agent)


class ContextRows(Rows):
    """The Contexts part of a Transaction."""

    def context(self, context_id: str) -> Context | None:
        """Return a context."""
        table = tables.contexts
        query = sa.select(table.c.body).where(self._mine(table), table.c.context == context_id)
        body = self._conn.execute(query).scalar_one_or_none()
        return None if body is None else codec.decode(Context, body)

    def contexts(self, *, after: str, limit: int) -> list[Context]:
        """List contexts by id."""
        table = tables.contexts
        query = sa.select(table.c.body).where(self._mine(table), table.c.context > after)
        found = self._conn.execute(query.order_by(table.c.context).limit(limit)).scalars()
        return [codec.decode(Context, body) for body in found]

    def put_context(self, context: Context) -> None:
        """Insert or replace a context, and note which branches it shows."""
        row = {
            "context": context.id,
            "size_bytes": context.size,
            "body": codec.encode(context),
            "parent_agent": self._other_parent(context),
        }
        upsert(self._conn, tables.contexts, {**self._scope_columns(), **row})
        if context.revision == 1:  # segments never change afterwards
            user = {"tenant": self._tenant, "user_agent": self._agent, "user_context": context.id}
            self._conn.execute(
                sa.insert(tables.branch_uses),
                [
                    {**user, "agent": s.agent, "branch": s.branch, "last_position": s.last}
                    for s in context.segments
                ],
            )

    def drop_context(self, context_id: str) -> None:
        """Forget a context and the messages that no other one shows."""
        context = self.context(context_id)
        uses, table = tables.branch_uses, tables.contexts
        by_me = (
            uses.c.tenant == self._tenant,
            uses.c.user_agent == self._agent,
            uses.c.user_context == context_id,
        )
        self._conn.execute(sa.delete(uses).where(*by_me))
        self._conn.execute(sa.delete(table).where(self._mine(table), table.c.context == context_id))
        for segment in context.segments if context else ():
            self.trim(segment)

    def append(self, branch: str, messages: Sequence[Message]) -> None:
        """Add messages to a branch."""
        self._conn.execute(
            sa.insert(tables.messages),
            [
                {**self._scope_columns(), "branch": branch, "position": m.position, "body": codec.encode(m)}
                for m in messages
            ],
        )

    def put_summary(self, branch: str, summary: Summary, *, keep: int) -> None:
        """Keep a summary with a branch."""
        row = {"branch": branch, "through": summary.through, "body": codec.encode(summary)}
        upsert(self._conn, tables.summaries, {**self._scope_columns(), **row})
        table = tables.summaries
        mine = sa.and_(self._mine(table), table.c.branch == branch)
        ends = sa.select(table.c.through).where(mine).order_by(table.c.through.desc())
        oldest = self._conn.execute(ends.limit(1).offset(keep - 1)).scalar_one_or_none()
        if oldest is not None:
            self._conn.execute(sa.delete(table).where(mine, table.c.through < oldest))

    def summaries(self, segments: Sequence[Segment]) -> list[tuple[Segment, Summary]]:
        """Return the summaries of some branches."""
        table = tables.summaries
        found: list[tuple[Segment, Summary]] = []
        for segment in segments:
            query = sa.select(table.c.body).where(
                table.c.tenant == self._tenant,
                table.c.agent == segment.agent,
                table.c.branch == segment.branch,
            )
            bodies = self._conn.execute(query.order_by(table.c.through)).scalars()
            found += [(segment, codec.decode(Summary, body)) for body in bodies]
        return found

    def messages(
        self,
        segments: Sequence[Segment],
        *,
        after: int = 0,
        before: int = 0,
        limit: int,
        newest_first: bool = False,
    ) -> list[Message]:
        """List the messages of some segments in order."""
        runs: list[tuple[Segment, int]] = []
        first = 0
        for segment in segments:
            runs.append((segment, max(first, after)))
            first = max(first, segment.last)
        found: list[Message] = []
        for segment, start in reversed(runs) if newest_first else runs:
            if len(found) < limit:
                query = self._run(segment, start, before)
                position = tables.messages.c.position
                query = query.order_by(position.desc() if newest_first else position)
                bodies = self._conn.execute(query.limit(limit - len(found))).scalars()
                found += [codec.decode(Message, body) for body in bodies]
        return found

    def _run(self, segment: Segment, after: int, before: int) -> sa.Select[Any]:
        table = tables.messages
        position = table.c.position
        query = sa.select(table.c.body).where(
            table.c.tenant == self._tenant,
            table.c.agent == segment.agent,
            table.c.branch == segment.branch,
            position > after,
        )
        if segment.last:
            query = query.where(position <= segment.last)
        return query.where(position < before) if before else query

    def _other_parent(self, context: Context) -> str | None:
        """Return the other agent of whose context it was forked, or None."""
        if not context.parent:
            return None
        owner = names.parse(context.parent, field="parent").owner
        return None if owner == self._agent else owner

    def trim(self, segment: Segment) -> None:
        """Delete the messages of a branch, and the summaries, beyond what contexts still show."""
        uses = tables.branch_uses
        query = sa.select(uses.c.last_position).where(
            uses.c.tenant == self._tenant, uses.c.agent == segment.agent, uses.c.branch == segment.branch
        )
        lasts = self._conn.execute(query).scalars().all()
        if 0 in lasts:
            return
        for table, place in (
            (tables.messages, tables.messages.c.position),
            (tables.summaries, tables.summaries.c.through),
        ):
            self._conn.execute(
                sa.delete(table).where(
                    table.c.tenant == self._tenant,
                    table.c.agent == segment.agent,
                    table.c.branch == segment.branch,
                    place > max(lasts, default=0),
                )
            )

    def _scope_columns(self) -> dict[str, str]:
        return {"tenant": self._tenant, "agent": self._agent}
