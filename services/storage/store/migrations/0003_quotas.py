"""Sums of what agents, trees and tenants keep, filled from what is there."""

from alembic import op

from services.chassis.db import usage

revision = "storage_0003"
down_revision = "storage_0002"
branch_labels = None
depends_on = None

KEPT = """
SELECT tenant, agent, 'bytes' AS quota, live + history + trash + uploads + records AS used FROM scopes
UNION ALL SELECT tenant, agent, 'files', nodes FROM scopes
UNION ALL SELECT tenant, agent, 'trash', COUNT(*) FROM nodes WHERE trash_id > 0 GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'versions', COUNT(*) FROM versions GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'uploads', COUNT(*) FROM uploads GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'chunks', COUNT(*) FROM chunks GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'collections', COUNT(*) FROM collections GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'records', COUNT(*) FROM records GROUP BY tenant, agent
UNION ALL SELECT tenant, agent, 'replies', COUNT(*) FROM idempotency GROUP BY tenant, agent
"""


def upgrade() -> None:
    """Create the tables and fill them."""
    usage.create(op.create_table)
    usage.fill(op.get_bind(), KEPT)
