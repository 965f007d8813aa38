"""Drafts and versions as rows."""

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.db.sql import upsert
from services.tool.core.making import Draft, DraftState, Version
from services.tool.store import tables


class MadeRows:
    """Rows of one agent on one connection: what it makes."""

    _conn: sa.Connection
    _tenant: str
    _agent: str

    def draft(self, name: str) -> Draft | None:
        """Return a draft."""
        table = tables.drafts
        query = sa.select(table.c.body).where(self._of(table), table.c.draft == name)
        body = self._conn.execute(query).scalar_one_or_none()
        return None if body is None else codec.decode(Draft, body)

    def drafts(self, *, after: str, limit: int, state: DraftState | None = None) -> list[Draft]:
        """List drafts by name, those in one state or all."""
        table = tables.drafts
        query = sa.select(table.c.body).where(self._of(table), table.c.draft > after)
        if state is not None:
            query = query.where(table.c.state == state.value)
        found = self._conn.execute(query.order_by(table.c.draft).limit(limit)).scalars()
        return [codec.decode(Draft, body) for body in found]

    def put_draft(self, draft: Draft) -> int:
        """Insert or replace a draft; returns its size."""
        body = codec.encode(draft)
        row = {"draft": draft.name, "state": draft.state.value, "size_bytes": len(body), "body": body}
        upsert(self._conn, tables.drafts, {"tenant": self._tenant, "agent": self._agent, **row})
        return len(body)

    def drop_draft(self, name: str) -> None:
        """Forget a draft."""
        table = tables.drafts
        self._conn.execute(sa.delete(table).where(self._of(table), table.c.draft == name))

    def draft_size(self, name: str) -> int:
        """Return how large a draft is; 0: there is none."""
        table = tables.drafts
        query = sa.select(table.c.size_bytes).where(self._of(table), table.c.draft == name)
        return int(self._conn.execute(query).scalar_one_or_none() or 0)

    def version(self, name: str, number: int) -> Version | None:
        """Return a version; number 0 is the newest."""
        table = tables.versions
        query = sa.select(table.c.body).where(self._of(table), table.c.draft == name)
        if number:
            query = query.where(table.c.number == number)
        body = self._conn.execute(query.order_by(table.c.number.desc()).limit(1)).scalar_one_or_none()
        return None if body is None else codec.decode(Version, body)

    def versions(self, name: str, *, before: int, limit: int) -> list[Version]:
        """List versions, newest first, from below a number; 0: from the newest."""
        table = tables.versions
        query = sa.select(table.c.body).where(self._of(table), table.c.draft == name)
        if before:
            query = query.where(table.c.number < before)
        found = self._conn.execute(query.order_by(table.c.number.desc()).limit(limit)).scalars()
        return [codec.decode(Version, body) for body in found]

    def put_version(self, version: Version) -> int:
        """Insert or replace a version; returns by how much it grew."""
        table, body = tables.versions, codec.encode(version)
        key = {"tenant": self._tenant, "agent": self._agent, "draft": version.draft, "number": version.number}
        query = sa.select(table.c.size_bytes).where(*(table.c[name] == value for name, value in key.items()))
        before = int(self._conn.execute(query).scalar_one_or_none() or 0)
        upsert(self._conn, table, {**key, "size_bytes": len(body), "body": body})
        return len(body) - before

    def _of(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.tenant == self._tenant, table.c.agent == self._agent)
