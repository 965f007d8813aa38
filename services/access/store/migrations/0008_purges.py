"""Purges of killed agents, and what stays of them."""

import sqlalchemy as sa
from alembic import op

revision = "access_0008"
down_revision = "access_0007"
branch_labels = None
depends_on = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:

    op.create_index("agents_by_state", "agents", ["state", "update_time"])
    op.create_table(
        "purges",
        sa.Column("tenant", NAME, primary_key=True),
        sa.Column("agent", NAME, primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("expanded", sa.Boolean(), nullable=False),
        sa.Column("requester", NAME, nullable=False),
        sa.Column("requester_kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
    )
    op.create_index("purges_by_due", "purges", ["due_time", "tenant", "agent"])
    op.create_table(
        "purge_confirmations",
        sa.Column("tenant", NAME, primary_key=True),
        sa.Column("agent", NAME, primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("manager", NAME, primary_key=True),
        sa.Column("counts", sa.JSON(), nullable=False),
    )
    op.create_table(
        "tombstones",
        sa.Column("tenant", NAME, primary_key=True),
        sa.Column("digest", NAME, primary_key=True),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
    )
