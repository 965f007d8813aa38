"""Who revoked a token, for its quota; the sums of approvals that are kept."""

import sqlalchemy as sa
from alembic import op

from services.chassis.db import usage

revision = "access_0010"
down_revision = "access_0009"
branch_labels = None
depends_on = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
KEPT = """
SELECT tenant, agent, 'approval_rows' AS quota, COUNT(*) AS used FROM approvals GROUP BY tenant, agent
"""


def upgrade() -> None:
    """Add the column and fill the sums. Tokens that were revoked before are nobody's."""
    op.add_column("revocations", sa.Column("charged", NAME, nullable=False, server_default=""))
    usage.fill(op.get_bind(), KEPT)
