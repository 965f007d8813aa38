"""Sums of what agents, trees and tenants keep, filled from what is there."""

import json

import sqlalchemy as sa
from alembic import op

from services.chassis.db import usage

revision = "0003"
down_revision = "0002"

KEPT = """
SELECT tenant, agent, 'contexts' AS quota, COUNT(*) AS used FROM contexts GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'context_bytes', SUM(size_bytes) FROM contexts GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'messages', SUM(shown) FROM shown_messages GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'snapshots', COUNT(*) FROM snapshots WHERE NOT deleted GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'snapshot_bytes', SUM(size_bytes) FROM snapshots GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'replies', COUNT(*) FROM idempotency GROUP BY tenant, agent
"""


def upgrade() -> None:
    """Create the tables and fill them; how many messages a context shows stands in its body only."""
    conn = op.get_bind()
    usage.create(op.create_table)
    columns = (sa.Column("tenant", sa.Text), sa.Column("agent", sa.Text), sa.Column("shown", sa.BigInteger))
    shown = op.create_table("shown_messages", *columns)
    found = conn.execute(sa.text("SELECT tenant, agent, body FROM contexts"))
    for rows in found.partitions(500):
        counts = [json.loads(bytes(row.body))["message_count"] for row in rows]
        values = [
            {"tenant": row.tenant, "agent": row.agent, "shown": count}
            for row, count in zip(rows, counts, strict=True)
        ]
        conn.execute(sa.insert(shown), values)
    usage.fill(conn, KEPT)
    op.drop_table("shown_messages")
