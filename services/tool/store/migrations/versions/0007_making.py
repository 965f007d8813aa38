"""Tools that agents make: drafts, and the versions that were shared."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def _id(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "drafts",
        sa.Column("tenant", _id(63), primary_key=True),
        sa.Column("agent", _id(63), primary_key=True),
        sa.Column("draft", _id(63), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "tool_versions",
        sa.Column("tenant", _id(63), primary_key=True),
        sa.Column("agent", _id(63), primary_key=True),
        sa.Column("draft", _id(63), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
