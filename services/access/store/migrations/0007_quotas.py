"""Sums of what agents, trees and tenants keep, filled from what is there."""

from alembic import op

from services.chassis.db import usage

revision = "access_0007"
down_revision = "access_0006"
branch_labels = None
depends_on = None

KEPT = """
SELECT tenant, parent AS agent, 'agents' AS quota, COUNT(*) AS used FROM agents WHERE state <> 'killed'
  GROUP BY tenant, parent
UNION ALL SELECT tenant, parent, 'agent_rows', COUNT(*) FROM agents GROUP BY tenant, parent
UNION ALL SELECT tenant, owner, 'grants', COUNT(*) FROM grants WHERE NOT revoked GROUP BY tenant, owner
UNION ALL SELECT tenant, owner, 'grant_rows', COUNT(*) FROM grants GROUP BY tenant, owner
UNION ALL SELECT tenant, '', 'groups', COUNT(*) FROM groups GROUP BY tenant
UNION ALL SELECT tenant, '', 'memberships', COUNT(*) FROM members GROUP BY tenant
UNION ALL SELECT tenant, '', 'policy_versions', COUNT(*) FROM policies GROUP BY tenant
UNION ALL SELECT tenant, agent, 'replies', COUNT(*) FROM idempotency GROUP BY tenant, agent
"""


def upgrade() -> None:
    """Create the tables and fill them. When a revoked grant ended is not known: now."""
    usage.create(op.create_table)
    usage.fill(op.get_bind(), KEPT)
    op.execute("UPDATE grants SET expire_time = create_time WHERE revoked AND expire_time IS NULL")
