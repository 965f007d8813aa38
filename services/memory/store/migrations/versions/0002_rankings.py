"""Rankings of searches, kept for their later pages."""

from alembic import op

from services.chassis.db import rankings

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table("rankings", *rankings.columns())
