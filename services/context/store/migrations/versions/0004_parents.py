"""Of which other agent's context a context was forked, as a column: a purge has to find them."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")
_AT_ONCE = 500


def upgrade() -> None:
    """Add the column and fill it from the bodies, some at a time."""
    op.add_column("contexts", sa.Column("parent_agent", _ID))
    op.create_index("contexts_by_parent", "contexts", ["tenant", "parent_agent"])
    conn = op.get_bind()
    names = ("tenant", "agent", "context", "parent_agent", "body")
    contexts = sa.table("contexts", *(sa.column(name) for name in names))
    columns = contexts.c.tenant, contexts.c.agent, contexts.c.context
    after = ("", "", "")
    while rows := conn.execute(
        sa.select(*columns, contexts.c.body)
        .where(sa.tuple_(*columns) > sa.tuple_(*(sa.literal(part) for part in after)))
        .order_by(*columns)
        .limit(_AT_ONCE)
    ).all():
        for row in rows:
            _, _, rest = json.loads(bytes(row.body)).get("parent", "").partition("agents/")
            parent = rest.partition("/")[0]
            if parent not in ("", row.agent):
                mine = zip(columns, (row.tenant, row.agent, row.context), strict=True)
                where = [column == value for column, value in mine]
                conn.execute(sa.update(contexts).where(*where).values(parent_agent=parent))
        after = (rows[-1].tenant, rows[-1].agent, rows[-1].context)
