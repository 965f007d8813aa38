"""What stolen credentials made ends with them when who revokes them says so, on every store."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from services.access.model.agents import AgentState
from services.access.model.approvals import PersonState
from services.access.ports.store import Work
from services.access.service.agents import Registered
from services.access.service.grants import NewGrant
from services.access.service.offspring import Ended, Fate
from services.access.service.persons import NewPerson
from services.access.service.tokens import Target
from services.chassis.auth.identity import Caller, Kind, set_caller
from services.chassis.rpc.errors import (
    AgentInactive,
    CredentialInvalid,
    CredentialRevoked,
    PermissionDenied,
)
from tests.fakes.access_manager import ADMIN, KERNEL_ADMIN, NEW, TENANT, Desk, agent


def _with(caller: Caller, made: Registered) -> Caller:
    """Return the caller as it comes with a new agent's first token."""
    return dataclasses.replace(caller, credential=made.token.principal)


async def _state(desk: Desk, name: str, tenant: str = TENANT) -> AgentState:
    caller = dataclasses.replace(ADMIN, tenant=tenant)
    return (await desk.manager.agents.get(caller, name)).state


async def _stolen(desk: Desk) -> tuple[Caller, Target]:
    """Register the agent `victim` and one of whose children each was made with another family of tokens."""
    made = await desk.register("victim")
    await desk.register("own", by=_with(agent("victim"), made))
    desk.clock.advance(60)
    other = await desk.manager.tokens.by_agent_key(made.key, None)
    thief = dataclasses.replace(agent("victim"), credential=other.principal)
    child = await desk.register("planted", by=thief)
    await desk.register("below", by=_with(agent("planted"), child))
    return thief, Target(token=other.text)


async def test_an_agent_registered_with_a_stolen_token_outlives_it_unless_that_is_said(desk: Desk) -> None:
    _, target = await _stolen(desk)
    await desk.manager.tokens.revoke(ADMIN, "agents/victim", target, NEW)

    assert await _state(desk, "planted") is AgentState.ACTIVE


@pytest.mark.parametrize(
    ("fate", "state"), [(Fate.KILL, AgentState.KILLED), (Fate.SUSPEND, AgentState.SUSPENDED)]
)
async def test_what_a_family_registered_ends_with_it_and_nothing_else(
    desk: Desk, fate: Fate, state: AgentState
) -> None:
    _, target = await _stolen(desk)
    target = dataclasses.replace(target, made=fate)
    done = await desk.manager.tokens.revoke(ADMIN, "agents/victim", target, NEW)
    again = await desk.manager.tokens.revoke(ADMIN, "agents/victim", target, NEW)

    assert (done.ended, again.ended) == (Ended(agents=2), Ended())
    assert [await _state(desk, name) for name in ("planted", "below")] == [state, state]
    assert [await _state(desk, name) for name in ("victim", "own")] == [AgentState.ACTIVE] * 2


async def test_everything_of_an_agent_reaches_what_it_registered_since(desk: Desk) -> None:
    await _stolen(desk)
    since = desk.clock.now() - timedelta(seconds=30)
    target = Target(everything=True, made=Fate.KILL, made_since=since)
    await desk.manager.tokens.revoke(ADMIN, "agents/victim", target, NEW)

    assert [await _state(desk, name) for name in ("planted", "own")] == [
        AgentState.KILLED,
        AgentState.ACTIVE,
    ]
    target = Target(everything=True, made=Fate.KILL)
    done = await desk.manager.tokens.revoke(ADMIN, "agents/victim", target, NEW)
    assert (done.ended, await _state(desk, "own")) == (Ended(agents=1), AgentState.KILLED)


async def test_grants_given_with_a_stolen_token_end_with_it(desk: Desk) -> None:
    thief, target = await _stolen(desk)
    await desk.register("mal")
    files = "agents/victim/files/"
    new = NewGrant(grantee="agents/mal", resource=files, prefix=True, actions=frozenset({"storage.read"}))
    await desk.manager.grants.create(thief, new, NEW)
    assert await desk.allows(agent("mal"), "storage.read", files + "x")

    target = dataclasses.replace(target, made=Fate.SUSPEND)
    done = await desk.manager.tokens.revoke(agent("victim"), "", target, NEW)
    assert done.ended == Ended(agents=2, grants=1)
    assert not await desk.allows(agent("mal"), "storage.read", files + "x")


async def test_persons_made_with_a_stolen_token_end_and_so_does_what_they_made(desk: Desk) -> None:
    """A thief of an administrator's token makes an administrator, which makes another and an agent."""
    persons = desk.manager.persons
    amy = await persons.create(ADMIN, NewPerson(id="amy", administrator=True), NEW)
    bob = await persons.create(ADMIN, NewPerson(id="bob", administrator=True), NEW)
    token = await desk.manager.tokens.by_person_key(amy.key, None)
    thief = Caller(agent="amy", tenant=TENANT, kind=Kind.ADMIN, credential=token.principal)
    await persons.create(thief, NewPerson(id="eve", administrator=True), NEW)
    eve = dataclasses.replace(thief, agent="eve", credential=None)
    mal = await persons.create(eve, NewPerson(id="mal"), NEW)
    rekeyed = await persons.issue_key(eve, "persons/bob", "", NEW)
    root = await desk.register("planted", by=eve)

    target = Target(token=token.text, made=Fate.KILL)
    done = await desk.manager.tokens.revoke(ADMIN, "agents/amy", target, NEW)

    assert done.ended == Ended(agents=1, persons=3)
    for key in (mal.key, bob.key, rekeyed.key):
        with pytest.raises((CredentialInvalid, AgentInactive)):
            await desk.manager.tokens.by_person_key(key, None)
        desk.clock.advance(60)
    with pytest.raises((CredentialInvalid, AgentInactive)):
        await desk.manager.tokens.by_agent_key(root.key, None)
    assert (await persons.get(ADMIN, "persons/amy", "")).state is PersonState.ACTIVE


async def test_what_the_kernels_administrator_made_ends_in_every_tenant(desk: Desk) -> None:
    await desk.manager.persons.create(
        KERNEL_ADMIN, NewPerson(id="mal", tenant="beta", administrator=True), NEW
    )
    await desk.register("planted", by=Caller(agent="mal", tenant="beta", kind=Kind.ADMIN))
    await desk.register("other")
    done = await desk.manager.tokens.revoke(KERNEL_ADMIN, "", Target(everything=True, made=Fate.KILL), NEW)

    assert done.ended == Ended(agents=1, persons=1)
    beta = dataclasses.replace(KERNEL_ADMIN, tenant="beta")
    last = await desk.manager.persons.get(beta, "persons/mal", "")
    assert (last.state, last.key_hash) == (
        PersonState.ACTIVE,
        "",
    )  # the last administrator loses its key alone
    assert await _state(desk, "planted", "beta") is AgentState.KILLED
    assert await _state(desk, "other") is AgentState.ACTIVE


async def test_an_agent_ends_only_what_it_may_steer(desk: Desk) -> None:
    _, target = await _stolen(desk)
    text = '@id("no-control") forbid (principal is Agent, action == Action::"agent.control", resource);'
    await desk.manager.policies.put(ADMIN, "policies/no-control", text, description="", etag="", asked=NEW)
    target = dataclasses.replace(target, made=Fate.KILL)
    with pytest.raises(PermissionDenied):
        await desk.manager.tokens.revoke(agent("victim"), "", target, NEW)

    assert await _state(desk, "planted") is AgentState.ACTIVE
    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(target.token, None)


async def test_a_call_that_was_let_in_before_the_revocation_makes_nothing_after_it(desk: Desk) -> None:
    thief, target = await _stolen(desk)
    await desk.manager.tokens.revoke(ADMIN, "agents/victim", target, NEW)
    set_caller(thief)
    with pytest.raises(CredentialRevoked):
        await desk.register("late", by=thief)


async def test_a_key_that_ends_while_it_is_shown_gives_no_token(desk: Desk) -> None:
    """Between the look that finds the key and the one that issues, key and tokens are revoked."""
    made = await desk.register("victim")
    read, revoked = desk.store.read, False

    async def read_and_revoke(work: Work[Any]) -> Any:
        nonlocal revoked
        found = await read(work)
        if not revoked:
            revoked = True
            target = Target(everything=True, key_too=True)
            await desk.manager.tokens.revoke(ADMIN, "agents/victim", target, NEW)
        return found

    desk.store.read = read_and_revoke  # type: ignore[method-assign]
    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.by_agent_key(made.key, None)
