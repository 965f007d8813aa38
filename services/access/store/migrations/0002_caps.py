"""What agents may ask for: caps, and the hints `deadline` and `policy`."""

import sqlalchemy as sa
from alembic import op

revision = "access_0002"
down_revision = "access_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.add_column("agents", sa.Column("deadline", sa.BigInteger(), nullable=True))
    op.add_column("agents", sa.Column("policy", sa.String(), nullable=False, server_default=""))
    op.add_column("agents", sa.Column("caps", sa.JSON(), nullable=True))
