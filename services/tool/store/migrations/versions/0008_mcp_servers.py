"""MCP servers, and their tools as they were accepted and are offered."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def _id(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make room for them."""
    op.create_table(
        "mcp_servers",
        sa.Column("tenant", _id(63), primary_key=True),
        sa.Column("server", _id(63), primary_key=True),
        sa.Column("agent", _id(63), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("mcp_servers_by_agent", "mcp_servers", ["tenant", "agent"])
    op.create_table(
        "mcp_tools",
        sa.Column("tenant", _id(63), primary_key=True),
        sa.Column("server", _id(63), primary_key=True),
        sa.Column("tool", _id(128), primary_key=True),
        sa.Column("agent", _id(63), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("mcp_tools_by_agent", "mcp_tools", ["tenant", "agent"])
