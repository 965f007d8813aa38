"""The tables. Tenant is the first column of every key. Times are microseconds since 1970, UTC."""

from typing import Final

import sqlalchemy as sa

from services.chassis.auth.identity import BELOW
from services.chassis.db import idempotency
from services.chassis.db.usage import UsageBook
from services.chassis.db.usage import tables as quota_tables

METADATA: Final = sa.MetaData()

# Byte order, as Python's and SQLite's, so that keyset pages and prefix ranges agree everywhere.
NAME: Final = sa.String().with_variant(sa.String(collation="C"), "postgresql")
MICROS: Final = sa.BigInteger()

agents: Final = sa.Table(
    "agents",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("id", NAME, primary_key=True),
    sa.Column("parent", NAME, nullable=False),
    sa.Column("path", NAME, nullable=False),  # "/root/middle/": the ancestors, each between slashes
    sa.Column("display_name", sa.String(), nullable=False),
    sa.Column("kind", sa.String(), nullable=False),
    sa.Column("scheduling_class", sa.String(), nullable=False),
    sa.Column("weight", sa.Integer(), nullable=False),
    sa.Column("priority", sa.Integer(), nullable=False),
    sa.Column("max_wait", MICROS),
    sa.Column("deadline", MICROS),
    sa.Column("policy", sa.String(), nullable=False),
    sa.Column("caps", sa.JSON(none_as_null=True)),  # NULL: registered before there were caps
    sa.Column("labels", sa.JSON(), nullable=False),
    sa.Column("suspended", sa.Boolean(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    sa.Column("create_time", MICROS, nullable=False),
    sa.Column("update_time", MICROS, nullable=False),
    sa.Column("untrusted_since", MICROS),
    sa.Column("untrusted_source", sa.String(), nullable=False, server_default=""),
    sa.Column("maker_tenant", NAME, nullable=False, server_default=""),
    sa.Column("maker", NAME, nullable=False, server_default=""),  # empty: was not noted
    sa.Column("maker_family", NAME, nullable=False, server_default=""),
    sa.Column("expire_time", MICROS),  # NULL: lives until somebody kills it
    sa.Column("texts_depth", sa.Integer()),
    sa.Index("agents_by_path", "tenant", "path"),
    sa.Index("agents_by_revision", "tenant", "revision"),
    sa.Index("agents_by_state", "state", "update_time"),
    sa.Index("agents_by_maker", "maker_tenant", "maker"),
    sa.Index("agents_by_expiry", "state", "expire_time"),
)

agent_keys: Final = sa.Table(
    "agent_keys",
    METADATA,
    sa.Column("hash", NAME, primary_key=True),  # looked up before the tenant is known: the key says it
    sa.Column("tenant", NAME, nullable=False),
    sa.Column("agent", NAME, nullable=False),
    sa.Column("create_time", MICROS, nullable=False, server_default="0"),  # 0: before it was noted
    sa.Column("maker_tenant", NAME, nullable=False, server_default=""),
    sa.Column("maker", NAME, nullable=False, server_default=""),
    sa.Column("maker_family", NAME, nullable=False, server_default=""),
    sa.Column("issue", NAME, nullable=False, server_default=""),
    sa.Index("agent_keys_by_agent", "tenant", "agent"),
    sa.Index("agent_keys_by_maker", "maker_tenant", "maker"),
)

groups: Final = sa.Table(
    "groups",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("id", NAME, primary_key=True),
    sa.Column("title", sa.String(), nullable=False),
    sa.Column("description", sa.String(), nullable=False),
    sa.Column("create_time", MICROS, nullable=False),
    sa.Column("revision", sa.BigInteger(), nullable=False),
)

members: Final = sa.Table(
    "members",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("group", NAME, primary_key=True),
    sa.Column("member", NAME, primary_key=True),
    sa.Column("create_time", MICROS, nullable=False),
    sa.Index("members_by_member", "tenant", "member"),
)

grants: Final = sa.Table(
    "grants",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("id", NAME, primary_key=True),
    sa.Column("grantee", NAME, nullable=False),
    sa.Column("resource", NAME, nullable=False),
    sa.Column("prefix", sa.Boolean(), nullable=False),
    sa.Column("actions", sa.JSON(), nullable=False),
    sa.Column("owner", NAME, nullable=False),
    sa.Column("expire_time", MICROS),
    sa.Column("description", sa.String(), nullable=False),
    sa.Column("creator", NAME, nullable=False),
    sa.Column("create_time", MICROS, nullable=False),
    sa.Column("revoked", sa.Boolean(), nullable=False),
    sa.Column("family", NAME, nullable=False, server_default=""),
    sa.Column("by_agent", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Index("grants_by_resource", "tenant", "resource", "grantee"),
    sa.Index("grants_by_time", "tenant", "create_time", "id"),
)

policies: Final = sa.Table(
    "policies",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("id", NAME, primary_key=True),
    sa.Column("version", sa.BigInteger(), primary_key=True),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("description", sa.String(), nullable=False),
    sa.Column("active", sa.Boolean(), nullable=False),
    sa.Column("author", NAME, nullable=False),
    sa.Column("author_kind", sa.String(), nullable=False, server_default=""),  # empty: was not noted
    sa.Column("create_time", MICROS, nullable=False),
    sa.Index("policies_in_force", "tenant", "active"),
)

approvals: Final = sa.Table(
    "approvals",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("id", NAME, primary_key=True),
    sa.Column("agent", NAME, nullable=False),
    sa.Column("action", sa.String(), nullable=False),
    sa.Column("resource", sa.String(), nullable=False),
    sa.Column("arguments_sha256", sa.String(), nullable=False),
    sa.Column("arguments_preview", sa.Text(), nullable=False),
    sa.Column("summary", sa.String(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("create_time", MICROS, nullable=False),
    sa.Column("expire_time", MICROS, nullable=False),
    sa.Column("syscall_id", sa.String(), nullable=False),
    sa.Column("decide_time", MICROS),
    sa.Column("decider", sa.String(), nullable=False),
    sa.Column("comment", sa.String(), nullable=False),
    sa.Column("sequence", sa.BigInteger(), nullable=False),
    sa.Column("root", sa.String(), nullable=False, server_default=""),
    sa.Column("arguments_bytes", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("preview_truncated", sa.Boolean(), nullable=False, server_default=sa.true()),
    sa.Column("resource_version", sa.String(), nullable=False, server_default=""),
    sa.Column("required", sa.Integer(), nullable=False, server_default="1"),
    sa.Column("votes", sa.JSON(), nullable=False, server_default="[]"),
    sa.Index("approvals_by_agent", "tenant", "agent", "state"),
    sa.Index("approvals_by_time", "tenant", "create_time", "id"),
    sa.Index("approvals_by_sequence", "tenant", "sequence"),
)

approval_arguments: Final = sa.Table(
    "approval_arguments",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("approval", NAME, primary_key=True),
    sa.Column("content", sa.LargeBinary(), nullable=False),
)

approval_rules: Final = sa.Table(
    "approval_rules",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("id", NAME, primary_key=True),
    sa.Column("action", sa.String(), nullable=False),
    sa.Column("resource", sa.String(), nullable=False),
    sa.Column("deciders", sa.Integer(), nullable=False),
    sa.Column("description", sa.String(), nullable=False),
    sa.Column("creator", NAME, nullable=False),
    sa.Column("create_time", MICROS, nullable=False),
)

persons: Final = sa.Table(
    "persons",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("id", NAME, primary_key=True),
    sa.Column("display_name", sa.String(), nullable=False),
    sa.Column("administrator", sa.Boolean(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("creator", NAME, nullable=False),
    sa.Column("create_time", MICROS, nullable=False),
    sa.Column("update_time", MICROS, nullable=False),
    sa.Column("key_hash", NAME),  # NULL: no key; looked up before the tenant is known, as an agent's
    sa.Column("key_maker_tenant", NAME, nullable=False, server_default=""),
    sa.Column("key_maker", NAME, nullable=False, server_default=""),
    sa.Column("key_family", NAME, nullable=False, server_default=""),
    sa.Column("key_time", MICROS),
    sa.UniqueConstraint("key_hash", name="one_person_per_key"),
)

audit: Final = sa.Table(
    "audit",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("sequence", sa.BigInteger(), primary_key=True),
    sa.Column("create_time", MICROS, nullable=False),
    sa.Column("agent", NAME, nullable=False),
    sa.Column("kind", sa.String(), nullable=False),
    sa.Column("method", sa.String(), nullable=False),
    sa.Column("action", sa.String(), nullable=False),
    sa.Column("resource", NAME, nullable=False),
    sa.Column("outcome", sa.String(), nullable=False),
    sa.Column("reason", sa.String(), nullable=False),
    sa.Column("policies", sa.JSON(), nullable=False),
    sa.Column("arguments_sha256", sa.String(), nullable=False),
    sa.Column("syscall_id", sa.String(), nullable=False),
    sa.Column("trace_id", sa.String(), nullable=False),
    sa.Column("approval", sa.String(), nullable=False),
    sa.Column("event_time", MICROS),
    sa.Column("note", sa.String(), nullable=False, server_default=""),
    sa.Column("previous_hash", sa.String(), nullable=False),
    sa.Column("hash", sa.String(), nullable=False),
    sa.Column("key_id", sa.String(), nullable=False, server_default=""),  # empty: before there were keys
    sa.Column("actor_digest", sa.String(), nullable=False, server_default=""),
    sa.Column("actor_salt", sa.String(), nullable=False, server_default=""),
    sa.Column("actor_erased_by", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("subject_digest", sa.String(), nullable=False, server_default=""),
    sa.Column("subject_salt", sa.String(), nullable=False, server_default=""),
    sa.Column("subject_erased_by", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Index("audit_by_agent", "tenant", "agent", "sequence"),
    sa.Index("audit_by_resource", "tenant", "resource", "sequence"),
    sa.Index("audit_by_time", "tenant", "create_time"),
    sa.Index("audit_by_hash", "tenant", "hash"),
)

audit_heads: Final = sa.Table(
    "audit_heads",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("sequence", sa.BigInteger(), nullable=False),
    sa.Column("hash", sa.String(), nullable=False),
    sa.Column("key_id", sa.String(), nullable=False, server_default=""),
)

audit_exports: Final = sa.Table(
    "audit_exports",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("exporter", NAME, primary_key=True),  # names one file of heads
    sa.Column("sequence", sa.BigInteger(), nullable=False),
)

purges: Final = sa.Table(
    "purges",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("agent", NAME, primary_key=True),
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("due_time", MICROS, nullable=False),  # the pass begins then
    sa.Column("depth", sa.Integer(), nullable=False),  # agents above it: who has none below goes first
    sa.Column("expanded", sa.Boolean(), nullable=False),  # whether those below it have rows of their own
    sa.Column("requester", NAME, nullable=False),
    sa.Column("requester_kind", sa.String(), nullable=False),
    sa.Column("reason", sa.String(), nullable=False),
    sa.Column("create_time", MICROS, nullable=False),
    sa.Index("purges_by_due", "due_time", "tenant", "agent"),
)

purge_confirmations: Final = sa.Table(
    "purge_confirmations",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("agent", NAME, primary_key=True),
    sa.Column("number", sa.Integer(), primary_key=True),
    sa.Column("manager", NAME, primary_key=True),
    sa.Column("counts", sa.JSON(), nullable=False),
)

tombstones: Final = sa.Table(
    "tombstones",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("digest", NAME, primary_key=True),  # of an agent's id, which is not kept and not given again
    sa.Column("create_time", MICROS, nullable=False),
)

revocations: Final = sa.Table(
    "revocations",
    METADATA,
    sa.Column("tenant", NAME, primary_key=True),
    sa.Column("agent", NAME, primary_key=True),
    sa.Column("token_id", NAME, primary_key=True),
    sa.Column("revoke_time", MICROS, nullable=False),
    sa.Column("expire_time", MICROS, nullable=False),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    sa.Column("charged", NAME, nullable=False, server_default=""),
    sa.Index("revocations_by_token", "token_id"),
    sa.Index("revocations_by_revision", "revision"),
)

counters: Final = sa.Table(
    "counters",
    METADATA,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("value", sa.BigInteger(), nullable=False),
)

facts: Final = sa.Table(
    "facts",
    METADATA,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("value", sa.String(), nullable=False),
)

answers: Final = idempotency.table(METADATA)
book: Final = UsageBook(*quota_tables(METADATA))


def of_family(column: sa.Column[str], family: str) -> sa.ColumnElement[bool]:
    """Select what was made with tokens of a family, or of one that was begun below it."""
    return sa.or_(column == family, column.startswith(family + BELOW, autoescape=True))
