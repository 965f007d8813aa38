"""The store on a SQL database: every transaction of the port is one of the database."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from services.access.model.agents import Revocation
from services.access.ports.audit import SealKeys
from services.access.ports.store import T, Work
from services.access.store import rows
from services.access.store.sql_agents import SqlAgents
from services.access.store.sql_people import SqlApprovalRules, SqlPersons
from services.access.store.sql_purges import SqlPurges
from services.access.store.sql_records import SqlApprovals, SqlAudit
from services.access.store.sql_rules import SqlGrants, SqlGroups, SqlPolicies
from services.access.store.tables import answers, book, counters, facts, revocations
from services.chassis.auth.identity import Principal, family_above
from services.chassis.auth.tokens import family_began
from services.chassis.db import Database, idempotency
from services.chassis.db.sql import upsert
from services.chassis.idempotency import REPLIES, RequestIdentity
from services.chassis.quotas import Caps, Owner, Tab, Usage
from services.chassis.times import from_micros, micros

MIGRATIONS: Final = Path(__file__).parent / "migrations"


class SqlStore:
    """Everything in one database, which must be migrated; `keys` seal the audit log and are not in it."""

    def __init__(self, database: Database, keys: SealKeys) -> None:
        self._database = database
        self._keys = keys

    async def read(self, work: Work[T]) -> T:
        """Run `work` on one snapshot."""
        return await self._database.read(lambda conn: work(SqlTransaction(conn, self._keys)))

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one durable transaction."""
        return await self._database.write(lambda conn: work(SqlTransaction(conn, self._keys)), turn="rules")


class SqlTransaction:
    """All tables on one connection."""

    def __init__(self, conn: sa.Connection, keys: SealKeys) -> None:
        self.agents = SqlAgents(conn)
        self.groups = SqlGroups(conn)
        self.grants = SqlGrants(conn)
        self.policies = SqlPolicies(conn)
        self.approvals = SqlApprovals(conn)
        self.approval_rules = SqlApprovalRules(conn)
        self.persons = SqlPersons(conn)
        self.audit = SqlAudit(conn, keys)
        self.purges = SqlPurges(conn)
        self.tokens = SqlTokens(conn)
        self.usage = SqlUsage(conn)
        self.ledger = SqlLedger(conn, self.usage)


class SqlTokens:
    """The revocations of one transaction. See ports.Tokens."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def revoke(self, revocations_: Iterable[Revocation]) -> None:
        """Add revocations; the same token or agent again replaces the older one."""
        for one in revocations_:
            upsert(self._conn, revocations, rows.revocation_values(one))

    def revoked(self, after: int, now: datetime) -> list[Revocation]:
        """Return the unexpired revocations made after the revision `after`."""
        table = revocations.c
        statement = (
            sa.select(revocations)
            .where(table.revision > after, table.expire_time > micros(now))
            .order_by(table.revision, table.agent, table.token_id)
        )
        return [rows.revocation(row) for row in self._conn.execute(statement)]

    def is_revoked(self, holder: Principal) -> bool:
        """Tell whether a token is refused."""
        families = {holder.session_id, family_above(holder.session_id)}
        ids = [one for one in (holder.token_id, *families) if one]
        table = revocations.c
        by_id = sa.select(table.token_id).where(
            table.token_id.in_(ids), table.tenant == holder.tenant, table.agent.in_(("", holder.agent))
        )
        if ids and self._conn.execute(by_id.limit(1)).first():
            return True
        until = self.revoked_until(holder.tenant, holder.agent)
        return until is not None and family_began(holder) <= until.timestamp()

    def revoked_until(self, tenant: str, agent: str) -> datetime | None:
        """Return up to when tokens of an agent are refused, or None."""
        where = (
            revocations.c.tenant == tenant,
            revocations.c.agent == agent,
            revocations.c.token_id == "",
        )
        until = self._conn.execute(sa.select(revocations.c.revoke_time).where(*where)).scalar()
        return None if until is None else from_micros(until)

    def known(self, revocation: Revocation) -> Revocation | None:
        """Return the one that an older request made of the same token or agent, or None."""
        row = self._conn.execute(sa.select(revocations).where(*_same(revocation))).first()
        return rows.revocation(row) if row else None

    def forget(self, now: datetime, limit: int) -> list[Revocation]:
        """Delete expired revocations; return them."""
        expired = sa.select(revocations).where(revocations.c.expire_time <= micros(now))
        found = [rows.revocation(row) for row in self._conn.execute(expired.limit(limit))]
        for one in found:
            self._conn.execute(sa.delete(revocations).where(*_same(one)))
        return found


def _same(one: Revocation) -> tuple[sa.ColumnElement[bool], ...]:
    table = revocations.c
    return table.tenant == one.tenant, table.agent == one.agent, table.token_id == one.token_id


class SqlUsage:
    """The sums of quotas in one transaction. See ports.UsageSums."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn
        self._tab = Tab()

    def add(self, owner: Owner, **changes: int) -> None:
        """Note what an owner has more, or less, of each quota."""
        self._tab.add(owner, changes)

    def settle(self, caps: Caps) -> None:
        """Charge what was noted."""
        book.charge(self._conn, self._tab.owed(), caps)

    def told(self, owner: Owner, caps: Caps) -> list[Usage]:
        """Return what is used of each quota."""
        return book.told(self._conn, owner, caps)


class SqlLedger:
    """The counters and answers of one transaction. See ports.Ledger."""

    def __init__(self, conn: sa.Connection, usage: SqlUsage) -> None:
        self._conn = conn
        self._usage = usage

    def revision(self) -> int:
        """Return the revision of the rules."""
        return self._value("revision")

    def bump(self) -> int:
        """Raise the revision by one; the row's lock lets one writer do it at a time."""
        return self._raise("revision")

    def sequence(self) -> int:
        """Return the number of changes of approvals."""
        return self._value("sequence")

    def advance(self) -> int:
        """Raise the sequence by one."""
        return self._raise("sequence")

    def epoch(self) -> str:
        """Return the id of this database, which its first migration chose."""
        statement = sa.select(facts.c.value).where(facts.c.name == "epoch")
        return str(self._conn.execute(statement).scalar_one())

    def remembered(self, tenant: str, request: RequestIdentity) -> str | None:
        """Return what the first request of this identity answered. Raises IdempotencyMismatch."""
        reply = idempotency.remembered(self._conn, answers, tenant, request)
        return None if reply is None else reply.decode()

    def remember(self, tenant: str, request: RequestIdentity, answer: str, now: datetime) -> None:
        """Keep an answer for 24 hours."""
        idempotency.remember(self._conn, answers, tenant, request, answer.encode(), now=now)
        if request.request_id:
            self._usage.add(request.charged(tenant), **{REPLIES: 1})

    def forget(self, now: datetime) -> int:
        """Delete answers older than that."""
        return idempotency.forget_expired(self._conn, answers, now, book)

    def _value(self, name: str) -> int:
        statement = sa.select(counters.c.value).where(counters.c.name == name)
        return int(self._conn.execute(statement).scalar_one())

    def _raise(self, name: str) -> int:
        statement = (
            sa.update(counters)
            .where(counters.c.name == name)
            .values(value=counters.c.value + 1)
            .returning(counters.c.value)
        )
        return int(self._conn.execute(statement).scalar_one())
