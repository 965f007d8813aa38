"""Agents that end by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "access_0011"
down_revision = "access_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.add_column("agents", sa.Column("expire_time", sa.BigInteger(), nullable=True))
    op.create_index("agents_by_expiry", "agents", ["state", "expire_time"])
