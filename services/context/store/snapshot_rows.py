"""Snapshots as rows: a small head that every save rewrites, and parts that are written once or replaced."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.db.sql import upsert
from services.chassis.times import micros
from services.context.model import Head
from services.context.ports import Part, StoredPart
from services.context.store import tables
from services.context.store.rows import Rows

_SNAPSHOTS: Final = tables.snapshots
_PARTS: Final = tables.snapshot_parts


def _scoped(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant == sa.bindparam("tenant"), table.c.agent == sa.bindparam("agent"))


# What a save runs, built once: building takes longer than running.
_HEAD: Final = sa.select(_SNAPSHOTS.c.body).where(
    _scoped(_SNAPSHOTS), _SNAPSHOTS.c.generation == sa.bindparam("generation")
)
_ALL_PARTS: Final = (
    sa.select(_PARTS.c.part, _PARTS.c.first, _PARTS.c.data)
    .where(_scoped(_PARTS), _PARTS.c.generation == sa.bindparam("generation"))
    .order_by(_PARTS.c.part, _PARTS.c.first)
)
_DROP_PARTS: Final = sa.delete(_PARTS).where(
    _scoped(_PARTS), _PARTS.c.generation == sa.bindparam("generation")
)


class SnapshotRows(Rows):
    """The Snapshots part of a Transaction."""

    def head(self, generation: str) -> Head | None:
        """Return a head."""
        body = self._conn.execute(_HEAD, self._at(generation)).scalar_one_or_none()
        return None if body is None else codec.decode(Head, body)

    def put_head(self, head: Head) -> None:
        """Insert or replace a head."""
        row = {
            "tenant": self._tenant,
            "agent": self._agent,
            "generation": head.generation,
            "finished": head.finished,
            "deleted": head.deleted,
            "size_bytes": head.size,
            "updated_us": micros(head.updated_at),
            "expires_us": micros(head.expires_at),
            "body": codec.encode(head),
        }
        upsert(self._conn, tables.snapshots, row)

    def drop_snapshot(self, generation: str) -> None:
        """Forget a snapshot."""
        table = tables.snapshots
        self._conn.execute(sa.delete(table).where(self._mine(table), table.c.generation == generation))
        self.drop_parts(generation)

    def heads(
        self, *, before: tuple[datetime, str] | None, unfinished: bool, now: datetime, limit: int
    ) -> list[Head]:
        """List living heads, last saved first."""
        table = tables.snapshots
        moment, name = table.c.updated_us, table.c.generation
        query = sa.select(table.c.body).where(
            self._mine(table), table.c.deleted.is_(False), table.c.expires_us > micros(now)
        )
        if unfinished:
            query = query.where(table.c.finished.is_(False))
        if before is not None:
            at = micros(before[0])
            query = query.where(sa.or_(moment < at, sa.and_(moment == at, name < before[1])))
        found = self._conn.execute(query.order_by(moment.desc(), name.desc()).limit(limit)).scalars()
        return [codec.decode(Head, body) for body in found]

    def put_part(self, generation: str, part: Part, first: int, data: bytes) -> None:
        """Insert or replace a part."""
        row = {
            "tenant": self._tenant,
            "agent": self._agent,
            "generation": generation,
            "part": part.value,
            "first": first,
            "data": data,
        }
        upsert(self._conn, tables.snapshot_parts, row)

    def parts(self, generation: str) -> list[StoredPart]:
        """Return all parts in order."""
        found = self._conn.execute(_ALL_PARTS, self._at(generation))
        return [StoredPart(Part(row.part), row.first, bytes(row.data)) for row in found]

    def states(self, generations: Sequence[str]) -> dict[str, bytes]:
        """Return the states of some snapshots."""
        table = tables.snapshot_parts
        query = sa.select(table.c.generation, table.c.data).where(
            self._mine(table), table.c.generation.in_(generations), table.c.part == Part.STATE.value
        )
        return {row.generation: bytes(row.data) for row in self._conn.execute(query)}

    def drop_parts(self, generation: str, part: Part | None = None) -> None:
        """Forget parts."""
        doomed = _DROP_PARTS if part is None else _DROP_PARTS.where(_PARTS.c.part == part.value)
        self._conn.execute(doomed, self._at(generation))

    def _at(self, generation: str) -> dict[str, str]:
        return {"tenant": self._tenant, "agent": self._agent, "generation": generation}
