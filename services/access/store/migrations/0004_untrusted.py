"""Which agents have read what nobody vouches for."""

import sqlalchemy as sa
from alembic import op

revision = "access_0004"
down_revision = "access_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.add_column("agents", sa.Column("untrusted_since", sa.BigInteger(), nullable=True))
    op.add_column("agents", sa.Column("untrusted_source", sa.String(), nullable=False, server_default=""))
