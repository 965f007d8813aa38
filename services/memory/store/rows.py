"""Notes as rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.chassis import codec
from services.chassis.sealed import seal, unseal
from services.memory.model import Filter, Listed, Note, Order
from services.memory.ports import Position
from services.memory.store import tables

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BETWEEN: Final = "\x1f"
NEVER: Final = 0


def micros(moment: datetime | None) -> int:
    """Return the microseconds since 1970; 0 for never."""
    return NEVER if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Return the time so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=us)


def upsert(conn: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or replace the one with its primary key."""
    conn.execute(_upsert(table, conn.dialect.name), row)


@cache
def _upsert(table: sa.Table, dialect: str) -> sa.Executable:
    # Building a statement takes longer than running it, so each is built once.
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    names = [column.name for column in table.primary_key]
    statement = insert(table)
    changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in names}
    return statement.on_conflict_do_update(index_elements=names, set_=changed)


def to_row(note: Note) -> dict[str, Any]:
    """Return the columns of a note, without its scope."""
    fields = note.fields
    return {
        "key": note.key,
        "etag": note.etag,
        "size_bytes": note.size,
        "created_us": micros(note.created_at),
        "updated_us": micros(note.updated_at),
        "accessed_us": micros(note.accessed_at),
        "expires_us": micros(fields.expires_at),
        "importance": fields.importance,
        "category": json.dumps(fields.category),
        "tags": "".join(f"{_BETWEEN}{json.dumps(tag)}{_BETWEEN}" for tag in fields.tags),
        "body": seal(codec.encode(note)),
    }


def from_row(row: Any) -> Note:
    """Read a note from its key, body and accessed_us.

    Raises DataCorrupt.
    """
    note = codec.decode(Note, unseal(bytes(row.body), f"note {row.key}"))
    return replace(note, accessed_at=moment(row.accessed_us))


def listed(row: Any) -> Listed:
    """Read what a list tells of a note."""
    return Listed(row.key, row.size_bytes, moment(row.created_us), moment(row.updated_us), row.importance)


def holds(conn: sa.Connection, column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
    """Return the condition that a column holds a text somewhere; LIKE would ignore case on SQLite."""
    function = sa.func.strpos if conn.dialect.name == "postgresql" else sa.func.instr
    return function(column, text) > 0


def conditions(conn: sa.Connection, wanted: Filter, now: datetime) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of a filter, and that a note has not expired."""
    table = tables.notes
    expires = table.c.expires_us
    found: list[sa.ColumnElement[bool]] = [sa.or_(expires == NEVER, expires > micros(now))]
    if wanted.key_prefix:
        length = len(wanted.key_prefix)
        found.append(table.c.key >= wanted.key_prefix)
        found.append(sa.func.substr(table.c.key, 1, length) == wanted.key_prefix)
    if wanted.category:
        found.append(table.c.category == json.dumps(wanted.category))
    if wanted.updated_after is not None:
        found.append(table.c.updated_us >= micros(wanted.updated_after))
    found += [holds(conn, table.c.tags, f"{_BETWEEN}{json.dumps(tag)}{_BETWEEN}") for tag in wanted.tags]
    return found


def sort(order: Order) -> Sequence[sa.ColumnElement[Any]]:
    """Return the columns of an order."""
    table = tables.notes
    if order is Order.KEY:
        return (table.c.key,)
    return (
        (table.c.updated_us.desc(), table.c.key)
        if order is Order.UPDATED
        else (table.c.created_us, table.c.key)
    )


def beyond(order: Order, after: Position) -> sa.ColumnElement[bool]:
    """Return the condition that a note comes after a position."""
    table = tables.notes
    if order is Order.KEY:
        return table.c.key > after[0]
    time = table.c.updated_us if order is Order.UPDATED else table.c.created_us
    further = time < after[0] if order is Order.UPDATED else time > after[0]
    return sa.or_(further, sa.and_(time == after[0], table.c.key > after[1]))
