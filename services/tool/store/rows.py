"""Tools and calls as rows."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.db.sql import upsert
from services.chassis.times import from_micros, micros
from services.tool.core import ledger
from services.tool.model import CallQuery, Narrowing, SealedSecret, SecretInfo, Tool, ToolCall
from services.tool.store import tables
from services.tool.store.made import MadeRows


class Rows(MadeRows):
    """Rows of one scope on one connection: the tenant's tools, the agent's calls and what it makes."""

    def __init__(self, conn: sa.Connection, tenant: str, agent: str) -> None:
        self._conn = conn
        self._tenant = tenant
        self._agent = agent

    def tool(self, tool_id: str) -> Tool | None:
        """Return a tool."""
        table = tables.tools
        query = sa.select(table.c.body).where(table.c.tenant == self._tenant, table.c.tool == tool_id)
        body = self._conn.execute(query).scalar_one_or_none()
        return None if body is None else codec.decode(Tool, body)

    def tools(self, *, after: str, limit: int) -> list[Tool]:
        """List tools by id."""
        table = tables.tools
        query = sa.select(table.c.body).where(table.c.tenant == self._tenant, table.c.tool > after)
        found = self._conn.execute(query.order_by(table.c.tool).limit(limit)).scalars()
        return [codec.decode(Tool, body) for body in found]

    def put_tool(self, tool: Tool) -> None:
        """Insert or replace a tool."""
        row = {"tenant": self._tenant, "tool": tool.id, "owner": tool.owner, "body": codec.encode(tool)}
        upsert(self._conn, tables.tools, row)

    def drop_tool(self, tool_id: str) -> None:
        """Forget a tool."""
        table = tables.tools
        self._conn.execute(sa.delete(table).where(table.c.tenant == self._tenant, table.c.tool == tool_id))

    def secret(self, name: str) -> SealedSecret | None:
        """Return a secret."""
        table = tables.secrets
        query = sa.select(table).where(table.c.tenant == self._tenant, table.c.secret == name)
        row = self._conn.execute(query).one_or_none()
        return None if row is None else sealed_secret(row)

    def secrets(self, *, after: str, limit: int) -> list[SealedSecret]:
        """List secrets by name."""
        table = tables.secrets
        query = sa.select(table).where(table.c.tenant == self._tenant, table.c.secret > after)
        return [sealed_secret(row) for row in self._conn.execute(query.order_by(table.c.secret).limit(limit))]

    def put_secret(self, secret: SealedSecret) -> None:
        """Insert or replace a secret."""
        info = secret.info
        row = {
            "tenant": self._tenant,
            "secret": info.name,
            "version": info.version,
            "bound_to": info.bound_to,
            "key_id": secret.key_id,
            "sealed": secret.sealed,
            "created_us": micros(info.created_at),
            "updated_us": micros(info.updated_at),
        }
        upsert(self._conn, tables.secrets, row)

    def drop_secret(self, name: str) -> None:
        """Forget a secret."""
        table = tables.secrets
        self._conn.execute(sa.delete(table).where(table.c.tenant == self._tenant, table.c.secret == name))

    def call(self, call_id: str) -> ToolCall | None:
        """Return a call."""
        table = tables.calls
        query = sa.select(table.c.body, table.c.whole).where(self._mine, table.c.call == call_id)
        row = self._conn.execute(query).one_or_none()
        return None if row is None else codec.decode(ToolCall, row.whole or row.body)

    def calls(self, wanted: CallQuery, *, before: tuple[datetime, str] | None, limit: int) -> list[ToolCall]:
        """List calls without answers, newest first.

        Only what is listed is read: a page of large answers would be gigabytes.
        """
        table = tables.calls
        query = sa.select(table.c.body).where(self._mine, *chosen(wanted))
        if before is not None:
            position = sa.tuple_(table.c.created_us, table.c.call)
            query = query.where(position < (micros(before[0]), before[1]))
        ordered = query.order_by(table.c.created_us.desc(), table.c.call.desc()).limit(limit)
        bodies = self._conn.execute(ordered).scalars()
        return [codec.decode(ToolCall, body).without_answer() for body in bodies]

    def put_call(self, call: ToolCall) -> tuple[bool, int]:
        """Insert or replace a call; return whether it is new, and how many bytes more it takes."""
        table = tables.calls
        query = sa.select(table.c.bytes).where(self._mine, table.c.call == call.id)
        before = self._conn.execute(query).scalar_one_or_none()
        listed = call.without_answer()
        body, whole = codec.encode(listed), None if listed == call else codec.encode(call)
        size = ledger.taken(call, len(body) + len(whole or b""))
        row = {
            "tenant": self._tenant,
            "agent": self._agent,
            "call": call.id,
            "tool": call.tool,
            "state": call.state.value,
            "created_us": micros(call.created_at),
            "ended_us": None if call.ended_at is None else micros(call.ended_at),
            "body": body,
            "whole": whole,
            "bytes": size,
        }
        upsert(self._conn, table, row)
        return before is None, size - (before or 0)

    def narrowing(self) -> Narrowing:
        """Return what the tenant's administrators leave of where tools may send to."""
        table = tables.narrowings
        query = sa.select(table.c.body).where(table.c.tenant == self._tenant)
        body = self._conn.execute(query).scalar_one_or_none()
        return Narrowing() if body is None else codec.decode(Narrowing, body)

    def put_narrowing(self, narrowing: Narrowing) -> None:
        """Insert or replace what they leave."""
        upsert(self._conn, tables.narrowings, {"tenant": self._tenant, "body": codec.encode(narrowing)})

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        table = tables.calls
        return sa.and_(table.c.tenant == self._tenant, table.c.agent == self._agent)


def chosen(wanted: CallQuery) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of a query, beside whose calls they are."""
    table = tables.calls
    found: list[sa.ColumnElement[bool]] = []
    if wanted.tool:
        found.append(table.c.tool == wanted.tool)
    if wanted.states:
        found.append(table.c.state.in_([state.value for state in wanted.states]))
    if wanted.created_after is not None:
        found.append(table.c.created_us >= micros(wanted.created_after))
    if wanted.created_before is not None:
        found.append(table.c.created_us < micros(wanted.created_before))
    return found


def sealed_secret(row: sa.Row[Any]) -> SealedSecret:
    """Read a row of secrets."""
    info = SecretInfo(
        name=row.secret,
        version=row.version,
        bound_to=row.bound_to,
        created_at=from_micros(row.created_us),
        updated_at=from_micros(row.updated_us),
    )
    return SealedSecret(info=info, key_id=row.key_id, sealed=row.sealed)
