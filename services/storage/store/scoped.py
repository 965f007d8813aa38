"""What the parts of a SQL transaction share: the connection, the scope, the rows of that scope only."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from services.storage.model import Scope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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

    def _row(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.Row[Any] | None:
        return self._conn.execute(self._select(table, *conditions)).first()

    def _delete(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
        return self._conn.execute(sa.delete(table).where(self._mine(table), *conditions)).rowcount

    def _insert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._conn.execute(sa.insert(table), [self._owned(row) for row in rows])

    def _upsert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, or replace those with the same primary key."""
        if not rows:
            return
        statement: Any = (sqlite if self._sqlite else postgresql).insert(table)
        keys = [column.name for column in table.primary_key.columns]
        changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        self._conn.execute(
            statement.on_conflict_do_update(index_elements=keys, set_=changed),
            [self._owned(row) for row in rows],
        )

    def _owned(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {"tenant": self._scope.tenant, "agent": self._scope.agent, **row}


def micros(moment: datetime) -> int:
    """Convert a time to microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """Convert microseconds since 1970 to a time."""
    return _EPOCH + timedelta(microseconds=microseconds)
