"""Sums of what agents, trees and tenants keep, filled from what is there."""

from alembic import op

from services.chassis.db import usage

revision = "0003"
down_revision = "0002"

KEPT = """
SELECT tenant, agent, 'notes' AS quota, note_count AS used FROM usage
UNION ALL SELECT tenant, agent, 'note_bytes', size_bytes FROM usage
UNION ALL SELECT tenant, agent, 'links', COUNT(*) FROM note_links GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'replies', COUNT(*) FROM idempotency GROUP BY tenant, agent
"""


def upgrade() -> None:
    """Create the tables and fill them."""
    usage.create(op.create_table)
    usage.fill(op.get_bind(), KEPT)
