"""For what nobody vouches. What is there already counts as its owner's own."""

import sqlalchemy as sa
from alembic import op

revision = "storage_0004"
down_revision = "storage_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:

    for table in ("nodes", "versions", "records"):
        op.add_column(table, sa.Column("untrusted", sa.Boolean(), nullable=False, server_default=sa.false()))
