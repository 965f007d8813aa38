"""Inserts that meet a row with the same primary key, on SQLite and PostgreSQL alike."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def upsert(conn: sa.Connection, table: sa.Table, *rows: Mapping[str, Any]) -> None:
    """Insert rows, or replace those with their primary keys.

    All rows have the same columns; a column that they leave out keeps its value in a row that exists.
    """
    if rows:
        statement = _upsert(table, tuple(rows[0]), conn.dialect.name)
        conn.execute(statement, rows[0] if len(rows) == 1 else rows)


def insert_new(conn: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Insert a row; False, and nothing changed, when its primary key is taken."""
    statement = _insert(table, conn.dialect.name).on_conflict_do_nothing().returning(*table.primary_key)
    return conn.execute(statement, row).first() is not None


# Building a statement takes longer than running it on SQLite, so each is built once.
@cache
def _upsert(table: sa.Table, columns: tuple[str, ...], dialect: str) -> sa.Executable:
    statement = _insert(table, dialect)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _insert(table: sa.Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
