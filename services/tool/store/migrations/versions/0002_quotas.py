"""Sums of what agents, trees and tenants keep, filled from what is there."""

from alembic import op

from services.chassis.db import usage

revision = "0002"
down_revision = "0001"

KEPT = """
SELECT tenant, owner AS agent, 'tools' AS quota, COUNT(*) AS used FROM tools GROUP BY tenant, owner
UNION ALL SELECT tenant, agent, 'calls', COUNT(*) FROM calls GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'replies', COUNT(*) FROM idempotency GROUP BY tenant, agent
"""


def upgrade() -> None:
    """Create the tables and fill them."""
    usage.create(op.create_table)
    usage.fill(op.get_bind(), KEPT)
