"""Notes as rows."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.db.checksummed import add_checksum, verify_checksum
from services.chassis.times import from_micros, micros
from services.memory.model import Filter, Listed, Note, Order
from services.memory.ports import Position
from services.memory.store import tables

_BETWEEN: Final = "\x1f"
NEVER: Final = 0


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
        "expires_us": NEVER if fields.expires_at is None else micros(fields.expires_at),
        "importance": fields.importance,
        "category": json.dumps(fields.category),
        "tags": "".join(f"{_BETWEEN}{json.dumps(tag)}{_BETWEEN}" for tag in fields.tags),
        "body": add_checksum(codec.encode(note)),
    }


def from_row(row: Any) -> Note:
    """Read a note from its key, body and accessed_us.

    Raises DataCorrupt.
    """
    note = codec.decode(Note, verify_checksum(bytes(row.body), f"note {row.key}"))
    return replace(note, accessed_at=from_micros(row.accessed_us))


def listed(row: Any) -> Listed:
    """Read what a list tells of a note."""
    return Listed(
        row.key, row.size_bytes, from_micros(row.created_us), from_micros(row.updated_us), row.importance
    )


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
