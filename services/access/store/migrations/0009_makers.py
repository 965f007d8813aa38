"""Who made agents, keys of persons and grants, and with which family of tokens."""

import sqlalchemy as sa
from alembic import op

revision = "access_0009"
down_revision = "access_0008"
branch_labels = None
depends_on = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:

    for column in ("maker_tenant", "maker", "maker_family"):
        op.add_column("agents", sa.Column(column, NAME, nullable=False, server_default=""))
    op.create_index("agents_by_maker", "agents", ["maker_tenant", "maker"])
    op.add_column("grants", sa.Column("family", NAME, nullable=False, server_default=""))
    for column in ("key_maker_tenant", "key_maker", "key_family"):
        op.add_column("persons", sa.Column(column, NAME, nullable=False, server_default=""))
    op.add_column("persons", sa.Column("key_time", sa.BigInteger(), nullable=True))
