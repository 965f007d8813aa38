"""Contents made by appending, what versions share, names whose grants must end, rankings for later pages."""

import sqlalchemy as sa
from alembic import op

from services.chassis.db import rankings

revision = "storage_0002"
down_revision = "storage_0001"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "links",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("piece", sa.Text(), nullable=False),
        sa.Column("piece_size", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("pending", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "agent", "digest"),
    )
    op.create_index("links_by_piece", "links", ["tenant", "agent", "piece"], unique=False)
    op.add_column("versions", sa.Column("shared", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "vacated_names",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("path", KEY, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "agent", "path"),
    )
    op.create_table("rankings", *rankings.columns())
    # Deletions used to leave their shares in force: what is in the trash may still be shared by its name.
    op.execute(
        "INSERT INTO vacated_names (tenant, agent, path, sequence) "
        "SELECT tenant, agent, path, MAX(trash_id) FROM nodes WHERE trash_root GROUP BY tenant, agent, path"
    )
