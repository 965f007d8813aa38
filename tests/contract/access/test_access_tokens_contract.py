"""Credentials, on every store: exchange, revocation, wrong keys."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.access.config import AccessConfig
from services.access.errors import (
    AgentNotFound,
    TooManyCalls,
)
from services.access.main import authenticator
from services.access.model.agents import MadeBy, Maker
from services.access.ports.store import Store
from services.access.service.tokens import Target
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.auth.processes import KEYED, PROCESSES
from services.chassis.quotas import Cap, caps_of
from services.chassis.rpc.errors import (
    AgentInactive,
    CredentialExpired,
    CredentialInvalid,
    CredentialRevoked,
    InvalidRequest,
    PermissionDenied,
    QuotaExceeded,
)
from tests.fakes.access_manager import (
    ADMIN,
    NEW,
    SERVICE_KEYS,
    TENANT,
    Desk,
    agent,
)
from tests.fakes.access_manager import desk as desk_of

PLANNER = agent("planner")


async def test_keys_and_tokens_are_exchanged_for_fresh_tokens(desk: Desk) -> None:
    made = await desk.register("planner")
    by_key = await desk.manager.tokens.by_agent_key(made.key, timedelta(minutes=2))
    renewed = await desk.manager.tokens.by_renewal(by_key.text, timedelta(days=3))
    service = await desk.manager.tokens.by_service_key("memory", SERVICE_KEYS["memory"], None)

    assert by_key.expire_time == desk.clock.now() + timedelta(minutes=2)
    assert renewed.expire_time == desk.clock.now() + timedelta(minutes=10)
    assert (service.principal.agent, service.principal.tenant, service.principal.kind) == (
        "memory",
        "kernel",
        Kind.SERVICE,
    )


async def test_an_administrator_may_have_a_longer_life(desk: Desk) -> None:
    admin = desk.keys.issue(
        Principal(agent="admin", tenant=TENANT, kind=Kind.ADMIN),
        now=desk.clock.now(),
        after=None,
        lifetime=timedelta(days=1),
    )
    renewed = await desk.manager.tokens.by_renewal(admin.text, timedelta(days=30))

    assert renewed.expire_time == desk.clock.now() + timedelta(days=30)
    assert renewed.principal.kind is Kind.ADMIN


async def test_wrong_keys_are_refused_and_then_slowed_down(desk: Desk) -> None:
    for wrong in ("", SERVICE_KEYS["memory"] + "x", SERVICE_KEYS["gateway"]):
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.by_service_key("memory", wrong, None)
    with pytest.raises(TooManyCalls) as slow:
        await desk.manager.tokens.by_agent_key("nope", None)

    assert slow.value.retry_after is not None
    assert await desk.manager.tokens.by_service_key("memory", SERVICE_KEYS["memory"], None)


async def test_a_process_gets_tokens_of_its_own_name_alone(desk: Desk) -> None:
    """The key of one process is no way to be another, nor a process that does not exist."""
    for name in (*(KEYED - {"memory"}), "access", "anything"):
        desk.clock.advance(60)
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.by_service_key(name, SERVICE_KEYS["memory"], None)


async def test_a_suspended_agent_gets_no_token(desk: Desk) -> None:
    made = await desk.register("planner")
    await desk.manager.agents.suspend(ADMIN, "planner", "")
    with pytest.raises(AgentInactive):
        await desk.manager.tokens.by_agent_key(made.key, None)
    await desk.manager.agents.resume(ADMIN, "planner")

    assert await desk.manager.tokens.by_agent_key(made.key, None)


async def test_one_token_is_revoked_and_the_others_live(desk: Desk) -> None:
    made = await desk.register("planner")
    other = await desk.manager.tokens.by_agent_key(made.key, None)
    revoke = desk.manager.tokens.revoke
    done = await revoke(PLANNER, "", Target(token=made.token.text), NEW)

    assert done.revision == await desk.revision()
    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(made.token.text, None)
    assert await desk.manager.tokens.by_renewal(other.text, None)


async def test_all_tokens_are_revoked_and_a_new_one_counts_at_once(desk: Desk) -> None:
    made = await desk.register("planner")
    await desk.manager.tokens.revoke(ADMIN, "agents/planner", Target(everything=True), NEW)
    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(made.token.text, None)
    fresh = await desk.manager.tokens.by_agent_key(made.key, None)

    assert await desk.manager.tokens.by_renewal(fresh.text, None)
    target = Target(everything=True, key_too=True)
    await desk.manager.tokens.revoke(ADMIN, "agents/planner", target, NEW)
    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.by_agent_key(made.key, None)


async def test_revocations_are_forgotten_once_the_tokens_have_expired(desk: Desk) -> None:
    await desk.register("planner")
    await desk.manager.tokens.revoke(PLANNER, "", Target(token_id="x"), NEW)
    now = desk.clock.now()
    kept = await desk.store.read(lambda tx: tx.tokens.revoked(0, now))
    desk.clock.advance(86_400)
    await desk.manager.forget()
    then = desk.clock.now()

    assert [one.token_id for one in kept] == ["x"]
    assert await desk.store.read(lambda tx: tx.tokens.revoked(0, then - timedelta(days=9))) == []


async def test_an_agent_revokes_a_bounded_number_of_tokens_and_shuts_all_out_at_any_time(
    store: Store, tmp_path: Path
) -> None:
    caps = caps_of(AccessConfig(quota_revocations=Cap(2, 2, 2)))
    made = await asyncio.to_thread(desk_of, store, tmp_path, caps=caps)
    await made.register("planner")
    revoke, now = made.manager.tokens.revoke, made.clock.now()
    for token in ("x", "y", "x"):
        await revoke(PLANNER, "", Target(token_id=token), NEW)
    with pytest.raises(QuotaExceeded):
        await revoke(PLANNER, "", Target(token_id="z"), NEW)
    await revoke(ADMIN, "agents/planner", Target(token_id="z"), NEW)
    await revoke(PLANNER, "", Target(everything=True), NEW)
    kept = await made.store.read(lambda tx: tx.tokens.revoked(0, now))
    made.clock.advance(86_400)
    await made.manager.forget()
    await revoke(PLANNER, "", Target(token_id="z"), NEW)

    assert {(one.token_id, one.charged) for one in kept} == {
        ("x", "planner"), ("y", "planner"), ("z", ""), ("", ""),
    }  # fmt: skip


async def test_only_tokens_of_this_issuer_and_agent_are_revoked(desk: Desk) -> None:
    await desk.register("planner")
    made = await desk.register("critic")
    revoke = desk.manager.tokens.revoke

    with pytest.raises(CredentialInvalid):
        await revoke(PLANNER, "", Target(token="garbage"), NEW)
    with pytest.raises(InvalidRequest):
        await revoke(PLANNER, "", Target(token=made.token.text), NEW)
    with pytest.raises(AgentNotFound):
        await revoke(ADMIN, "agents/ghost", Target(everything=True), NEW)


async def test_an_administrator_revokes_a_token_by_its_id_whoevers_it_is(desk: Desk) -> None:
    made = await desk.register("victim")
    token_id = made.token.principal.token_id
    await desk.manager.tokens.revoke(ADMIN, "", Target(token_id=token_id), NEW)

    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(made.token.text, None)


async def test_an_id_that_is_another_agents_revokes_nothing_of_it(desk: Desk) -> None:
    """Nor does it take the place of the revocation that the agent itself has made."""
    await desk.register("mal")
    made = await desk.register("victim")
    token_id = made.token.principal.token_id
    strangers = (agent("mal"), Caller(agent="mal", tenant="beta", kind=Kind.AGENT))
    for who in strangers:
        await desk.manager.tokens.revoke(who, "", Target(token_id=token_id), NEW)
    assert await desk.manager.tokens.by_renewal(made.token.text, None)
    assert await authenticator(desk.manager, desk.keys, PROCESSES).authenticate(made.token.text)

    await desk.manager.tokens.revoke(agent("victim"), "", Target(token_id=token_id), NEW)
    for who in strangers:
        await desk.manager.tokens.revoke(who, "", Target(token_id=token_id), NEW)
    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(made.token.text, None)
    with pytest.raises(CredentialRevoked):
        await authenticator(desk.manager, desk.keys, PROCESSES).authenticate(made.token.text)


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_a_revoked_token_takes_all_its_renewals_along(desk: Desk, which: int) -> None:
    made = await desk.register("planner")
    chain = [made.token]
    for _ in range(2):
        chain.append(await desk.manager.tokens.by_renewal(chain[-1].text, None))
    other = await desk.manager.tokens.by_agent_key(made.key, None)
    await desk.manager.tokens.revoke(PLANNER, "", Target(token=chain[which].text), NEW)

    for token in chain:
        with pytest.raises(CredentialRevoked):
            await desk.manager.tokens.by_renewal(token.text, None)
    assert await desk.manager.tokens.by_renewal(other.text, None)


async def test_the_id_of_the_first_token_revokes_its_renewals(desk: Desk) -> None:
    made = await desk.register("planner")
    renewed = await desk.manager.tokens.by_renewal(made.token.text, None)
    target = Target(token_id=made.token.principal.token_id)
    await desk.manager.tokens.revoke(PLANNER, "", target, NEW)

    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(renewed.text, None)


async def test_renewals_end_with_the_session(desk: Desk) -> None:
    made = await desk.register("planner")
    token = made.token
    began = desk.clock.now()
    for _ in range(159):
        desk.clock.advance(9 * 60)
        token = await desk.manager.tokens.by_renewal(token.text, None)
    desk.clock.advance(8 * 60)
    last = await desk.manager.tokens.by_renewal(token.text, None)

    assert last.expire_time == began + timedelta(days=1)
    desk.clock.advance(30)
    with pytest.raises(CredentialExpired) as refused:  # while the token itself still counts
        await desk.manager.tokens.by_renewal(last.text, None)
    assert refused.value.metadata == {"limit": "session_life", "seconds": "86400"}
    assert await desk.manager.tokens.by_agent_key(made.key, None)


def process(name: str) -> Caller:
    """Return a process of the kernel as a caller."""
    return Caller(agent=name, tenant="kernel", kind=Kind.SERVICE)


async def test_an_exchanged_token_is_the_same_agents_for_one_process_and_for_short(desk: Desk) -> None:
    made = await desk.register("planner")
    desk.clock.advance(30)
    given = await desk.manager.tokens.exchange(process("gateway"), made.token.text, "tool")
    again = await desk.manager.tokens.exchange(process("tool"), given.text, "storage")
    shown = [desk.keys.verify(token.text, now=desk.clock.now()) for token in (given, again)]

    assert [(one.agent, one.tenant, one.kind) for one in shown] == [("planner", TENANT, Kind.AGENT)] * 2
    assert [one.audience for one in shown] == ["tool", "storage"]
    assert [one.actors for one in shown] == [("gateway",), ("tool", "gateway")]
    assert {one.session_id for one in shown} == {made.token.principal.session_id}
    assert {one.authenticated_at for one in shown} == {made.token.principal.authenticated_at}
    assert all(one.expires_at <= desk.clock.now().timestamp() + 300 for one in shown)
    assert {one.ends_at for one in shown} == {made.token.principal.expires_at}


async def test_an_exchanged_token_never_outlives_the_one_it_came_from(desk: Desk) -> None:
    made = await desk.register("planner")
    desk.clock.advance(590)
    given = await desk.manager.tokens.exchange(process("gateway"), made.token.text, "tool")

    assert given.principal.expires_at == made.token.principal.expires_at


@pytest.mark.parametrize(
    ("who", "audience"),
    [
        ("memory", "storage"),  # exchanges nothing at all
        ("storage", "memory"),
        ("tool", "gateway"),
        ("context", "access"),
        ("gateway", "gateway"),
        ("access", "storage"),
    ],
)
async def test_a_process_exchanges_for_nobody_it_has_no_business_with(
    desk: Desk, who: str, audience: str
) -> None:
    made = await desk.register("planner")
    shown = desk.keys.issue(
        Principal("planner", TENANT, Kind.AGENT, audience=who),
        now=desk.clock.now(), after=None, lifetime=timedelta(minutes=1),
    )  # fmt: skip
    for token in (made.token, shown):
        with pytest.raises(PermissionDenied):
            await desk.manager.tokens.exchange(process(who), token.text, audience)


async def test_a_process_exchanges_only_tokens_that_are_meant_for_it(desk: Desk) -> None:
    """A token as the agent holds it opens nothing for a manager, nor does another manager's."""
    made = await desk.register("planner")
    for_storage = await desk.manager.tokens.exchange(process("gateway"), made.token.text, "storage")
    service = await desk.manager.tokens.by_service_key("tool", SERVICE_KEYS["tool"], None, "scheduler")

    for token in (made.token.text, for_storage.text, service.text, "garbage"):
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.exchange(process("tool"), token, "access")


async def test_what_a_process_acts_with_is_neither_renewed_nor_exchanged_for_ever(desk: Desk) -> None:
    made = await desk.register("planner")
    at_context = await desk.manager.tokens.exchange(process("gateway"), made.token.text, "context")
    back = await desk.manager.tokens.exchange(process("context"), at_context.text, "gateway")
    service = await desk.manager.tokens.by_service_key("tool", SERVICE_KEYS["tool"], None)
    for token in (at_context, back, service):
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.by_renewal(token.text, None)
        desk.clock.advance(60)
    again = await desk.manager.tokens.exchange(process("gateway"), back.text, "context")
    last = await desk.manager.tokens.exchange(process("context"), again.text, "gateway")

    with pytest.raises(CredentialInvalid):
        await desk.manager.tokens.exchange(process("gateway"), last.text, "context")


async def test_a_process_gets_tokens_only_for_those_it_calls_in_its_own_name(desk: Desk) -> None:
    given = await desk.manager.tokens.by_service_key("tool", SERVICE_KEYS["tool"], None, "scheduler")

    assert given.principal.audience == "scheduler"
    for name, audience in (("memory", "scheduler"), ("tool", "storage"), ("gateway", "gateway")):
        with pytest.raises(PermissionDenied):
            await desk.manager.tokens.by_service_key(name, SERVICE_KEYS[name], None, audience)


@pytest.mark.parametrize("how", ["the first by text", "a renewal by id", "all", "the key"])
async def test_revoking_one_token_ends_its_family_however_it_was_got(desk: Desk, how: str) -> None:
    """Stolen, renewed and exchanged: nothing of it outlives the revocation, whichever token is named."""
    made = await desk.register("planner")
    stolen = await desk.manager.tokens.by_renewal(made.token.text, None)
    at_tool = await desk.manager.tokens.exchange(process("gateway"), stolen.text, "tool")
    at_storage = await desk.manager.tokens.exchange(process("tool"), at_tool.text, "storage")
    target = {
        "the first by text": Target(token=made.token.text),
        "a renewal by id": Target(token_id=stolen.principal.token_id),
        "all": Target(everything=True),
        "the key": Target(everything=True, key_too=True),
    }[how]
    await desk.manager.tokens.revoke(PLANNER, "", target, NEW)

    local = authenticator(desk.manager, desk.keys, PROCESSES)
    for token in (made.token, stolen, at_tool, at_storage):
        with pytest.raises(CredentialRevoked):
            await local.authenticate(token.text)
    asked = {"gateway": (stolen, "tool"), "tool": (at_tool, "storage"), "storage": (at_storage, "access")}
    for who, (token, audience) in asked.items():
        with pytest.raises(CredentialRevoked):
            await desk.manager.tokens.exchange(process(who), token.text, audience)
    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(stolen.text, None)


async def test_a_renewal_that_was_under_way_when_all_was_revoked_is_dead_too(desk: Desk) -> None:
    """What counts is when the family began, not when its youngest token was signed."""
    made = await desk.register("planner")
    await desk.manager.tokens.revoke(PLANNER, "", Target(everything=True), NEW)
    desk.clock.advance(2)
    late = desk.keys.issue(
        made.token.principal, now=desk.clock.now(), after=None, lifetime=timedelta(minutes=5)
    )

    with pytest.raises(CredentialRevoked):
        await desk.manager.tokens.by_renewal(late.text, None)
    with pytest.raises(CredentialRevoked):
        await authenticator(desk.manager, desk.keys, PROCESSES).authenticate(late.text)


async def test_a_session_of_its_own_ends_by_itself_and_with_the_one_above(desk: Desk) -> None:
    made = await desk.register("planner")
    tokens = desk.manager.tokens
    first = await tokens.by_agent_key(made.key, None)
    own = await tokens.by_renewal(first.text, None, own_session=True)
    other = await tokens.by_renewal(first.text, None, own_session=True)
    later = await tokens.by_renewal(own.text, None, own_session=True)
    assert later.principal.session_id == own.principal.session_id != other.principal.session_id
    assert own.principal.authenticated_at == first.principal.authenticated_at
    assert max(len(each.principal.token_id) for each in (own, later)) <= 64

    caller = replace(PLANNER, token=own.text)
    await tokens.revoke(caller, "", Target(), NEW)
    with pytest.raises(CredentialRevoked):
        await tokens.by_renewal(later.text, None)
    for alive in (first, other):
        await tokens.by_renewal(alive.text, None)

    await tokens.revoke(replace(PLANNER, token=first.text), "", Target(), NEW)
    with pytest.raises(CredentialRevoked):
        await tokens.by_renewal(other.text, None)


async def test_what_a_session_below_made_is_made_by_the_one_above_too() -> None:
    made = Maker(TENANT, "admin", "f1~a")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert MadeBy(TENANT, "admin", "f1").covers(made, now)
    assert MadeBy(TENANT, "admin", "f1~a").covers(made, now)
    assert not MadeBy(TENANT, "admin", "f1~b").covers(made, now)
    assert not MadeBy(TENANT, "admin", "f1~a").covers(Maker(TENANT, "admin", "f1"), now)
