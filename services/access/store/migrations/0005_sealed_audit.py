"""An audit log sealed with keys, heads exported from it, and erasure in it."""

import sqlalchemy as sa
from alembic import op

revision = "access_0005"
down_revision = "access_0004"
branch_labels = None
depends_on = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:

    for name in ("note", "key_id", "actor_digest", "actor_salt", "subject_digest", "subject_salt"):
        op.add_column("audit", sa.Column(name, sa.String(), nullable=False, server_default=""))
    for name in ("actor_erased_by", "subject_erased_by"):
        op.add_column("audit", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("audit_by_resource", "audit", ["tenant", "resource", "sequence"])
    op.add_column("audit_heads", sa.Column("key_id", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "audit_exports",
        sa.Column("tenant", NAME, primary_key=True),
        sa.Column("exporter", NAME, primary_key=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
    )
