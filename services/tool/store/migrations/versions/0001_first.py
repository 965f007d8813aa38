"""Tools, the ledger of calls, and remembered replies."""

import sqlalchemy as sa
from alembic import op

from services.chassis.db import idempotency

revision = "0001"
down_revision = None


def _id(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tools",
        sa.Column("tenant", _id(63), primary_key=True),
        sa.Column("tool", _id(128), primary_key=True),
        sa.Column("owner", _id(63), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("tools_by_owner", "tools", ["tenant", "owner"])
    op.create_table(
        "calls",
        sa.Column("tenant", _id(63), primary_key=True),
        sa.Column("agent", _id(63), primary_key=True),
        sa.Column("call", _id(64), primary_key=True),
        sa.Column("tool", _id(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("ended_us", sa.BigInteger, nullable=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("calls_by_age", "calls", ["tenant", "agent", "created_us", "call"])
    op.create_index("calls_by_end", "calls", ["ended_us"])
    op.create_table(idempotency.TABLE_NAME, *idempotency.columns())
