"""The tables. Tenant and agent lead every primary key; bodies are JSON of the model (chassis codec)."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table

from services.chassis.db import idempotency
from services.chassis.db.usage import UsageBook
from services.chassis.db.usage import tables as quota_tables

metadata = MetaData()

# Ids are compared byte by byte on every engine, so that lists have one order.
Id = String(63).with_variant(String(63, collation="C"), "postgresql")

contexts = Table(
    "contexts",
    metadata,
    Column("tenant", Id, primary_key=True),
    Column("agent", Id, primary_key=True),
    Column("context", Id, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("parent_agent", Id),  # whose context it was forked from, if another agent's
    Index("contexts_by_parent", "tenant", "parent_agent"),
)

branch_uses = Table(
    "branch_uses",
    metadata,
    Column("tenant", Id, primary_key=True),
    Column("agent", Id, primary_key=True),
    Column("branch", Id, primary_key=True),
    Column("user_agent", Id, primary_key=True),
    Column("user_context", Id, primary_key=True),
    Column("last_position", BigInteger, nullable=False),  # 0: the context's own branch
    Index("branch_uses_by_user", "tenant", "user_agent", "user_context"),
)

messages = Table(
    "messages",
    metadata,
    Column("tenant", Id, primary_key=True),
    Column("agent", Id, primary_key=True),
    Column("branch", Id, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

summaries = Table(
    "summaries",
    metadata,
    Column("tenant", Id, primary_key=True),
    Column("agent", Id, primary_key=True),
    Column("branch", Id, primary_key=True),
    Column("through", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("tenant", Id, primary_key=True),
    Column("agent", Id, primary_key=True),
    Column("generation", Id, primary_key=True),
    Column("finished", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("snapshots_by_expiry", "expires_us"),
)

snapshot_parts = Table(
    "snapshot_parts",
    metadata,
    Column("tenant", Id, primary_key=True),
    Column("agent", Id, primary_key=True),
    Column("generation", Id, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

replies = idempotency.table(metadata)
book = UsageBook(*quota_tables(metadata))
