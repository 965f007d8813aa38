"""Secrets of operators, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def _id(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "secrets",
        sa.Column("tenant", _id(63), primary_key=True),
        sa.Column("secret", _id(63), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("bound_to", sa.String(512), nullable=False),
        sa.Column("key_id", sa.String(63), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
    )
