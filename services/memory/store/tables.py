"""The tables.

Tenant and agent lead every primary key; bodies are sealed JSON of the model (chassis codec).
"""

from sqlalchemy import BigInteger, Column, Float, Index, LargeBinary, MetaData, String, Table, Text

from services.chassis.db import idempotency
from services.chassis.db import rankings as ranking_table
from services.chassis.db.usage import UsageBook
from services.chassis.db.usage import tables as quota_tables

metadata = MetaData()


def ordered(length: int) -> String:
    """Return the type of a text that every engine compares byte by byte, so that lists have one order."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def keys(*names: str) -> list[Column[str]]:
    """Return the columns of a primary key: ids, but `key` and `target`, which are keys of notes."""
    lengths = {"key": 256, "target": 256}
    return [Column(name, ordered(lengths.get(name, 63)), primary_key=True) for name in names]


# Small columns first: SQLite reads them without the pages that a long body spills over to.
notes = Table(
    "notes",
    metadata,
    *keys("tenant", "agent", "key"),
    Column("etag", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("accessed_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),  # 0: never
    Column("importance", Float, nullable=False),
    Column("category", Text, nullable=False),  # JSON text: may hold characters that SQL text may not
    Column("tags", Text, nullable=False),  # JSON texts, each between separators
    Column("body", LargeBinary, nullable=False),
    Column("writer", ordered(63)),  # NULL: the owner itself
    Index("notes_by_writer", "tenant", "writer"),
    Index("notes_by_update", "tenant", "agent", "updated_us"),
    Index("notes_by_expiry", "expires_us"),
)

note_texts = Table(
    "note_texts",
    metadata,
    *keys("tenant", "agent", "key"),
    Column("vector", LargeBinary, nullable=False),
    Column("words", Text, nullable=False),  # with a blank before, between and after
)

note_links = Table(
    "note_links",
    metadata,
    *keys("tenant", "agent", "target", "key"),
    Index("note_links_by_source", "tenant", "agent", "key"),
)

usage = Table(
    "usage",
    metadata,
    *keys("tenant", "agent"),
    Column("note_count", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)

replies = idempotency.table(metadata)
book = UsageBook(*quota_tables(metadata))
rankings = ranking_table.table(metadata)
