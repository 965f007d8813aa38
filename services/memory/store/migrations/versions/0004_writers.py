"""Who wrote a note of another agent's, as a column: a purge has to find them."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")
_CHECKSUM_BYTES = 16
_AT_ONCE = 500


def upgrade() -> None:
    """Add the column and fill it from the bodies, some at a time; a damaged body tells of nobody."""
    op.add_column("notes", sa.Column("writer", _ID))
    op.create_index("notes_by_writer", "notes", ["tenant", "writer"])
    conn = op.get_bind()
    notes = sa.table("notes", *(sa.column(name) for name in ("tenant", "agent", "key", "writer", "body")))
    key = sa.tuple_(notes.c.tenant, notes.c.agent, notes.c.key)
    after = ("", "", "")
    columns = notes.c.tenant, notes.c.agent, notes.c.key, notes.c.body
    while rows := conn.execute(
        sa.select(*columns)
        .where(key > sa.tuple_(*(sa.literal(part) for part in after)))
        .order_by(notes.c.tenant, notes.c.agent, notes.c.key)
        .limit(_AT_ONCE)
    ).all():
        for row in rows:
            writer = _writer(bytes(row.body))
            if writer not in ("", row.agent):
                mine = (notes.c.tenant == row.tenant, notes.c.agent == row.agent, notes.c.key == row.key)
                conn.execute(sa.update(notes).where(*mine).values(writer=writer))
        after = (rows[-1].tenant, rows[-1].agent, rows[-1].key)


def _writer(body: bytes) -> str:
    try:
        return str(json.loads(body[_CHECKSUM_BYTES:])["writer"])[:63]
    except (ValueError, KeyError, TypeError):
        return ""
