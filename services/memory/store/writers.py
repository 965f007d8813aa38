"""Notes that an agent wrote into the scopes of others: they stay, and stop telling who wrote them."""

from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from services.chassis.auth.identity import Scope
from services.chassis.db import Database
from services.chassis.db.purging import BATCH
from services.chassis.rpc.errors import DataCorrupt
from services.chassis.runtime.logs import logger
from services.memory.store import rows, tables

_log = logger(__name__)

GONE: Final = "erased"
"""Stands for a writer that was purged. Nobody can be registered by it."""
_NOTES: Final = tables.notes


async def written_by(database: Database, writer: Scope, limit: int) -> list[Scope]:
    """Return some scopes of others with notes that an agent wrote last."""
    wrote = (_NOTES.c.tenant == writer.tenant, _NOTES.c.writer == writer.agent)
    query = sa.select(_NOTES.c.agent).where(*wrote).distinct().limit(limit)
    found = await database.read(lambda conn: list(conn.execute(query).scalars()))
    return [Scope(writer.tenant, agent) for agent in found]


async def forget_writer(database: Database, writer: Scope, owner: Scope) -> int:
    """Blank the writer of what an agent wrote in another scope, batch by batch; return how many notes."""
    total = 0
    while done := await database.write(lambda conn: _forget_some(conn, writer, owner)):
        total += done
    return total


def _forget_some(conn: sa.Connection, writer: Scope, owner: Scope) -> int:
    mine = (_NOTES.c.tenant == owner.tenant, _NOTES.c.agent == owner.agent)
    query = sa.select(_NOTES.c.key, _NOTES.c.accessed_us, _NOTES.c.body).where(
        *mine, _NOTES.c.writer == writer.agent
    )
    found = conn.execute(query.limit(BATCH)).all()
    for row in found:
        conn.execute(sa.update(_NOTES).where(*mine, _NOTES.c.key == row.key).values(**_blanked(row)))
    return len(found)


def _blanked(row: Any) -> dict[str, Any]:
    try:
        note = replace(rows.from_row(row), writer=GONE)
    except DataCorrupt as error:  # unreadable to everybody: it must not keep the purge waiting for ever
        _log.error("a damaged note keeps its writer", error=error.message)
        return {"writer": None}
    return {"writer": None, "body": rows.to_row(note)["body"]}
