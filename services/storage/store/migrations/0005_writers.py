"""Finding what agents wrote into the scopes of others."""

import sqlalchemy as sa
from alembic import op

revision = "storage_0005"
down_revision = "storage_0004"
branch_labels = None
depends_on = None

FOREIGN = sa.text("writer <> agent")


def upgrade() -> None:

    for table in ("nodes", "versions"):
        op.create_index(
            f"{table}_by_writer",
            table,
            ["tenant", "writer"],
            sqlite_where=FOREIGN,
            postgresql_where=FOREIGN,
        )
