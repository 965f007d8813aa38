"""The tables of the index. Tenant and agent lead every primary key and every other index."""

from typing import Any, Final

import sqlalchemy as sa

from services.chassis.db import idempotency, rankings
from services.chassis.db.usage import UsageBook, tables

METADATA: Final = sa.MetaData()

KEY: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that sorts by bytes on every engine, as SQLite and Python do."""


def scope_columns() -> list[sa.Column[Any]]:
    """Return the columns that lead every key."""
    return [sa.Column("tenant", sa.Text, primary_key=True), sa.Column("agent", sa.Text, primary_key=True)]


def _number(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, **options)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def _key(name: str, kind: Any = sa.Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True)


def _untrusted() -> sa.Column[Any]:
    return sa.Column("untrusted", sa.Boolean, nullable=False, server_default=sa.false())


_FOREIGN: Final = sa.text("writer <> agent")
"""What an agent wrote into the scope of another: few rows, which a purge has to find."""

SCOPES: Final = sa.Table(
    "scopes",
    METADATA,
    *scope_columns(),
    _number("sequence"),
    _number("dropped"),
    _number("live"),
    _number("history"),
    _number("trash"),
    _number("uploads"),
    _number("records"),
    _number("nodes"),
)

NODES: Final = sa.Table(
    "nodes",
    METADATA,
    *scope_columns(),
    _key("id"),
    sa.Column("path", KEY, nullable=False),
    sa.Column("parent", KEY, nullable=False),
    _text("kind"),
    _number("created_at"),
    _number("updated_at"),
    _number("revision"),
    _number("version"),
    _text("digest"),
    _number("size"),
    _text("writer"),
    _text("media_type"),
    _text("metadata"),
    _number("trash_id"),
    sa.Column("trash_root", sa.Boolean, nullable=False),
    sa.Column("trashed_at", sa.BigInteger),
    _untrusted(),
    sa.Index("nodes_by_writer", "tenant", "writer", sqlite_where=_FOREIGN, postgresql_where=_FOREIGN),
    sa.Index("nodes_by_path", "tenant", "agent", "trash_id", "path", unique=True),
    sa.Index("nodes_by_parent", "tenant", "agent", "trash_id", "parent", "path"),
)

VERSIONS: Final = sa.Table(
    "versions",
    METADATA,
    *scope_columns(),
    _key("node_id"),
    _key("number", sa.BigInteger),
    _text("digest"),
    _number("size"),
    _number("created_at"),
    _text("writer"),
    _text("etag"),
    _text("comment"),
    _number("restored"),
    _number("shared", server_default="0"),
    _untrusted(),
    sa.Index("versions_by_writer", "tenant", "writer", sqlite_where=_FOREIGN, postgresql_where=_FOREIGN),
    sa.Index("versions_by_digest", "tenant", "agent", "digest"),
)

PIECES: Final = sa.Table(
    "pieces",
    METADATA,
    *scope_columns(),
    _key("digest"),
    _key("position", sa.BigInteger),
    _text("piece"),
    _number("size"),
    sa.Column("data", sa.LargeBinary),
    sa.Index("pieces_by_piece", "tenant", "agent", "piece"),
)

LINKS: Final = sa.Table(
    "links",
    METADATA,
    *scope_columns(),
    _key("digest"),
    _text("base"),
    _number("size"),
    _text("piece"),
    _number("piece_size"),
    sa.Column("data", sa.LargeBinary),
    sa.Column("pending", sa.LargeBinary),
    sa.Index("links_by_piece", "tenant", "agent", "piece"),
)

VACATED: Final = sa.Table(
    "vacated_names",
    METADATA,
    *scope_columns(),
    _key("path", KEY),
    _number("sequence"),
)

UPLOADS: Final = sa.Table(
    "uploads",
    METADATA,
    *scope_columns(),
    _key("id"),
    _number("expires_at"),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

CHUNKS: Final = sa.Table(
    "chunks",
    METADATA,
    *scope_columns(),
    _key("upload_id"),
    _key("position", sa.BigInteger),
    _text("piece"),
    _number("size"),
    sa.Column("data", sa.LargeBinary),
    sa.Index("chunks_by_piece", "tenant", "agent", "piece"),
)

CHANGES: Final = sa.Table(
    "changes",
    METADATA,
    *scope_columns(),
    _key("sequence", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

DOCUMENTS: Final = sa.Table(
    "documents",
    METADATA,
    *scope_columns(),
    _key("node_id"),
    _text("text"),
    _text("words"),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("entry", sa.BigInteger, unique=True),  # SQLite: rowid of the full-text index
)

COLLECTIONS: Final = sa.Table(
    "collections",
    METADATA,
    *scope_columns(),
    _key("name", KEY),
    _number("created_at"),
    _number("updated_at"),
    _number("count"),
    _number("size"),
    _number("vector_length"),
)

RECORDS: Final = sa.Table(
    "records",
    METADATA,
    *scope_columns(),
    _key("collection", KEY),
    _key("key", KEY),
    _text("fields"),
    _text("text"),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    _number("created_at"),
    _number("updated_at"),
    _number("revision"),
    _untrusted(),
)

REPLIES: Final = idempotency.table(METADATA)
RANKINGS: Final = rankings.table(METADATA)
BOOK: Final = UsageBook(*tables(METADATA))
