"""The tree that an approval was asked for in."""

import sqlalchemy as sa
from alembic import op

revision = "access_0003"
down_revision = "access_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:

    # Empty for older rows: those are for administrators alone to decide.
    op.add_column("approvals", sa.Column("root", sa.String(), nullable=False, server_default=""))
