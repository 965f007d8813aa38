"""Several keys for one agent, and who made each."""

import sqlalchemy as sa
from alembic import op

revision = "access_0013"
down_revision = "access_0012"
branch_labels = None
depends_on = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    # SQLite drops no constraint of a table: the keys move to one without it.
    op.create_table(
        "agent_keys_moved",
        sa.Column("hash", NAME, primary_key=True),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("agent", NAME, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("maker_tenant", NAME, nullable=False, server_default=""),
        sa.Column("maker", NAME, nullable=False, server_default=""),
        sa.Column("maker_family", NAME, nullable=False, server_default=""),
        sa.Column("issue", NAME, nullable=False, server_default=""),
    )
    op.execute(
        "INSERT INTO agent_keys_moved (hash, tenant, agent) SELECT hash, tenant, agent FROM agent_keys"
    )
    op.drop_table("agent_keys")
    op.rename_table("agent_keys_moved", "agent_keys")
    op.create_index("agent_keys_by_agent", "agent_keys", ["tenant", "agent"])
    op.create_index("agent_keys_by_maker", "agent_keys", ["maker_tenant", "maker"])
