"""What tenants' administrators leave of where tools may send to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    tenant = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")
    op.create_table(
        "egress_narrowings",
        sa.Column("tenant", tenant, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
