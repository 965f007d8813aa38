"""What tools answered apart from what is listed of calls."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make room. The body of a call that is there already goes on to hold all of it."""
    op.add_column("calls", sa.Column("whole", sa.LargeBinary, nullable=True))
