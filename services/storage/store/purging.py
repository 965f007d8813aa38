"""Deleting a whole scope, and the name of its agent where it wrote into the scopes of others."""

from dataclasses import replace
from functools import partial
from typing import Final

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.auth.identity import Scope
from services.chassis.db import Database
from services.chassis.db.purging import BATCH, purge_tables
from services.storage.model import Change, Upload
from services.storage.store.sql_texts import SqlTexts
from services.storage.store.tables import CHANGES, DOCUMENTS, METADATA, NODES, UPLOADS, VERSIONS

GONE: Final = "erased"
"""Stands for a writer that was purged."""


async def purge_scope(database: Database, scope: Scope) -> dict[str, int]:
    """Delete everything of a scope, batch by batch; return what and how many."""
    documents = 0
    while removed := await database.write(lambda conn: _drop_documents(conn, scope)):
        documents += removed
    counts = await purge_tables(database, METADATA, scope, without={DOCUMENTS.name})
    renamed = 0
    for other in await database.read(lambda conn: _written_scopes(conn, scope)):
        renamed += await _rename_writer(database, scope, other)
    return counts | {what: n for what, n in (("documents", documents), ("written", renamed)) if n}


def _drop_documents(conn: sa.Connection, scope: Scope) -> int:
    """Take some texts out of the search index, which has to be told each one's words."""
    texts = SqlTexts(conn, scope)
    mine = (DOCUMENTS.c.tenant == scope.tenant, DOCUMENTS.c.agent == scope.agent)
    found = conn.execute(sa.select(DOCUMENTS.c.node_id).where(*mine).limit(BATCH // 5)).scalars().all()
    for node_id in found:
        texts.drop_document(node_id)
    return len(found)


def _written_scopes(conn: sa.Connection, scope: Scope) -> list[Scope]:
    """Return the scopes of others in which the agent wrote something."""
    found: set[str] = set()
    for table in (NODES, VERSIONS):
        foreign = table.c.writer != table.c.agent  # as the index has it
        wrote = (table.c.tenant == scope.tenant, table.c.writer == scope.agent, foreign)
        found |= set(conn.execute(sa.select(table.c.agent).where(*wrote).distinct()).scalars())
    return [Scope(scope.tenant, agent) for agent in sorted(found)]


async def _rename_writer(database: Database, purged: Scope, other: Scope) -> int:
    """Blank the writer of what the purged agent wrote in another scope; return how many rows.

    Events go first: they are found by way of the nodes and versions.
    """
    after = await database.write(partial(_rename_in_events, purged=purged, other=other, after=-1))
    while after >= 0:
        after = await database.write(partial(_rename_in_events, purged=purged, other=other, after=after))
    await database.write(partial(_rename_in_uploads, purged=purged, other=other))
    total = 0
    for table in (NODES, VERSIONS):
        while done := await database.write(partial(_rename_some, table=table, purged=purged, other=other)):
            total += done
    return total


def _rename_some(conn: sa.Connection, table: sa.Table, purged: Scope, other: Scope) -> int:
    keys = list(table.primary_key)
    wrote = _in(table, other, table.c.writer == purged.agent)
    chosen = sa.select(*keys).where(*wrote).limit(BATCH)
    return conn.execute(sa.update(table).where(sa.tuple_(*keys).in_(chosen)).values(writer=GONE)).rowcount


def _rename_in_events(conn: sa.Connection, purged: Scope, other: Scope, after: int) -> int:
    """Blank the writer in some events; return the sequence of the last one looked at, or -1."""
    query = sa.select(CHANGES.c.sequence, CHANGES.c.body).where(
        *_in(CHANGES, other, CHANGES.c.sequence > after)
    )
    last = -1
    for row in conn.execute(query.order_by(CHANGES.c.sequence).limit(BATCH)).all():
        last = row.sequence
        change = codec.decode(Change, row.body)
        if change.node.writer == purged.agent:
            blank = replace(change, node=replace(change.node, writer=GONE))
            where = _in(CHANGES, other, CHANGES.c.sequence == row.sequence)
            conn.execute(sa.update(CHANGES).where(*where).values(body=codec.encode(blank)))
    return last


def _rename_in_uploads(conn: sa.Connection, purged: Scope, other: Scope) -> None:
    """Blank the writer of uploads, of which a scope has few."""
    for row in conn.execute(sa.select(UPLOADS.c.id, UPLOADS.c.body).where(*_in(UPLOADS, other))).all():
        upload = codec.decode(Upload, row.body)
        if upload.writer == purged.agent:
            body = codec.encode(replace(upload, writer=GONE))
            conn.execute(
                sa.update(UPLOADS).where(*_in(UPLOADS, other, UPLOADS.c.id == row.id)).values(body=body)
            )


def _in(table: sa.Table, scope: Scope, *more: sa.ColumnElement[bool]) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.tenant == scope.tenant, table.c.agent == scope.agent, *more)
