"""Contexts, branches of messages, snapshots and remembered replies."""

import sqlalchemy as sa
from alembic import op

from services.chassis.db import idempotency

revision = "0001"
down_revision = None

_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, _ID, primary_key=True) for name in names]


def upgrade() -> None:
    op.create_table(
        "contexts",
        *_keys("tenant", "agent", "context"),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "branch_uses",
        *_keys("tenant", "agent", "branch", "user_agent", "user_context"),
        sa.Column("last_position", sa.BigInteger, nullable=False),
    )
    op.create_index("branch_uses_by_user", "branch_uses", ["tenant", "user_agent", "user_context"])
    op.create_table(
        "messages",
        *_keys("tenant", "agent", "branch"),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "snapshots",
        *_keys("tenant", "agent", "generation"),
        sa.Column("finished", sa.Boolean, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("snapshots_by_expiry", "snapshots", ["expires_us"])
    op.create_table(
        "snapshot_parts",
        *_keys("tenant", "agent", "generation"),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("first", sa.BigInteger, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(idempotency.TABLE_NAME, *idempotency.columns())
