"""Persons and approval rules in SQL. See core.people.Persons and ApprovalRules."""

import sqlalchemy as sa

from services.access.model.agents import MadeBy
from services.access.model.approvals import ApprovalRule, Person, PersonState
from services.access.store import rows
from services.access.store.tables import approval_rules, of_family, persons
from services.chassis.db.sql import insert_new, upsert
from services.chassis.times import micros


class SqlPersons:
    """The persons of one transaction."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def get(self, tenant: str, person: str) -> Person | None:
        """Return one person, or None."""
        where = (persons.c.tenant == tenant, persons.c.id == person)
        row = self._conn.execute(sa.select(persons).where(*where)).first()
        return rows.person(row) if row else None

    def insert(self, person: Person) -> bool:
        """Add a person; False when the id is taken."""
        return insert_new(self._conn, persons, rows.person_values(person))

    def update(self, person: Person) -> None:
        """Store a person that exists."""
        where = (persons.c.tenant == person.tenant, persons.c.id == person.id)
        self._conn.execute(sa.update(persons).where(*where).values(rows.person_values(person)))

    def by_key(self, key_hash: str) -> Person | None:
        """Return whose key it is, or None."""
        row = self._conn.execute(sa.select(persons).where(persons.c.key_hash == key_hash)).first()
        return rows.person(row) if row else None

    def page(self, tenant: str, after: str, limit: int) -> list[Person]:
        """List persons by id."""
        statement = sa.select(persons).where(persons.c.tenant == tenant, persons.c.id > after)
        found = self._conn.execute(statement.order_by(persons.c.id).limit(limit))
        return [rows.person(row) for row in found]

    def keyed_by(self, maker: MadeBy) -> list[Person]:
        """List the persons of all tenants whose key a principal made."""
        where = [persons.c.key_maker_tenant == maker.tenant, persons.c.key_maker == maker.id]
        if maker.family:
            where.append(of_family(persons.c.key_family, maker.family))
        if maker.since is not None:
            where.append(persons.c.key_time >= micros(maker.since))
        found = self._conn.execute(sa.select(persons).where(*where).order_by(persons.c.tenant, persons.c.id))
        return [rows.person(row) for row in found]

    def count(self, tenant: str) -> int:
        """Count the persons of a tenant."""
        return self._count(persons.c.tenant == tenant)

    def active_administrators(self, tenant: str) -> int:
        """Count the administrators that are not disabled."""
        return self._count(
            persons.c.tenant == tenant,
            persons.c.administrator == sa.true(),
            persons.c.state == PersonState.ACTIVE.value,
        )

    def _count(self, *where: sa.ColumnElement[bool]) -> int:
        return int(
            self._conn.execute(sa.select(sa.func.count()).select_from(persons).where(*where)).scalar_one()
        )


class SqlApprovalRules:
    """The approval rules of one transaction."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def put(self, rule: ApprovalRule) -> None:
        """Add a rule, or replace the one of its id."""
        upsert(self._conn, approval_rules, rows.approval_rule_values(rule))

    def drop(self, tenant: str, rule: str) -> bool:
        """Delete a rule; False when there is none."""
        where = (approval_rules.c.tenant == tenant, approval_rules.c.id == rule)
        return self._conn.execute(sa.delete(approval_rules).where(*where)).rowcount > 0

    def of(self, tenant: str) -> list[ApprovalRule]:
        """Return the rules of a tenant by id."""
        statement = sa.select(approval_rules).where(approval_rules.c.tenant == tenant)
        found = self._conn.execute(statement.order_by(approval_rules.c.id))
        return [rows.approval_rule(row) for row in found]
