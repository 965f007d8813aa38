"""Persons and administrators of a tenant, on every store."""

from datetime import timedelta

import pytest

from services.access.errors import (
    AgentExists,
    AlreadyExists,
    LastAdministrator,
    PersonNotFound,
    QuotaExceeded,
)
from services.access.model.approvals import PersonState
from services.access.service.persons import NewPerson
from services.access.service.tokens import Target
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc.errors import (
    AgentInactive,
    CredentialExpired,
    CredentialInvalid,
    CredentialRevoked,
    InvalidRequest,
    PermissionDenied,
)
from tests.fakes.access_manager import ADMIN, KERNEL_ADMIN, NEW, TENANT, Desk, agent, asked, whole_log
from tests.fakes.approvals import family, pending, person, put_policy

OPEN_DOOR = '@id("all") permit(principal, action, resource);'


async def test_a_persons_key_is_exchanged_for_tokens_of_ten_minutes(desk: Desk) -> None:
    made = await desk.manager.persons.create(ADMIN, NewPerson(id="amy"), NEW)
    boss = await desk.manager.persons.create(ADMIN, NewPerson(id="boss", administrator=True), NEW)
    token = await desk.manager.tokens.by_person_key(made.key, timedelta(days=1))
    higher = await desk.manager.tokens.by_person_key(boss.key, timedelta(days=1))

    assert made.key not in repr(made)
    assert made.key not in repr(await desk.store.read(lambda tx: tx.persons.get(TENANT, "amy")))
    assert (token.principal.agent, token.principal.kind) == ("amy", Kind.PERSON)
    assert (higher.principal.agent, higher.principal.kind) == ("boss", Kind.ADMIN)
    assert token.expire_time - desk.clock.now() <= timedelta(minutes=10)
    assert higher.expire_time - desk.clock.now() <= timedelta(minutes=10)
    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.by_agent_key(made.key, None)
    renewed = await desk.manager.tokens.by_renewal(token.text, None)
    assert renewed.principal.kind is Kind.PERSON
    desk.clock.advance(86_400)
    with pytest.raises(CredentialExpired):
        await desk.manager.tokens.by_renewal(renewed.text, None)


async def test_a_new_key_ends_the_old_one(desk: Desk) -> None:
    made = await desk.manager.persons.create(ADMIN, NewPerson(id="amy"), asked("r1"))
    again = await desk.manager.persons.create(ADMIN, NewPerson(id="amy"), asked("r1"))
    other = await desk.manager.persons.issue_key(ADMIN, "persons/amy", "", NEW)

    for ended in (made.key, again.key):
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.by_person_key(ended, None)
    assert (await desk.manager.tokens.by_person_key(other.key, None)).principal.agent == "amy"


async def test_a_disabled_person_has_no_key_no_token_and_no_rights(desk: Desk) -> None:
    await family(desk)
    name = await pending(desk)
    made = await desk.manager.persons.create(ADMIN, NewPerson(id="amy"), NEW)
    amy = Caller(agent="amy", tenant=TENANT, kind=Kind.PERSON)
    token = await desk.manager.tokens.by_person_key(made.key, None)
    assert await desk.allows(amy, "access.approve", name)
    await desk.manager.persons.disable(ADMIN, "persons/amy", "", NEW)

    assert not await desk.allows(amy, "access.approve", name)
    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.by_person_key(made.key, None)
    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(token.text, None)
    with pytest.raises(AgentInactive):
        await desk.manager.persons.issue_key(ADMIN, "persons/amy", "", NEW)
    enabled = await desk.manager.persons.enable(ADMIN, "persons/amy", "", NEW)
    assert (enabled.state, enabled.key_hash) == (PersonState.ACTIVE, "")


async def test_revoking_a_key_ends_its_tokens_and_leaves_the_person(desk: Desk) -> None:
    made = await desk.manager.persons.create(ADMIN, NewPerson(id="amy"), NEW)
    token = await desk.manager.tokens.by_person_key(made.key, None)
    found = await desk.manager.persons.revoke_key(ADMIN, "persons/amy", "", NEW)

    assert found.state is PersonState.ACTIVE
    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(token.text, None)
    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.by_person_key(made.key, None)


async def test_a_person_ends_its_own_credentials(desk: Desk) -> None:
    amy = await person(desk, "amy")
    await desk.manager.tokens.revoke(amy, "", Target(everything=True, key_too=True), NEW)

    found = await desk.manager.persons.get(ADMIN, "persons/amy", "")
    assert found.key_hash == ""


async def test_a_person_does_what_persons_are_for_and_nothing_else(desk: Desk) -> None:
    await family(desk)
    name = await pending(desk)
    amy = await person(desk, "amy")
    may = [
        ("access.approve", name),
        ("access.read", name),
        ("access.read", ""),
        ("access.audit", ""),
        ("access.revoke", ""),
        ("agent.read", "agents/planner"),
        ("agent.control", "agents/planner"),
    ]
    may_not = [
        ("access.administer", ""),
        ("access.manage", "policies/p"),
        ("access.grant", "agents/planner/notes/n"),
        ("access.revoke", "agents/planner"),
        ("agent.register", ""),
        ("agent.update", "agents/planner"),
        ("memory.read", "agents/planner/notes/n"),
        ("memory.write", "agents/amy/notes/n"),
        ("storage.read", "agents/planner/files/f"),
        ("tool.call", "tools/mail"),
        ("inference.generate", ""),
        ("scheduler.configure", ""),
        ("access.check", ""),
    ]

    assert [case for case in may if not await desk.allows(amy, *case)] == []
    assert [case for case in may_not if await desk.allows(amy, *case)] == []


async def test_no_policy_lets_an_agent_or_a_person_make_persons(desk: Desk) -> None:
    await desk.register("planner")
    amy = await person(desk, "amy")
    await put_policy(desk, OPEN_DOOR)

    for who in (agent("planner"), amy):
        assert not await desk.allows(who, "access.administer")
        with pytest.raises(PermissionDenied):
            await desk.manager.persons.create(who, NewPerson(id="mal"), NEW)
        with pytest.raises(PermissionDenied):
            await desk.manager.persons.rules(who, 10, "")


async def test_a_tenants_administrator_makes_persons_and_administrators_of_its_tenant_alone(
    desk: Desk,
) -> None:
    await desk.manager.persons.create(
        KERNEL_ADMIN, NewPerson(id="boss", tenant=TENANT, administrator=True), NEW
    )
    boss = Caller(agent="boss", tenant=TENANT, kind=Kind.ADMIN)
    made = await desk.manager.persons.create(boss, NewPerson(id="deputy", administrator=True), NEW)

    assert made.person.tenant == TENANT
    assert await desk.allows(boss, "access.administer")
    assert not await desk.allows(boss, "scheduler.configure")
    for tenant in ("globex", "default"):
        with pytest.raises(PermissionDenied):
            await desk.manager.persons.create(boss, NewPerson(id="x", tenant=tenant), NEW)
        with pytest.raises(PermissionDenied):
            await desk.manager.persons.page(boss, tenant, 10, "")
    with pytest.raises(InvalidRequest):
        await desk.manager.persons.create(KERNEL_ADMIN, NewPerson(id="x", tenant="kernel"), NEW)


async def test_the_last_administrator_is_not_disabled(desk: Desk) -> None:
    await person(desk, "boss", administrator=True)
    await person(desk, "amy")
    with pytest.raises(LastAdministrator):
        await desk.manager.persons.disable(ADMIN, "persons/boss", "", NEW)
    await person(desk, "deputy", administrator=True)
    await desk.manager.persons.disable(ADMIN, "persons/boss", "", NEW)

    with pytest.raises(LastAdministrator):
        await desk.manager.persons.disable(ADMIN, "persons/deputy", "", NEW)
    assert not await desk.allows(Caller(agent="boss", tenant=TENANT, kind=Kind.ADMIN), "access.manage")


async def test_an_administrators_credential_that_nobody_registered_is_worth_nothing(desk: Desk) -> None:
    await person(desk, "amy")
    for who in ("ghost", "amy"):
        caller = Caller(agent=who, tenant=TENANT, kind=Kind.ADMIN)
        assert not await desk.allows(caller, "access.manage", "policies/p")
        token = desk.keys.issue(
            caller.principal, now=desk.clock.now(), after=None, lifetime=timedelta(minutes=9)
        )
        with pytest.raises(AgentInactive):
            await desk.manager.tokens.by_renewal(token.text, None)


async def test_no_agent_has_the_id_of_a_person(desk: Desk) -> None:
    await desk.register("planner")
    await person(desk, "amy")

    with pytest.raises(AgentExists):
        await desk.register("amy", by=agent("planner"))
    for taken in ("planner", "amy"):
        with pytest.raises(AlreadyExists):
            await person(desk, taken)
    with pytest.raises(InvalidRequest):
        await person(desk, "admin")
    with pytest.raises(PersonNotFound):
        await desk.manager.persons.get(ADMIN, "persons/planner", "")


async def test_persons_are_listed_by_name_and_logged(desk: Desk) -> None:
    for name in ("cid", "amy", "bob"):
        await person(desk, name)
    page, token = await desk.manager.persons.page(ADMIN, "", 2, "")
    rest, end = await desk.manager.persons.page(ADMIN, "", 2, token)

    assert [one.id for one in (*page, *rest)] == ["amy", "bob", "cid"]
    assert end == ""
    log = [entry.event.resource for entry in await whole_log(desk) if "CreatePerson" in entry.event.method]
    assert log == ["persons/cid", "persons/amy", "persons/bob"]


async def test_a_tenant_has_only_so_many_persons(desk: Desk) -> None:
    settings = desk.manager.persons._deps.settings
    object.__setattr__(settings, "persons", 1)
    await person(desk, "amy")
    with pytest.raises(QuotaExceeded):
        await person(desk, "bob")
