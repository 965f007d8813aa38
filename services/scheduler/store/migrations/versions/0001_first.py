"""Calls that ended, sums of what they took, and which batches have been written."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_COUNTS = ("calls", "failed", "cancelled", "prompt_tokens", "new_tokens", "wait_ms", "run_ms", "preemptions")


def _text(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "past_calls",
        sa.Column("tenant", _text(63), primary_key=True),
        sa.Column("agent", _text(63), primary_key=True),
        sa.Column("call", _text(64), primary_key=True),
        sa.Column("ended_us", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("lane", sa.String(16), nullable=False),
        sa.Column("failed", sa.Boolean, nullable=False),
    )
    op.create_index("past_calls_by_end", "past_calls", ["tenant", "agent", "ended_us", "call"])
    op.create_index("past_calls_by_age", "past_calls", ["ended_us"])
    op.create_index("past_calls_of_tenant", "past_calls", ["tenant", "ended_us"])
    op.create_table(
        "call_sums",
        sa.Column("tenant", _text(63), primary_key=True),
        sa.Column("path", _text(2048), primary_key=True),
        sa.Column("hour_us", sa.BigInteger, primary_key=True),
        sa.Column("lane", sa.String(16), primary_key=True),
        sa.Column("agent", _text(63), nullable=False),
        *(
            sa.Column(f"{whose}_{count}", sa.BigInteger, nullable=False)
            for whose in ("own", "tree")
            for count in _COUNTS
        ),
    )
    op.create_index("call_sums_of_agent", "call_sums", ["tenant", "agent"])
    op.create_index("call_sums_by_age", "call_sums", ["hour_us"])
    op.create_table(
        "written_batches",
        sa.Column("writer", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
