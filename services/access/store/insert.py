"""Inserts that tell whether the key was free, in the dialects that the store runs on."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(conn: sa.Connection, table: sa.Table, values: dict[str, Any]) -> bool:
    """Insert a row; False, and nothing changed, when its primary key is taken."""
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(values).on_conflict_do_nothing().returning(*table.primary_key)
    return conn.execute(statement).first() is not None


def put(conn: sa.Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row, or replace the one with the same primary key."""
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in values.items() if name not in keys}
    statement = insert(table).values(values).on_conflict_do_update(index_elements=keys, set_=rest)
    conn.execute(statement)
