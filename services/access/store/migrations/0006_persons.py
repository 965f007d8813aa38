"""Persons and their keys, what approvals show and who said what, approval rules."""

import sqlalchemy as sa
from alembic import op

revision = "access_0006"
down_revision = "access_0005"
branch_labels = None
depends_on = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:

    # Who put older policies was not noted: they name no agent as a decider.
    op.add_column("policies", sa.Column("author_kind", sa.String(), nullable=False, server_default=""))
    # Older approvals may have been cut without a mark, and nobody's vote on them is noted: they are not used.
    for column in (
        sa.Column("arguments_bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("preview_truncated", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("resource_version", sa.String(), nullable=False, server_default=""),
        sa.Column("required", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("votes", sa.JSON(), nullable=False, server_default="[]"),
    ):
        op.add_column("approvals", column)
    op.create_table(
        "approval_arguments",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("approval", NAME, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "approval"),
    )
    op.create_table(
        "approval_rules",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("deciders", sa.Integer(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("creator", NAME, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "persons",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("administrator", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("creator", NAME, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("key_hash", NAME, nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id"),
        sa.UniqueConstraint("key_hash", name="one_person_per_key"),
    )
