"""Summaries of branches."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "summaries",
        *(sa.Column(name, _ID, primary_key=True) for name in ("tenant", "agent", "branch")),
        sa.Column("through", sa.BigInteger, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
