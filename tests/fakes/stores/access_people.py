"""Persons and approval rules in memory. See core.people.Persons and ApprovalRules."""

from services.access.model.agents import MadeBy
from services.access.model.approvals import ApprovalRule, Person, PersonState
from tests.fakes.stores.access_tables import World


class MemoryPersons:
    """See core.people.Persons."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, tenant: str, person: str) -> Person | None:
        """Return one person, or None."""
        return self._world.persons.get((tenant, person))

    def insert(self, person: Person) -> bool:
        """Add a person; False when the id is taken."""
        return self._world.persons.setdefault((person.tenant, person.id), person) is person

    def update(self, person: Person) -> None:
        """Store a person that exists."""
        self._world.persons[person.tenant, person.id] = person

    def by_key(self, key_hash: str) -> Person | None:
        """Return whose key it is, or None."""
        return next((one for one in self._world.persons.values() if one.key_hash == key_hash), None)

    def page(self, tenant: str, after: str, limit: int) -> list[Person]:
        """List persons by id."""
        found = [one for one in self._of(tenant) if one.id > after]
        return sorted(found, key=lambda one: one.id)[:limit]

    def keyed_by(self, maker: MadeBy) -> list[Person]:
        """List the persons of all tenants whose key a principal made."""
        found = [
            one
            for one in self._world.persons.values()
            if one.key_time is not None and maker.covers(one.key_maker, one.key_time)
        ]
        return sorted(found, key=lambda one: (one.tenant, one.id))

    def count(self, tenant: str) -> int:
        """Count the persons of a tenant."""
        return len(self._of(tenant))

    def active_administrators(self, tenant: str) -> int:
        """Count the administrators that are not disabled."""
        return sum(one.administrator and one.state is PersonState.ACTIVE for one in self._of(tenant))

    def _of(self, tenant: str) -> list[Person]:
        return [one for one in self._world.persons.values() if one.tenant == tenant]


class MemoryApprovalRules:
    """See core.people.ApprovalRules."""

    def __init__(self, world: World) -> None:
        self._world = world

    def put(self, rule: ApprovalRule) -> None:
        """Add a rule, or replace the one of its id."""
        self._world.approval_rules[rule.tenant, rule.id] = rule

    def drop(self, tenant: str, rule: str) -> bool:
        """Delete a rule; False when there is none."""
        return self._world.approval_rules.pop((tenant, rule), None) is not None

    def of(self, tenant: str) -> list[ApprovalRule]:
        """Return the rules of a tenant by id."""
        found = [one for one in self._world.approval_rules.values() if one.tenant == tenant]
        return sorted(found, key=lambda one: one.id)
