"""The first schema: agents, rules, approvals, audit, revocations."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "access_0001"
down_revision = None
branch_labels = None
depends_on = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:

    op.create_table(
        "agent_keys",
        sa.Column("hash", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("agent", NAME, nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        sa.UniqueConstraint("tenant", "agent", name="one_key_per_agent"),
    )
    op.create_table(
        "agents",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("parent", NAME, nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("scheduling_class", sa.String(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("max_wait", sa.BigInteger(), nullable=True),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("agents_by_path", "agents", ["tenant", "path"], unique=False)
    op.create_index("agents_by_revision", "agents", ["tenant", "revision"], unique=False)
    op.create_table(
        "approvals",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("agent", NAME, nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("arguments_sha256", sa.String(), nullable=False),
        sa.Column("arguments_preview", sa.Text(), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.Column("syscall_id", sa.String(), nullable=False),
        sa.Column("decide_time", sa.BigInteger(), nullable=True),
        sa.Column("decider", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("approvals_by_agent", "approvals", ["tenant", "agent", "state"], unique=False)
    op.create_index("approvals_by_sequence", "approvals", ["tenant", "sequence"], unique=False)
    op.create_index("approvals_by_time", "approvals", ["tenant", "create_time", "id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("agent", NAME, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource", NAME, nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("policies", sa.JSON(), nullable=False),
        sa.Column("arguments_sha256", sa.String(), nullable=False),
        sa.Column("syscall_id", sa.String(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("approval", sa.String(), nullable=False),
        sa.Column("event_time", sa.BigInteger(), nullable=True),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "sequence"),
    )
    op.create_index("audit_by_agent", "audit", ["tenant", "agent", "sequence"], unique=False)
    op.create_index("audit_by_hash", "audit", ["tenant", "hash"], unique=False)
    op.create_index("audit_by_time", "audit", ["tenant", "create_time"], unique=False)
    op.create_table(
        "audit_heads",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    op.create_table(
        "counters",
        sa.Column("name", NAME, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "facts",
        sa.Column("name", NAME, nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "grants",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("grantee", NAME, nullable=False),
        sa.Column("resource", NAME, nullable=False),
        sa.Column("prefix", sa.Boolean(), nullable=False),
        sa.Column("actions", sa.JSON(), nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=True),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("creator", NAME, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("grants_by_resource", "grants", ["tenant", "resource", "grantee"], unique=False)
    op.create_index("grants_by_time", "grants", ["tenant", "create_time", "id"], unique=False)
    op.create_table(
        "groups",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("agent", sa.String(length=63), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "agent", "method", "request_id"),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "members",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("group", NAME, nullable=False),
        sa.Column("member", NAME, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "group", "member"),
    )
    op.create_index("members_by_member", "members", ["tenant", "member"], unique=False)
    op.create_table(
        "policies",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("author", NAME, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", "version"),
    )
    op.create_index("policies_in_force", "policies", ["tenant", "active"], unique=False)
    op.create_table(
        "revocations",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("agent", NAME, nullable=False),
        sa.Column("token_id", NAME, nullable=False),
        sa.Column("revoke_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "agent", "token_id"),
    )
    op.create_index("revocations_by_revision", "revocations", ["revision"], unique=False)
    op.create_index("revocations_by_token", "revocations", ["token_id"], unique=False)
    op.bulk_insert(
        sa.table("counters", sa.column("name"), sa.column("value")),
        [{"name": "revision", "value": 0}, {"name": "sequence", "value": 0}],
    )
    op.bulk_insert(
        sa.table("facts", sa.column("name"), sa.column("value")),
        [{"name": "epoch", "value": secrets.token_hex(8)}],
    )
