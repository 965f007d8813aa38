"""Notes, what search knows about them, links, sums and remembered replies."""

import sqlalchemy as sa
from alembic import op

from services.chassis.db import idempotency

revision = "0001"
down_revision = None


def _keys(*names: str) -> list[sa.Column[str]]:
    columns = []
    for name in names:
        length = 256 if name in {"key", "target"} else 63
        kind = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
        columns.append(sa.Column(name, kind, primary_key=True))
    return columns


def upgrade() -> None:
    op.create_table(
        "notes",
        *_keys("tenant", "agent", "key"),
        sa.Column("etag", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("accessed_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("importance", sa.Float, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("notes_by_update", "notes", ["tenant", "agent", "updated_us"])
    op.create_index("notes_by_expiry", "notes", ["expires_us"])
    op.create_table(
        "note_texts",
        *_keys("tenant", "agent", "key"),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )
    op.create_table("note_links", *_keys("tenant", "agent", "target", "key"))
    op.create_index("note_links_by_source", "note_links", ["tenant", "agent", "key"])
    op.create_table(
        "usage",
        *_keys("tenant", "agent"),
        sa.Column("note_count", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(idempotency.TABLE_NAME, *idempotency.columns())
