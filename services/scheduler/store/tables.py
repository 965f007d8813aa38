"""The tables. Tenant leads every primary key of what belongs to one; bodies are sealed JSON of the model."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, MetaData, String, Table

from services.scheduler.model import SUM_FIELDS

metadata = MetaData()


def ordered(length: int) -> String:
    """Return the type of a text that every engine compares byte by byte, so that lists have one order."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


past_calls = Table(
    "past_calls",
    metadata,
    Column("tenant", ordered(63), primary_key=True),
    Column("agent", ordered(63), primary_key=True),
    Column("call", ordered(64), primary_key=True),
    Column("ended_us", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("lane", String(16), nullable=False),
    Column("failed", Boolean, nullable=False),
    Index("past_calls_by_end", "tenant", "agent", "ended_us", "call"),
    Index("past_calls_by_age", "ended_us"),
    Index("past_calls_of_tenant", "tenant", "ended_us"),
)

SUMS: Final = tuple(f"{whose}_{field}" for whose in ("own", "tree") for field in SUM_FIELDS)
"""Columns that are added up: of an agent itself, and of it with all below it."""

call_sums = Table(
    "call_sums",
    metadata,
    Column("tenant", ordered(63), primary_key=True),
    # The agent's ancestors from the root and the agent, between slashes: a tree is a range of them.
    Column("path", ordered(2048), primary_key=True),
    Column("hour_us", BigInteger, primary_key=True),
    Column("lane", String(16), primary_key=True),
    Column("agent", ordered(63), nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in SUMS),
    Index("call_sums_of_agent", "tenant", "agent"),
    Index("call_sums_by_age", "hour_us"),
)

written_batches = Table(
    "written_batches",
    metadata,
    Column("writer", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)
"""The last batch that a scheduler has written: one that is tried again is not added twice."""
