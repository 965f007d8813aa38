"""The client of the access manager: what it remembers, and what happens while access is away."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import grpc
import pytest

from aios.api.access.v1 import access_pb2, resources_pb2
from services.chassis.auth.authz_client import AccessAuthorizer, PermissionCheck
from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.processes import PROCESSES
from services.chassis.auth.tokens import KeyRing, Revocations, TokenVerifier
from services.chassis.rpc.client import AccessKeySource, KeyCredential
from services.chassis.rpc.errors import (
    AccessUnavailable,
    AgentInactive,
    ApprovalRequired,
    CredentialRevoked,
    PermissionDenied,
)
from services.chassis.runtime.server import ChassisServer
from services.chassis.runtime.tasks import Supervisor
from tests.fakes.access_service import SERVICE_KEY, FakeAccess
from tests.fakes.clock import FakeClock
from tests.fakes.rpc import connected, running
from tests.fakes.tokens import Issuer
from tests.fakes.waiting import until

PLANNER = Principal("planner", "acme", Kind.AGENT)
READ = PermissionCheck(PLANNER, "memory.read", "agents/planner/notes/x", read=True)
WRITE = PermissionCheck(PLANNER, "memory.write", "agents/planner/notes/x")


@dataclass
class World:
    """An access manager, a client of it, and the clock of both."""

    clock: FakeClock
    access: FakeAccess
    server: ChassisServer
    channel: grpc.aio.Channel
    credential: KeyCredential
    revocations: Revocations
    authorizer: AccessAuthorizer
    supervisor: Supervisor

    async def follow(self) -> None:
        """Start the watch and wait until it is heard."""
        self.supervisor.start("watch", self.authorizer.watch)
        await self.until_live()

    async def until_live(self) -> None:
        """Wait until the watch is heard."""
        await until(lambda: self.authorizer.live)

    async def settle(self) -> None:
        """Wait until the watch has heard how things stand."""
        told = self.access
        await until(
            lambda: (self.authorizer._epoch, self.authorizer._revision) == (told.epoch, told.revision)
        )


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
        credential = KeyCredential(channel, "memory", SERVICE_KEY, clock)
        revocations = Revocations()
        authorizer = AccessAuthorizer(channel, credential, clock, revocations=revocations)
        yield World(clock, access, server, channel, credential, revocations, authorizer, supervisor)
        await supervisor.stop()


async def test_a_decision_is_remembered_while_the_rules_stay(world: World) -> None:
    await world.follow()
    for _ in range(5):
        await world.authorizer.authorize(READ)
    await world.authorizer.authorize(WRITE)

    assert world.access.checks == 2


async def test_without_the_watch_nothing_is_answered_from_memory(world: World) -> None:
    for _ in range(3):
        await world.authorizer.authorize(READ)

    assert world.access.checks == 3


async def test_a_denial_says_who_wanted_what(world: World) -> None:
    await world.follow()
    world.access.denied["planner", READ.action, READ.resource] = resources_pb2.DECISION_REASON_FORBIDDEN

    for _ in range(2):
        with pytest.raises(PermissionDenied) as denied:
            await world.authorizer.authorize(READ)
    assert denied.value.metadata == {
        "agent": "agents/planner", "action": "memory.read", "resource": "agents/planner/notes/x",
    }  # fmt: skip
    assert world.access.checks == 1


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (resources_pb2.DECISION_REASON_AGENT_INACTIVE, AgentInactive),
        (resources_pb2.DECISION_REASON_APPROVAL_REQUIRED, ApprovalRequired),
        (resources_pb2.DECISION_REASON_POLICY_ERROR, PermissionDenied),
    ],
)
async def test_the_reason_of_a_denial_is_kept(world: World, reason: int, error: type[Exception]) -> None:
    world.access.denied["planner", READ.action, READ.resource] = reason

    with pytest.raises(error):
        await world.authorizer.authorize(READ)


async def test_a_change_of_the_rules_is_followed_at_once(world: World) -> None:
    await world.follow()
    await world.authorizer.authorize(READ)
    world.access.denied["planner", READ.action, READ.resource] = resources_pb2.DECISION_REASON_FORBIDDEN
    await world.access.change()
    await world.settle()

    with pytest.raises(PermissionDenied):
        await world.authorizer.authorize(READ)


async def test_permits_outlive_changes_that_take_nothing_away_and_denials_do_not(world: World) -> None:
    await world.follow()
    world.access.denied["planner", WRITE.action, WRITE.resource] = resources_pb2.DECISION_REASON_FORBIDDEN
    world.access.withdrawn = []
    for n in range(1, 4):
        await world.authorizer.authorize(READ)
        with pytest.raises(PermissionDenied):
            await world.authorizer.authorize(WRITE)
        assert world.access.checks == 1 + n
        await world.access.change()
        await world.settle()


@pytest.mark.parametrize(
    ("agents", "asked"),
    [(["agents/planner"], 2), (["agents/critic"], 1), ([], 2)],
    ids=["of the agent", "of another one", "of the tenant"],
)
async def test_a_withdrawal_ends_the_permits_that_it_concerns(
    world: World, agents: list[str], asked: int
) -> None:
    await world.follow()
    await world.authorizer.authorize(READ)
    world.access.withdrawn = [access_pb2.RuleChange(tenant="acme", agents=agents)]
    await world.access.change()
    await world.settle()
    await world.authorizer.authorize(READ)

    assert world.access.checks == asked


async def test_a_permit_of_a_marked_agent_is_asked_for_again_after_any_change(world: World) -> None:
    world.access.marks.append(("acme", "planner", "tools/browse"))
    await world.follow()
    assert (await world.authorizer.authorize(READ)).untrusted
    world.access.marks.clear()
    world.access.withdrawn = []
    await world.access.change()
    await world.settle()

    assert not (await world.authorizer.authorize(READ)).untrusted


async def test_a_decision_made_before_a_change_that_is_known_is_not_kept(world: World) -> None:
    await world.follow()
    world.access.revision = 5
    await world.access.change()
    await world.settle()
    world.access.revision = 3
    await world.authorizer.authorize(READ)
    await world.authorizer.authorize(READ)

    assert world.access.checks == 2


async def test_another_run_of_the_access_manager_invalidates_everything(world: World) -> None:
    await world.follow()
    await world.authorizer.authorize(READ)
    world.access.epoch, world.access.revision = "e2", 0
    await world.access.change()
    await world.settle()
    await world.authorizer.authorize(READ)
    await world.authorizer.authorize(READ)

    assert world.access.checks == 2


async def test_a_decision_is_asked_for_again_after_some_seconds(world: World) -> None:
    await world.follow()
    await world.authorizer.authorize(READ)
    world.clock.advance(5.5)
    await world.authorizer.authorize(READ)

    assert world.access.checks == 2


async def test_a_decision_that_rests_on_a_grant_ends_with_it(world: World) -> None:
    await world.follow()
    world.access.decision_life = timedelta(seconds=1)
    await world.authorizer.authorize(READ)
    world.clock.advance(1.5)
    await world.authorizer.authorize(READ)

    assert world.access.checks == 2


async def test_while_access_is_away_only_fresh_permissions_to_read_count(world: World) -> None:
    await world.follow()
    await world.authorizer.authorize(READ)
    await world.authorizer.authorize(WRITE)
    await world.supervisor.stop()
    await world.server.stop(grace=0)
    world.clock.advance(1)
    world.authorizer._heard = -1e9

    await world.authorizer.authorize(READ)
    with pytest.raises(AccessUnavailable):
        await world.authorizer.authorize(WRITE)
    with pytest.raises(AccessUnavailable):
        await world.authorizer.authorize(
            PermissionCheck(PLANNER, "memory.read", "agents/planner/notes/y", read=True)
        )
    world.clock.advance(5)
    with pytest.raises(AccessUnavailable):
        await world.authorizer.authorize(READ)
    assert await world.authorizer.problem() == "the access manager is silent"


async def test_a_revoked_token_is_refused_as_soon_as_it_is_heard(world: World) -> None:
    await world.follow()
    verifier = TokenVerifier(
        KeyRing(AccessKeySource(world.channel), world.clock), world.clock, PROCESSES, world.revocations
    )
    one, all_of_it = world.access.issuer.token(jti="t1"), world.access.issuer.token("critic")
    await verifier.authenticate(one)
    await verifier.authenticate(all_of_it)
    single = resources_pb2.RevokedToken(token_id="t1", tenant="acme")
    agent = resources_pb2.RevokedToken(agent="agents/critic", tenant="acme")
    for revoked in (single, agent):
        revoked.revoke_time.FromDatetime(world.clock.now())
        revoked.expire_time.FromDatetime(world.clock.now() + timedelta(minutes=10))
    world.access.revoked = [single, agent]
    await world.access.change()
    await world.settle()

    for token in (one, all_of_it):
        with pytest.raises(CredentialRevoked):
            await verifier.authenticate(token)


async def test_the_watch_comes_back_after_a_break(world: World) -> None:
    await world.follow()
    world.authorizer._heard = -1e9
    await world.server.drain()
    world.server._pipeline.endless.draining = False
    await world.until_live()

    assert await world.authorizer.problem() is None


async def test_a_watch_that_goes_silent_is_made_again(world: World) -> None:
    authorizer = AccessAuthorizer(world.channel, world.credential, world.clock, heartbeat=0.02)
    world.supervisor.start("impatient", authorizer.watch)
    await until(lambda: world.access.watches >= 2)

    assert world.access.watches >= 2


async def test_a_service_token_is_renewed_at_two_thirds_of_its_life(world: World) -> None:
    first = await world.credential.metadata()
    world.clock.advance(390)
    same = await world.credential.metadata()
    world.clock.advance(20)
    renewed = await world.credential.metadata()

    assert first == same != renewed
    assert world.access.tokens == 2


async def test_an_old_service_token_serves_until_it_expires(world: World) -> None:
    first = await world.credential.metadata()
    await world.server.stop(grace=0)
    world.clock.advance(500)
    second = await world.credential.metadata()
    world.clock.advance(100)

    assert second == first
    with pytest.raises(AccessUnavailable):
        await world.credential.metadata()


async def test_a_wrong_service_key_gives_no_credential(world: World) -> None:
    credential = KeyCredential(world.channel, "memory", "wrong", world.clock)

    for _ in range(2):
        with pytest.raises(AccessUnavailable, match="no service token"):
            await credential.metadata()
    assert world.access.tokens == 1


async def test_keys_that_cannot_be_fetched_are_access_being_away(world: World) -> None:
    await world.server.stop(grace=0)

    with pytest.raises(AccessUnavailable):
        await AccessKeySource(world.channel).fetch()


def test_the_fake_is_a_servicer_of_the_real_service() -> None:
    names = {method.name for method in access_pb2.DESCRIPTOR.services_by_name["AccessService"].methods}

    assert {"Check", "WatchRevision", "IssueToken", "GetJwks"} <= names


async def test_an_agent_is_marked_once_for_as_long_as_the_rules_stay(world: World) -> None:
    await world.follow()
    for source in ("tools/browse", "tools/search", "tools/browse"):
        await world.authorizer.mark(PLANNER, source)
    assert world.access.marks == [("acme", "planner", "tools/browse")]

    await world.access.change()  # it may have been cleared
    await world.settle()
    await world.authorizer.mark(PLANNER, "tools/search")
    assert len(world.access.marks) == 2


async def test_who_is_known_to_be_marked_is_not_marked_again(world: World) -> None:
    world.access.marks.append(("acme", "planner", "tools/browse"))
    await world.follow()
    permission = await world.authorizer.authorize(READ)
    await world.authorizer.mark(PLANNER, "tools/search")

    assert permission.untrusted
    assert len(world.access.marks) == 1


async def test_a_mark_that_cannot_be_set_is_an_error(world: World) -> None:
    await world.follow()
    await world.server.stop()
    with pytest.raises(AccessUnavailable):
        await world.authorizer.mark(PLANNER, "tools/browse")


async def test_decisions_remembered_before_a_mark_are_forgotten_with_it(world: World) -> None:
    await world.follow()
    before = await world.authorizer.authorize(READ)
    await world.authorizer.mark(PLANNER, "tools/browse")
    after = await world.authorizer.authorize(READ)

    assert (before.untrusted, after.untrusted) == (False, True)


async def test_what_is_known_of_the_call_is_asked_and_remembered_apart(world: World) -> None:
    await world.follow()
    call = PermissionCheck(PLANNER, "tool.call", "tools/mail")
    for question in (call, replace(call, effect="irreversible"), replace(call, untrusted=True)) * 2:
        await world.authorizer.authorize(question)

    assert [(asked.effect, asked.untrusted) for asked in world.access.asked] == [
        ("", False),
        ("irreversible", False),
        ("", True),
    ]


async def test_an_approvable_call_is_let_in_and_told_that_it_needs_an_approval(world: World) -> None:
    await world.follow()
    call = PermissionCheck(PLANNER, "tool.call", "tools/mail")
    world.access.denied["planner", "tool.call", "tools/mail"] = (
        resources_pb2.DECISION_REASON_APPROVAL_REQUIRED
    )
    with pytest.raises(ApprovalRequired):
        await world.authorizer.authorize(call)
    for _ in range(2):
        assert (await world.authorizer.authorize(replace(call, approvable=True))).needs_approval
