"""Use cases of persons and approval rules: what administrators set up so that people can decide.

Agents never come here, whatever permits them: who makes a person could approve everything.
"""

import dataclasses
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.access.core import people, shown_text
from services.access.errors import (
    AlreadyExists,
    LastAdministrator,
    PersonNotFound,
    QuotaExceeded,
    RuleNotFound,
)
from services.access.model.agents import Revocation
from services.access.model.approvals import ApprovalRule, Person, PersonState
from services.access.ports.store import Transaction
from services.access.service import approvals, dependencies
from services.access.service.agent_keys import key_hash
from services.access.service.agents import RESERVED
from services.access.service.dependencies import Dependencies
from services.access.service.watchers import RuleChange, nothing
from services.chassis.auth.identity import Caller, Kind
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import AgentInactive, InvalidRequest, PermissionDenied, QuotaViolation

_ACTION: Final = "access.administer"
_KEY_PREFIX: Final = "aiosp_"
_SPARE: Final = timedelta(minutes=1)
_MOST_RULES: Final = 100
Alter = Callable[[Transaction, Person, datetime], Person]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPerson:
    """What an administrator says about a person."""

    id: str
    tenant: str = ""
    """Empty: the caller's."""
    display_name: str = ""
    administrator: bool = False


@dataclass(frozen=True, slots=True)
class Keyed:
    """A person with a key that is shown once."""

    person: Person
    key: str = dataclasses.field(repr=False)


class PersonService:
    """Keeps the persons of all tenants, and the rules of how many of them must approve."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def create(self, caller: Caller, new: NewPerson, asked: RequestIdentity) -> Keyed:
        """Make a person with a first key; a repeat makes another key.

        Raises AlreadyExists, QuotaExceeded, InvalidRequest or PermissionDenied.
        """
        tenant = self._tenant_of(caller, new.tenant)
        if new.id in RESERVED:
            raise InvalidRequest.field("person_id", f"{new.id!r} is reserved")
        key = _new_key()

        def work(tx: Transaction) -> Person:
            now = self._deps.clock.now()
            if dependencies.answered(tx, caller, asked) is not None:
                return self._rekeyed(tx, caller, _found(tx, tenant, new.id), key, method="CreatePerson")
            person = Person(
                tenant=tenant,
                id=new.id,
                display_name=shown_text.line(new.display_name or new.id, shown_text.MAX_NAME),
                administrator=new.administrator,
                state=PersonState.ACTIVE,
                creator=caller.agent,
                create_time=now,
                update_time=now,
                key_hash=key_hash(key),
                key_maker=dependencies.maker(caller),
                key_time=now,
            )
            self._has_room(tx, tenant)
            if tx.agents.get(tenant, new.id) is not None or not tx.persons.insert(person):
                raise AlreadyExists(
                    f"{new.id} is taken by a person or an agent", metadata={"person": person.name}
                )
            tx.ledger.bump()
            dependencies.remember(tx, caller, asked, now, person.id)
            _record(tx, caller, person, "CreatePerson", now)
            return person

        return Keyed(await self._deps.commit(work, nothing(tenant)), key)

    async def get(self, caller: Caller, name: str, tenant: str) -> Person:
        """Return one person. Raises PersonNotFound or PermissionDenied."""
        of = self._tenant_of(caller, tenant)
        return await self._deps.store.read(lambda tx: _found(tx, of, _id(name)))

    async def page(self, caller: Caller, tenant: str, size: int, token: str) -> tuple[list[Person], str]:
        """List the persons of a tenant by id. Raises InvalidPageToken or PermissionDenied."""
        of = self._tenant_of(caller, tenant)
        limit = paging.page_size(size)
        position = paging.decode(token, of, "persons", shape=(str,))
        after = str(position[0]) if position else ""
        found = await self._deps.store.read(lambda tx: tx.persons.page(of, after, limit + 1))
        if len(found) <= limit:
            return found, ""
        return found[:limit], paging.encode([found[limit - 1].id], of, "persons")

    async def disable(self, caller: Caller, name: str, tenant: str, asked: RequestIdentity) -> Person:
        """End key, tokens and unused approvals of a person. Raises PersonNotFound or LastAdministrator."""

        def alter(tx: Transaction, person: Person, now: datetime) -> Person:
            if person.state is PersonState.DISABLED:
                return person
            if person.administrator and tx.persons.active_administrators(person.tenant) <= 1:
                why = f"{person.name} is the last active administrator"
                raise LastAdministrator(why, metadata={"person": person.name})
            approvals.withdraw(tx, person.tenant, person.id, now)
            self._end_tokens(tx, person, now)
            return dataclasses.replace(person, state=PersonState.DISABLED, key_hash="")

        return await self._change(caller, name, tenant, asked, method="DisablePerson", alter=alter)

    async def enable(self, caller: Caller, name: str, tenant: str, asked: RequestIdentity) -> Person:
        """Let a disabled person act again; a key is made apart. Raises PersonNotFound."""

        def alter(_tx: Transaction, person: Person, _now: datetime) -> Person:
            return dataclasses.replace(person, state=PersonState.ACTIVE)

        return await self._change(caller, name, tenant, asked, method="EnablePerson", alter=alter)

    async def revoke_key(self, caller: Caller, name: str, tenant: str, asked: RequestIdentity) -> Person:
        """End the key and all tokens of a person. Raises PersonNotFound."""

        def alter(tx: Transaction, person: Person, now: datetime) -> Person:
            self._end_tokens(tx, person, now)
            return dataclasses.replace(person, key_hash="")

        return await self._change(caller, name, tenant, asked, method="RevokePersonKey", alter=alter)

    async def issue_key(self, caller: Caller, name: str, tenant: str, asked: RequestIdentity) -> Keyed:
        """Make a new key in the place of the old one. Raises PersonNotFound or AgentInactive."""
        of = self._tenant_of(caller, tenant)
        key = _new_key()

        def work(tx: Transaction) -> Person:
            now = self._deps.clock.now()
            person = self._rekeyed(tx, caller, _found(tx, of, _id(name)), key, method="IssuePersonKey")
            if dependencies.answered(tx, caller, asked) is None:
                dependencies.remember(tx, caller, asked, now)
            return person

        return Keyed(await self._deps.commit(work, nothing(of)), key)

    async def put_rule(self, caller: Caller, rule: ApprovalRule, asked: RequestIdentity) -> ApprovalRule:
        """Put an approval rule in the place of the one of its id. Raises QuotaExceeded, PermissionDenied."""
        self._tenant_of(caller, "")

        def work(tx: Transaction) -> ApprovalRule:
            now = self._deps.clock.now()
            made = dataclasses.replace(rule, tenant=caller.tenant, creator=caller.agent, create_time=now)
            known = tx.approval_rules.of(caller.tenant)
            if dependencies.answered(tx, caller, asked) is not None:
                return next((one for one in known if one.id == rule.id), made)
            if len([one for one in known if one.id != rule.id]) >= _MOST_RULES:
                _full(caller.tenant, _MOST_RULES, "approval rules")
            tx.approval_rules.put(made)
            dependencies.remember(tx, caller, asked, now)
            done = dependencies.event(caller, "PutApprovalRule", _ACTION, f"approvalRules/{rule.id}")
            dependencies.record(tx, caller.tenant, now, [done])
            return made

        return await self._deps.commit(work, nothing(caller.tenant))

    async def rules(self, caller: Caller, size: int, token: str) -> tuple[list[ApprovalRule], str]:
        """List the tenant's approval rules by id. Raises InvalidPageToken or PermissionDenied."""
        self._tenant_of(caller, "")
        limit = paging.page_size(size, maximum=_MOST_RULES)
        position = paging.decode(token, caller.tenant, "approvalRules", shape=(str,))
        after = str(position[0]) if position else ""
        found = await self._deps.store.read(lambda tx: tx.approval_rules.of(caller.tenant))
        rest = [rule for rule in found if rule.id > after]
        if len(rest) <= limit:
            return rest, ""
        return rest[:limit], paging.encode([rest[limit - 1].id], caller.tenant, "approvalRules")

    async def drop_rule(self, caller: Caller, name: str, asked: RequestIdentity) -> None:
        """Delete an approval rule. Raises RuleNotFound or PermissionDenied."""
        self._tenant_of(caller, "")

        def work(tx: Transaction) -> None:
            now = self._deps.clock.now()
            if dependencies.answered(tx, caller, asked) is not None:
                return
            if not tx.approval_rules.drop(caller.tenant, name.removeprefix("approvalRules/")):
                raise RuleNotFound(f"no rule {name}", metadata={"rule": name})
            dependencies.remember(tx, caller, asked, now)
            dependencies.record(
                tx, caller.tenant, now, [dependencies.event(caller, "DeleteApprovalRule", _ACTION, name)]
            )

        await self._deps.commit(work, nothing(caller.tenant))

    async def _change(
        self,
        caller: Caller,
        name: str,
        tenant: str,
        asked: RequestIdentity,
        *,
        method: str,
        alter: Alter,
    ) -> Person:
        of = self._tenant_of(caller, tenant)

        def work(tx: Transaction) -> Person:
            now = self._deps.clock.now()
            person = _found(tx, of, _id(name))
            if dependencies.answered(tx, caller, asked) is not None:
                return person
            changed = alter(tx, person, now)
            if changed != person:
                changed = dataclasses.replace(changed, update_time=now)
                tx.persons.update(changed)
                tx.ledger.bump()
            dependencies.remember(tx, caller, asked, now)
            _record(tx, caller, changed, method, now)
            return changed

        loss = RuleChange(of, frozenset({names.agent_name(_id(name))}))
        return await self._deps.commit(work, loss)

    def _rekeyed(self, tx: Transaction, caller: Caller, person: Person, key: str, *, method: str) -> Person:
        now = self._deps.clock.now()
        if person.state is not PersonState.ACTIVE:
            raise AgentInactive(f"{person.name} is disabled", metadata={"person": person.name})
        maker = dependencies.maker(caller)
        changed = dataclasses.replace(
            person, key_hash=key_hash(key), key_maker=maker, key_time=now, update_time=now
        )
        tx.persons.update(changed)
        _record(tx, caller, changed, method, now)
        return changed

    def _end_tokens(self, tx: Transaction, person: Person, now: datetime) -> None:
        until = now + self._deps.settings.admin_token_life + _SPARE
        tx.tokens.revoke([Revocation("", person.tenant, person.id, now, until, tx.ledger.bump())])

    def _has_room(self, tx: Transaction, tenant: str) -> None:
        most = self._deps.settings.persons
        if tx.persons.count(tenant) >= most:
            _full(tenant, most, "persons")

    def _tenant_of(self, caller: Caller, tenant: str) -> str:
        """Return whose persons are meant: the kernel's administrators may name any tenant."""
        if caller.kind is not Kind.ADMIN:
            raise PermissionDenied("for administrators", metadata={"action": _ACTION})
        wanted = tenant or caller.tenant
        if wanted == self._deps.settings.service_tenant:
            raise InvalidRequest.field("tenant", "is reserved for the kernel's processes")
        if caller.tenant not in (wanted, self._deps.settings.kernel_tenant):
            raise PermissionDenied(
                "only an administrator of the kernel acts for another tenant", metadata={"tenant": wanted}
            )
        return wanted


def holder(tx: Transaction, who: str, tenant: str, kind: Kind) -> Person | None:
    """Return the person behind a human credential, None for the first administrator. Raises AgentInactive."""
    person = tx.persons.get(tenant, who)
    if not people.may_act(person, who, kind):
        state = person.state.value if person is not None else "unknown"
        raise AgentInactive(f"persons/{who} is {state}", metadata={"person": f"persons/{who}"})
    return person


def _full(tenant: str, most: int, what: str) -> None:
    text = f"a tenant has at most {most} {what}"
    raise QuotaExceeded(text, metadata={"limit": str(most)}, quota=QuotaViolation(f"tenants/{tenant}", text))


def _record(tx: Transaction, caller: Caller, person: Person, method: str, now: datetime) -> None:
    # In the log of the person's own tenant: a kernel administrator's deeds are seen by those they touch.
    dependencies.record(tx, person.tenant, now, [dependencies.event(caller, method, _ACTION, person.name)])


def _found(tx: Transaction, tenant: str, person: str) -> Person:
    found = tx.persons.get(tenant, person)
    if found is None:
        name = f"persons/{person}"
        raise PersonNotFound(f"no person {name}", metadata={"person": name})
    return found


def _id(name: str) -> str:
    return name.removeprefix("persons/")


def _new_key() -> str:
    return _KEY_PREFIX + secrets.token_urlsafe(32)
