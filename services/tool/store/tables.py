"""The tables. The tenant leads every primary key; bodies are JSON of the model (chassis codec)."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, String, Table

from services.chassis.db import idempotency
from services.chassis.db.usage import UsageBook
from services.chassis.db.usage import tables as quota_tables

metadata = MetaData()


def _id(length: int) -> String:
    # Ids are compared byte by byte on every engine, so that lists have one order.
    return String(length).with_variant(String(length, collation="C"), "postgresql")


tools = Table(
    "tools",
    metadata,
    Column("tenant", _id(63), primary_key=True),
    Column("tool", _id(128), primary_key=True),
    Column("owner", _id(63), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("tools_by_owner", "tenant", "owner"),
)

narrowings = Table(
    "egress_narrowings",
    metadata,
    Column("tenant", _id(63), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("tenant", _id(63), primary_key=True),
    Column("secret", _id(63), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("bound_to", String(512), nullable=False),
    Column("key_id", String(63), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # 12 random bytes, then AES-256-GCM
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("tenant", _id(63), primary_key=True),
    Column("agent", _id(63), primary_key=True),
    Column("call", _id(64), primary_key=True),
    Column("tool", _id(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger, nullable=True),  # null: it has not
    Column("body", LargeBinary, nullable=False),
    Column("whole", LargeBinary, nullable=True),  # with its answer, where there is one; null: the body is it
    Column("bytes", BigInteger, nullable=False, server_default="0"),  # that it counts for
    Index("calls_by_age", "tenant", "agent", "created_us", "call"),
    Index("calls_by_end", "ended_us"),
    Index("calls_of_tenant", "tenant", "created_us", "agent", "call"),
)

drafts = Table(
    "drafts",
    metadata,
    Column("tenant", _id(63), primary_key=True),
    Column("agent", _id(63), primary_key=True),
    Column("draft", _id(63), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

versions = Table(
    "tool_versions",
    metadata,
    Column("tenant", _id(63), primary_key=True),
    Column("agent", _id(63), primary_key=True),
    Column("draft", _id(63), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

mcp_servers = Table(
    "mcp_servers",
    metadata,
    Column("tenant", _id(63), primary_key=True),
    Column("server", _id(63), primary_key=True),
    Column("agent", _id(63), nullable=False),  # who added it
    Column("body", LargeBinary, nullable=False),
    Index("mcp_servers_by_agent", "tenant", "agent"),
)

mcp_tools = Table(  # apart from the servers: definitions are long, and listed by nobody
    "mcp_tools",
    metadata,
    Column("tenant", _id(63), primary_key=True),
    Column("server", _id(63), primary_key=True),
    Column("tool", _id(128), primary_key=True),  # as the server calls it
    Column("agent", _id(63), nullable=False),  # who added the server
    Column("body", LargeBinary, nullable=False),
    Index("mcp_tools_by_agent", "tenant", "agent"),
)

replies = idempotency.table(metadata)
book = UsageBook(*quota_tables(metadata))
