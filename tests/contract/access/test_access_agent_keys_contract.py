"""Agents that are found again and keys that are made anew, on every store: who may, and what ends."""

import asyncio
import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.access.errors import AgentExists, AgentNotFound, QuotaExceeded
from services.access.model.agents import AgentState, Token
from services.access.ports.store import Store
from services.access.service.agent_keys import MOST_KEYS, OldKeys
from services.access.service.agents import NewAgent, Registered
from services.access.service.offspring import Ended, Fate
from services.access.service.purging import PurgeSettings
from services.access.service.tokens import Target
from services.chassis.auth.identity import Caller
from services.chassis.rpc.errors import (
    AgentInactive,
    CredentialInvalid,
    CredentialRevoked,
    IdempotencyMismatch,
    PermissionDenied,
)
from tests.fakes.access_manager import ADMIN, NEW, TENANT, Desk, agent, asked, whole_log
from tests.fakes.access_manager import desk as make_desk

DAY = timedelta(days=1)


async def found(desk: Desk, name: str, by: Caller = ADMIN, **fields: Any) -> Registered:
    """Register an agent, or get the one that is there."""
    return await desk.manager.agents.register(by, NewAgent(id=name, exist_ok=True, **fields), NEW)


async def counts(desk: Desk, token: Token) -> bool:
    """Tell whether a token is accepted."""
    return not await desk.store.read(lambda tx: tx.tokens.is_revoked(token.principal))


async def test_of_many_who_ask_at_once_one_registers_the_agent_and_all_get_it(desk: Desk) -> None:
    made = await asyncio.gather(*(found(desk, "guide") for _ in range(5)))

    assert sorted(one.existed for one in made) == [False, True, True, True, True]
    assert {one.token.principal.agent for one in made} == {"guide"}
    [key] = {one.key for one in made} - {""}
    assert (await desk.manager.tokens.by_agent_key(key, None)).principal.agent == "guide"


async def test_an_agent_that_is_there_stays_as_it_is(desk: Desk) -> None:
    first = await found(desk, "guide", kind="helper")
    again = await found(desk, "guide", kind="other", display_name="Other")

    assert again.agent == first.agent
    assert (await desk.manager.agents.get(ADMIN, "guide")).etag == first.agent.etag


async def test_without_exist_ok_a_taken_id_is_an_error(desk: Desk) -> None:
    await desk.register("guide")

    with pytest.raises(AgentExists):
        await desk.register("guide")


async def test_what_is_handed_over_is_not_renewed(desk: Desk) -> None:
    await desk.register("guide")
    handed = await found(desk, "guide")

    with pytest.raises(CredentialInvalid, match="handed over"):
        await desk.manager.tokens.by_renewal(handed.token.text, None)


async def test_an_agent_gets_its_own_children_and_no_others(desk: Desk) -> None:
    await desk.register("planner")
    await desk.register("critic")
    await desk.register("child", by=agent("planner"))

    assert (await found(desk, "child", by=agent("planner"))).existed
    with pytest.raises(AgentExists):
        await found(desk, "child", by=agent("critic"))
    with pytest.raises(AgentExists):
        await found(desk, "child")  # a root was asked for, and it is none
    assert (await found(desk, "child", parent="agents/planner")).existed


async def test_a_policy_that_forbids_keys_forbids_handing_over(desk: Desk) -> None:
    text = '@id("shut") forbid (principal, action == Action::"agent.issue_key", resource == Agent::"guide");'
    await desk.register("guide")
    await desk.manager.policies.put(ADMIN, "policies/shut", text, description="", etag="", asked=NEW)

    with pytest.raises(PermissionDenied) as caught:
        await found(desk, "guide")
    assert caught.value.metadata == {"action": "agent.issue_key", "resource": "agents/guide"}


async def test_an_agent_that_ended_or_is_suspended_is_not_handed_over(desk: Desk) -> None:
    await desk.register("guide")
    await desk.manager.agents.suspend(ADMIN, "guide", "")
    with pytest.raises(AgentInactive) as suspended:
        await found(desk, "guide")
    await desk.manager.agents.kill(ADMIN, "guide", "")
    with pytest.raises(AgentInactive) as killed:
        await found(desk, "guide")

    assert [one.value.metadata["state"] for one in (suspended, killed)] == ["suspended", "killed"]


async def rekeyed(desk: Desk, old: OldKeys, *, by: Caller = ADMIN) -> tuple[Registered, Token, Token]:
    """Register an agent, make another key for it, and return what it had, the token of it, and a new one."""
    first = await desk.register("guide")
    desk.clock.advance(5)
    made = await desk.manager.agents.keys.issue(by, "guide", old, "lost", NEW)
    return first, made.token, await desk.manager.tokens.by_agent_key(made.key, None)


@pytest.mark.parametrize(
    ("old", "key_lives", "token_lives"),
    [(OldKeys.END, False, True), (OldKeys.END_WITH_TOKENS, False, False), (OldKeys.KEEP, True, True)],
)
async def test_what_becomes_of_the_old_key_and_its_tokens(
    desk: Desk, old: OldKeys, *, key_lives: bool, token_lives: bool
) -> None:
    first, token, renewed = await rekeyed(desk, old)

    assert await counts(desk, token)
    assert await counts(desk, renewed)
    assert await counts(desk, first.token) is token_lives
    if key_lives:
        await desk.manager.tokens.by_agent_key(first.key, None)
    else:
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.by_agent_key(first.key, None)


async def test_who_made_a_key_and_why_stands_in_the_log(desk: Desk) -> None:
    await rekeyed(desk, OldKeys.END)
    [entry] = [one for one in await whole_log(desk) if one.event.method.endswith("/IssueAgentKey")]

    assert (entry.event.agent, entry.event.resource) == ("admin", "agents/guide")
    assert entry.event.note == "old keys: end; lost"


async def test_a_repeated_request_shows_a_key_in_place_of_the_first(desk: Desk) -> None:
    await desk.register("guide")
    issue, by_key = desk.manager.agents.keys.issue, desk.manager.tokens.by_agent_key
    shown = [(await issue(ADMIN, "guide", OldKeys.KEEP, "", asked("r1"))).key for _ in range(3)]

    for key in shown[:2]:
        with pytest.raises(CredentialInvalid):
            await by_key(key, None)
    assert (await by_key(shown[2], None)).principal.agent == "guide"
    assert await desk.store.read(lambda tx: tx.agents.count_keys(TENANT, "guide")) == 2
    with pytest.raises(IdempotencyMismatch):
        await issue(ADMIN, "guide", OldKeys.END, "", asked("r1", b"other"))


async def test_a_repeated_registration_leaves_a_key_that_was_made_since(desk: Desk) -> None:
    register = desk.manager.agents.register
    first = await register(ADMIN, NewAgent(id="guide"), asked("r1"))
    made = await desk.manager.agents.keys.issue(ADMIN, "guide", OldKeys.KEEP, "", NEW)
    again = await register(ADMIN, NewAgent(id="guide"), asked("r1"))

    for key in (made.key, again.key):
        assert (await desk.manager.tokens.by_agent_key(key, None)).principal.agent == "guide"
    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.by_agent_key(first.key, None)


async def test_keys_beside_each_other_are_bounded(desk: Desk) -> None:
    await desk.register("guide")
    for _ in range(MOST_KEYS - 1):
        await desk.manager.agents.keys.issue(ADMIN, "guide", OldKeys.KEEP, "", NEW)
    with pytest.raises(QuotaExceeded) as caught:
        await desk.manager.agents.keys.issue(ADMIN, "guide", OldKeys.KEEP, "", NEW)
    await desk.manager.agents.keys.issue(ADMIN, "guide", OldKeys.END, "", NEW)

    assert caught.value.metadata["limit"] == str(MOST_KEYS)
    assert await desk.store.read(lambda tx: tx.agents.count_keys(TENANT, "guide")) == 1


async def test_no_key_for_an_agent_that_ended_or_never_was(desk: Desk) -> None:
    await desk.register("guide")
    await desk.manager.agents.kill(ADMIN, "guide", "")
    with pytest.raises(AgentInactive):
        await desk.manager.agents.keys.issue(ADMIN, "guide", OldKeys.END, "", NEW)
    with pytest.raises(AgentNotFound):
        await desk.manager.agents.keys.issue(ADMIN, "nobody", OldKeys.END, "", NEW)


async def test_who_may_make_a_key(desk: Desk) -> None:
    """Administrators and the agents above; not the agent itself, nor one beside it."""
    for name in ("planner", "critic"):
        await desk.register(name)
    await desk.register("child", by=agent("planner"))
    may = [
        await desk.allows(who, "agent.issue_key", "agents/child")
        for who in (ADMIN, agent("planner"), agent("child"), agent("critic"))
    ]

    assert may == [True, True, False, False]


async def test_a_key_made_with_stolen_credentials_ends_with_them(desk: Desk) -> None:
    """And so does what was registered with that key; what the agent made before stays."""
    boss, guide = await desk.register("boss"), await desk.register("guide", parent="boss")
    await desk.register("before", by=dataclasses.replace(agent("guide"), credential=guide.token.principal))
    desk.clock.advance(60)
    thief = dataclasses.replace(agent("boss"), credential=boss.token.principal)
    stolen = await desk.manager.agents.keys.issue(thief, "guide", OldKeys.KEEP, "", NEW)
    session = await desk.manager.tokens.by_agent_key(stolen.key, None)
    await desk.register("planted", by=dataclasses.replace(agent("guide"), credential=session.principal))

    target = Target(token=boss.token.text, made=Fate.KILL)
    done = await desk.manager.tokens.revoke(ADMIN, "agents/boss", target, NEW)

    assert done.ended == Ended(agents=1, agent_keys=1)
    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.by_agent_key(stolen.key, None)
    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(session.text, None)
    assert (await desk.manager.tokens.by_agent_key(guide.key, None)).principal.agent == "guide"
    states = [(await desk.manager.agents.get(ADMIN, one)).state for one in ("planted", "before")]
    assert states == [AgentState.KILLED, AgentState.ACTIVE]


async def test_an_agent_that_lives_is_deleted_with_one_request(desk: Desk) -> None:
    made = await desk.register("guide")
    await desk.register("child", by=agent("guide"))
    gone = await desk.manager.purges.purge(ADMIN, "guide", "done", asked("r1"), kill=True)
    again = await desk.manager.purges.purge(ADMIN, "guide", "done", asked("r1"), kill=True)

    assert gone is not None
    assert gone.state is AgentState.KILLED
    assert again == gone
    assert not await counts(desk, made.token)
    await desk.manager.purges.step()
    await desk.manager.purges.step()
    desk.clock.advance(61)
    await desk.manager.purges.step()
    for name in ("child", "guide"):
        with pytest.raises(AgentNotFound):
            await desk.manager.agents.get(ADMIN, name)
    with pytest.raises(AgentExists):  # an id means one agent for ever
        await found(desk, "guide")


async def test_an_agent_whose_time_is_over_is_gone_after_the_retention(store: Store, tmp_path: Path) -> None:
    purging = PurgeSettings(retention=DAY)
    one = await asyncio.to_thread(make_desk, store, tmp_path, purging=purging)
    await one.manager.agents.register(ADMIN, NewAgent(id="guide", ttl=timedelta(hours=1)), NEW)
    one.clock.advance(3600)
    await one.manager.lifetimes.end_due()
    await one.manager.purges.step()
    assert (await one.manager.agents.get(ADMIN, "guide")).state is AgentState.KILLED
    one.clock.advance(DAY.total_seconds() + 1)
    for _ in range(3):  # each step may be the first of another process
        await one.manager.purges.step()
        one.clock.advance(61)

    with pytest.raises(AgentNotFound):
        await one.manager.agents.get(ADMIN, "guide")
