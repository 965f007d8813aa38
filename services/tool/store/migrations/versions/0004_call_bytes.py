"""How many bytes each call takes, and their sums."""

import sqlalchemy as sa
from alembic import op

from services.chassis.db import usage

revision = "0004"
down_revision = "0003"

KEPT = "SELECT tenant, agent, 'call_bytes' AS quota, SUM(bytes) AS used FROM calls GROUP BY tenant, agent"


def upgrade() -> None:
    """Measure what is there."""
    op.add_column("calls", sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE calls SET bytes = LENGTH(body) + COALESCE(LENGTH(whole), 0)")
    usage.fill(op.get_bind(), KEPT)
