"""Who wrote the texts of agents, and which grants agents gave."""

import sqlalchemy as sa
from alembic import op

revision = "access_0012"
down_revision = "access_0011"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.add_column("agents", sa.Column("texts_depth", sa.Integer(), nullable=True))
    no = sa.false()
    op.add_column("grants", sa.Column("by_agent", sa.Boolean(), nullable=False, server_default=no))
