"""What the parts of a SQL transaction share: the connection, the scope, the rows of that scope only."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.db.sql import upsert


class Scoped:
    """Reads and writes rows of one scope; every statement made here names tenant and agent."""

    def __init__(self, conn: sa.Connection, scope: Scope) -> None:
        self._conn = conn
        self._scope = scope

    @property
    def scope(self) -> Scope:
        """Whose storage it is."""
        return self._scope

    @property
    def _sqlite(self) -> bool:
        return self._conn.dialect.name == "sqlite"

    def _mine(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.tenant == self._scope.tenant, table.c.agent == self._scope.agent)

    def _select(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
        return sa.select(table).where(self._mine(table), *conditions)

    def _rows(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        return self._conn.execute(statement).all()

    def _row(self, table: sa.Table, **equal: Any) -> sa.Row[Any] | None:
        """Return the row whose columns equal the given values."""
        return self._conn.execute(_lookup(table, tuple(equal)), self._owned(equal)).first()

    def _delete(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
        return self._conn.execute(sa.delete(table).where(self._mine(table), *conditions)).rowcount

    def _remove(self, table: sa.Table, **equal: Any) -> None:
        """Delete the rows whose columns equal the given values."""
        self._conn.execute(_removal(table, tuple(equal)), self._owned(equal))

    def _insert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._conn.execute(_insertion(table), [self._owned(row) for row in rows])

    def _upsert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, or replace those with the same primary key."""
        upsert(self._conn, table, *map(self._owned, rows))

    def _owned(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {"tenant": self._scope.tenant, "agent": self._scope.agent, **row}


# Statements with the same columns are built once: building one takes longer than running it on SQLite.


def _equal(table: sa.Table, columns: tuple[str, ...]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == sa.bindparam(name) for name in ("tenant", "agent", *columns)]


@cache
def _lookup(table: sa.Table, columns: tuple[str, ...]) -> sa.Select[Any]:
    return sa.select(table).where(*_equal(table, columns))


@cache
def _removal(table: sa.Table, columns: tuple[str, ...]) -> sa.Delete:
    return sa.delete(table).where(*_equal(table, columns))


@cache
def _insertion(table: sa.Table) -> sa.Insert:
    return sa.insert(table)
