"""The calls of a whole tenant by age."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index("calls_of_tenant", "calls", ["tenant", "created_us", "agent", "call"])
