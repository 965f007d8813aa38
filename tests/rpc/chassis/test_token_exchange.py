"""Tokens for one process each: what is exchanged, how often it is asked for, and what each process takes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import pytest

from aios.api.access.v1 import resources_pb2
from services.chassis.auth.authz_client import AccessAuthorizer
from services.chassis.auth.identity import Caller, Kind
from services.chassis.auth.processes import PROCESSES
from services.chassis.auth.tokens import KeyRing, Revocations, TokenVerifier
from services.chassis.rpc.client import KeyCredential
from services.chassis.rpc.errors import AccessUnavailable, CredentialInvalid, CredentialRevoked
from services.chassis.rpc.exchange import AccessExchange
from services.chassis.runtime.server import ChassisServer
from services.chassis.runtime.tasks import Supervisor
from tests.fakes.access_service import SERVICE_KEY, FakeAccess
from tests.fakes.clock import FakeClock
from tests.fakes.echo import Echo, EchoServicer, EchoStub
from tests.fakes.rpc import connected, reason, running, serving
from tests.fakes.tokens import Issuer
from tests.fakes.waiting import until

WAITERS = 20
DENIED = "PERMISSION_DENIED"


@dataclass
class World:
    """A gateway's exchange, and the access manager behind it."""

    clock: FakeClock
    access: FakeAccess
    server: ChassisServer
    authorizer: AccessAuthorizer
    exchange: AccessExchange
    revocations: Revocations
    agents: TokenVerifier

    async def caller(self, agent: str = "planner", **claims: Any) -> Caller:
        """Return an agent that calls with a token of its own."""
        token = self.access.issuer.token(agent, **claims)
        who = await self.agents.authenticate(token)
        return Caller(agent, "acme", Kind.AGENT, token=token, credential=who)

    async def token(self, caller: Caller, audience: str) -> str:
        """Return the token that goes on to a process."""
        metadata = dict(await self.exchange.metadata(caller, audience))
        return metadata["authorization"].removeprefix("Bearer ")

    def verifier(self, *audiences: str) -> TokenVerifier:
        """Return what a process with these names takes."""
        clock = self.clock
        return TokenVerifier(KeyRing(self.access.issuer.jwks(), clock), clock, audiences, self.revocations)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = FakeClock()
    issuer = Issuer(clock=clock)
    access = FakeAccess(issuer)  # type: ignore[abstract] # it has what the chassis calls
    supervisor = Supervisor(first_delay=0.01)
    async with (
        running(access.servicer(), authenticator=issuer.verifier()) as server,
        connected(server) as channel,
    ):
        credential = KeyCredential(channel, "gateway", SERVICE_KEY, clock)
        revocations = Revocations()
        authorizer = AccessAuthorizer(channel, credential, clock, revocations=revocations)
        exchange = AccessExchange(channel, credential, clock, authorizer, most_kept=5)
        ring = KeyRing(issuer.jwks(), clock)
        agents = TokenVerifier(ring, clock, PROCESSES, revocations)
        supervisor.start("watch", authorizer.watch)
        await until(lambda: authorizer.live)
        yield World(clock, access, server, authorizer, exchange, revocations, agents)
        await supervisor.stop()
        await exchange.close()


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    """Return what a call fails with."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


async def test_a_token_is_exchanged_once_for_each_process(world: World) -> None:
    caller = await world.caller()
    for _ in range(3):
        tokens = {name: await world.token(caller, name) for name in ("storage", "memory")}

    assert world.access.exchanges == ["storage", "memory"]
    assert len({caller.token, *tokens.values()}) == 3


async def test_another_token_of_the_same_agent_is_exchanged_for_itself(world: World) -> None:
    tokens = [await world.token(await world.caller(), "storage") for _ in range(2)]

    assert len(set(tokens)) == 2


async def test_who_asks_at_once_waits_for_one_answer_and_may_leave(world: World) -> None:
    caller = await world.caller()
    world.access.exchange_open.clear()
    waiting = [asyncio.create_task(world.token(caller, "storage")) for _ in range(WAITERS)]
    await until(lambda: bool(world.access.exchanges))
    waiting[0].cancel()  # the one that asked
    world.access.exchange_open.set()
    got = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(got[0], asyncio.CancelledError)
    assert len(set(got[1:])) == 1
    assert world.access.exchanges == ["storage"]


async def test_a_token_is_exchanged_again_before_it_expires(world: World) -> None:
    caller = await world.caller()
    first = await world.token(caller, "storage")
    world.clock.advance(275)  # of 300 s

    assert await world.token(caller, "storage") != first


async def test_while_access_is_away_what_is_kept_counts_until_it_expires(world: World) -> None:
    caller = await world.caller(life=timedelta(hours=1))
    kept = await world.token(caller, "storage")
    await world.server.stop(0)
    world.clock.advance(280)

    assert await world.token(caller, "storage") == kept
    with pytest.raises(AccessUnavailable):
        await world.token(caller, "memory")
    world.clock.advance(20)
    with pytest.raises(AccessUnavailable):
        await world.token(caller, "storage")


@pytest.mark.parametrize(
    "revoked",
    [
        resources_pb2.RevokedToken(token_id="f1", tenant="acme"),
        resources_pb2.RevokedToken(agent="agents/planner", tenant="acme"),
    ],
    ids=["one family", "all of the agent's"],
)
async def test_what_was_revoked_is_dropped_and_the_rest_stays(
    world: World, revoked: resources_pb2.RevokedToken
) -> None:
    caller, other = await world.caller(sid="f1"), await world.caller("critic", sid="f2")
    given, _ = await world.token(caller, "storage"), await world.token(other, "storage")
    revoked.revoke_time.FromDatetime(world.clock.now() + timedelta(seconds=1))
    revoked.expire_time.FromDatetime(world.clock.now() + timedelta(hours=1))
    world.access.revoked.append(revoked)
    await world.access.change()
    await until(lambda: len(world.exchange) == 1)

    with pytest.raises(CredentialRevoked):  # at the manager too: it is of the same family
        await world.verifier("storage").authenticate(given)
    await world.token(other, "storage")
    assert world.access.exchanges == ["storage", "storage"]


async def test_an_answer_that_a_revocation_overtook_is_not_kept(world: World) -> None:
    caller = await world.caller(sid="f1")
    world.access.exchange_open.clear()
    asking = asyncio.create_task(world.token(caller, "storage"))
    await until(lambda: bool(world.access.exchanges))
    revoked = resources_pb2.RevokedToken(token_id="f1", tenant="acme")
    revoked.expire_time.FromDatetime(world.clock.now() + timedelta(hours=1))
    world.access.revoked.append(revoked)
    await world.access.change()
    await until(lambda: world.access.confirmed == world.access.revision)
    world.access.exchange_open.set()
    await asking

    assert len(world.exchange) == 0


async def test_what_is_kept_is_bounded(world: World) -> None:
    for number in range(8):
        await world.token(await world.caller(f"a{number}"), "storage")

    assert len(world.exchange) == 5


async def test_who_comes_with_ever_new_tokens_crowds_out_nobody_elses(world: World) -> None:
    world.exchange._most_kept = 1000
    calm = await world.caller("calm")
    await world.token(calm, "storage")
    for _ in range(40):
        await world.token(await world.caller("mallory"), "storage")
    asked = len(world.access.exchanges)
    await world.token(calm, "storage")

    assert len(world.exchange) == 33
    assert len(world.access.exchanges) == asked


async def test_a_token_counts_at_the_process_it_was_exchanged_for_and_nowhere_else(world: World) -> None:
    caller = await world.caller()
    given = await world.token(caller, "storage")

    assert (await world.verifier("storage").authenticate(given)).agent == "planner"
    for name in PROCESSES - {"storage"}:
        with pytest.raises(CredentialInvalid):
            await world.verifier(name).authenticate(given)


async def test_a_manager_called_past_the_gateway_refuses_an_agents_token(world: World) -> None:
    caller = await world.caller()
    async with serving(EchoServicer().servicer(), authenticator=world.verifier("storage")) as channel:
        stub = EchoStub(channel)
        bare = await failure_of(stub.unary(Echo(), metadata=(("authorization", f"Bearer {caller.token}"),)))
        reply = await stub.unary(Echo(text="ok"), metadata=await world.exchange.metadata(caller, "storage"))

    assert (bare.code(), reason(bare)) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
    assert reply.text == "ok"


@pytest.mark.parametrize(
    ("actor", "method", "code"),
    [
        ("tool", "unary", ""),
        ("tool", "quick", DENIED),
        ("context", "unary", DENIED),
        ("gateway", "quick", ""),
    ],
)
async def test_a_process_does_for_an_agent_only_what_names_it(
    world: World, actor: str, method: str, code: str
) -> None:
    """The gateway alone makes every call of an agent; what others may is in the method's option."""
    token = world.access.issuer.token(aud="storage", act={"sub": actor, "act": {"sub": "gateway"}})
    async with serving(EchoServicer().servicer(), authenticator=world.verifier("storage")) as channel:
        call = getattr(EchoStub(channel), method)(Echo(), metadata=(("authorization", f"Bearer {token}"),))
        if not code:
            await call
        else:
            assert reason(await failure_of(call)) == code


@pytest.mark.parametrize(
    "act",
    ["gateway", [], {"sub": 1}, {}, {"sub": "../x"}, {"sub": "a", "act": {"sub": "b", "act": "c"}}],
    ids=str,
)
async def test_a_token_whose_actors_are_none_is_refused(world: World, act: object) -> None:
    token = world.access.issuer.token(aud="storage", act=act)

    with pytest.raises(CredentialInvalid):
        await world.verifier("storage").authenticate(token)
