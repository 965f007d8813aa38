"""Credentials, on every store: exchange, revocation, wrong keys."""

from datetime import timedelta

import pytest

from services.access.errors import (
    AgentNotFound,
    TooManyCalls,
)
from services.access.service.tokens import Target
from services.chassis.auth.identity import Kind, Principal
from services.chassis.rpc.errors import (
    AgentInactive,
    CredentialExpired,
    CredentialInvalid,
    CredentialRevoked,
    InvalidRequest,
)
from tests.fakes.access_manager import (
    ADMIN,
    NEW,
    SERVICE_KEY,
    TENANT,
    Desk,
    agent,
)

PLANNER = agent("planner")


async def test_keys_and_tokens_are_exchanged_for_fresh_tokens(desk: Desk) -> None:
    made = await desk.register("planner")
    by_key = await desk.manager.tokens.by_agent_key(made.key, timedelta(minutes=2))
    renewed = await desk.manager.tokens.by_renewal(by_key.text, timedelta(days=3))
    service = await desk.manager.tokens.by_service_key("memory", SERVICE_KEY, None)

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
    for wrong in ("", "x", SERVICE_KEY + "x"):
        with pytest.raises(CredentialInvalid):
            await desk.manager.tokens.by_service_key("memory", wrong, None)
    with pytest.raises(TooManyCalls) as slow:
        await desk.manager.tokens.by_agent_key("nope", None)

    assert slow.value.retry_after is not None
    assert await desk.manager.tokens.by_service_key("memory", SERVICE_KEY, None)


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
    revision = await revoke(PLANNER, "", Target(token=made.token.text), NEW)

    assert revision == await desk.revision()
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
    desk.clock.advance(60)
    with pytest.raises(CredentialExpired):
        await desk.manager.tokens.by_renewal(last.text, None)
    assert await desk.manager.tokens.by_agent_key(made.key, None)
