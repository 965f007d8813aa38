"""A stream is authorised for as long as it lives: whatever withdraws its credential or permission ends it.

Every streaming method of the protos is opened, with a real access manager, and through the gateway where that
forwards it. What is asserted is an order: nothing that happened after a withdrawal was acknowledged arrives.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from aios.api.access.v1 import access_pb2, resources_pb2
from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.gateway.v1 import gateway_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.scheduler.v1 import dispatch_pb2, scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from services.access.core.actions import is_grantable
from services.access.service.tokens import Target
from services.chassis.auth.authz_client import Permission, PermissionCheck
from services.chassis.auth.identity import Caller, Kind
from services.chassis.quotas import Cap
from services.chassis.rpc import methods
from services.chassis.rpc.errors import CredentialRevoked
from services.chassis.rpc.live_streams import LiveStream
from services.chassis.rpc.methods import Audience, Method
from tests.fakes.access_manager import NEW
from tests.fakes.rpc import reason
from tests.fakes.ticking import Reading, World, bearer, ticking_kernel
from tests.fakes.waiting import until
from tests.unit.chassis.test_chassis_methods import api_files

STREAMS = {method.label.rpartition("/")[2]: method for method in methods.table(*api_files()).values()
           if method.server_streaming and not method.path.startswith("/aios.api.sandbox.")}  # fmt: skip
"""Every method of the protos that streams its answer, where tokens are known: the sandbox knows none."""

HOW: dict[str, Message] = {
    "WatchAgents": agent_pb2.WatchAgentsRequest(parent="agents/owner"),
    "WatchRevision": access_pb2.WatchRevisionRequest(),
    "WatchApprovals": access_pb2.WatchApprovalsRequest(),
    "Dispatch": dispatch_pb2.DispatchRequest(),
    "WatchSchedule": scheduler_pb2.WatchScheduleRequest(parent="agents/owner"),
    "WatchSyscalls": gateway_pb2.WatchSyscallsRequest(name="agents/owner"),
    "StreamGenerate": inference_pb2.StreamGenerateRequest(),
    "WatchGeneration": inference_pb2.WatchGenerationRequest(name="agents/owner/generations/g"),
    "ReadFile": storage_pb2.ReadFileRequest(name="agents/owner/files/f"),
    "WatchFiles": storage_pb2.WatchFilesRequest(parent="agents/owner/files/d"),
    "CallTool": tool_pb2.CallToolRequest(tool="tools/t"),
    "TakeCalls": tool_pb2.TakeCallsRequest(parent="agents/reader"),
}
"""How each is opened."""

PERMIT = '@id("reader") permit(principal == Agent::"reader", action, resource);'
FORBID = '@id("stop") forbid(principal == Agent::"reader", action, resource);'


def of_agents() -> list[Method]:
    return [method for method in STREAMS.values() if method.audience is Audience.AGENTS]


def of_the_kernel() -> list[Method]:
    return [method for method in STREAMS.values() if method.audience is Audience.KERNEL]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with ticking_kernel(tmp_path, api_files()) as made:
        await made.register("owner")
        yield made


async def put_policy(world: World, name: str, text: str) -> None:
    policy = resources_pb2.Policy(name=f"policies/{name}", text=text)
    await world.access.PutPolicy(access_pb2.PutPolicyRequest(policy=policy), metadata=world.admin)


async def opened(
    world: World, wanted: list[Method], token: str
) -> "list[tuple[Reading, asyncio.Task[None]]]":
    """Open streams and return them once each has delivered something."""
    name = {method.path: name for name, method in STREAMS.items()}
    readings = [world.open(each, HOW[name[each.path]].SerializeToString(), token) for each in wanted]
    tasks = [asyncio.create_task(reading.read()) for reading in readings]
    await until(lambda: all(reading.numbers or reading.error for reading in readings), within=30.0)
    assert [reading.error for reading in readings] == [None] * len(readings)
    return list(zip(readings, tasks, strict=True))


async def assert_all_ended(
    world: World, streams: "list[tuple[Reading, asyncio.Task[None]]]", last: int | None, why: str
) -> None:
    """Assert that the streams have ended for a reason and delivered nothing after number `last`."""
    async with asyncio.timeout(30):
        await asyncio.gather(*(task for _, task in streams))
    for reading, _ in streams:
        assert reading.error is not None, reading.method.label
        assert reason(reading.error) == why, reading.method.label
        if last is not None:
            assert reading.numbers[-1] <= last, reading.method.label
    await until(lambda: not len(world.manager._pipeline.streams))
    await until(lambda: not len(world.gateway._pipeline.streams))


def test_every_streaming_method_of_the_protos_is_opened_here() -> None:
    assert set(HOW) == set(STREAMS)


Withdraw = Callable[[World], Awaitable[object]]


async def kill(world: World) -> object:
    return await world.agents.KillAgent(
        agent_pb2.KillAgentRequest(name="agents/reader"), metadata=world.admin
    )


async def suspend(world: World) -> object:
    return await world.agents.SuspendAgent(
        agent_pb2.SuspendAgentRequest(name="agents/reader"), metadata=world.admin
    )


async def revoke_all(world: World) -> object:
    return await world.access.RevokeToken(
        access_pb2.RevokeTokenRequest(agent="agents/reader", all=True), metadata=world.admin
    )


async def forbid(world: World) -> object:
    await put_policy(world, "stop", FORBID)
    return None


@pytest.mark.parametrize(
    ("withdraw", "why"),
    [
        (kill, "AGENT_INACTIVE"),
        (suspend, "AGENT_INACTIVE"),
        (revoke_all, "CREDENTIAL_REVOKED"),
        (forbid, "PERMISSION_DENIED"),
    ],
    ids=["killed", "suspended", "all tokens revoked", "forbidden"],
)
async def test_every_stream_of_an_agent_ends_before_the_withdrawal_is_acknowledged(
    world: World, withdraw: Withdraw, why: str
) -> None:
    token = await world.register("reader")
    await put_policy(world, "reader", PERMIT)
    streams = await opened(world, of_agents(), token)

    await withdraw(world)
    last = world.ticking.count

    await assert_all_ended(world, streams, last, why)


async def test_a_withdrawal_is_acknowledged_after_the_last_process_has_heard_of_it(world: World) -> None:
    """Not only in most cases: here every process hears late, and delivers until then."""
    token = await world.register("reader")
    await put_policy(world, "reader", PERMIT)
    streams = await opened(world, of_agents(), token)
    for authorizer in world.authorizers:
        authorizer.late = 0.1

    await suspend(world)
    last = world.ticking.count

    await assert_all_ended(world, streams, last, "AGENT_INACTIVE")


async def test_every_stream_ends_when_its_own_token_is_revoked_and_no_other(world: World) -> None:
    token = await world.register("reader")
    await put_policy(world, "reader", PERMIT)
    others = await opened(world, of_agents(), world.token("reader", Kind.AGENT))
    streams = await opened(world, of_agents(), token)

    await world.access.RevokeToken(access_pb2.RevokeTokenRequest(token=token), metadata=bearer(token))
    last = world.ticking.count

    for reading, task in streams:
        await task
        assert reading.error is not None
        assert reason(reading.error) == "CREDENTIAL_REVOKED"
        assert reading.numbers[-1] <= last
    seen = world.ticking.count
    await until(lambda: all(reading.numbers[-1] > seen for reading, _ in others))
    assert all(reading.error is None for reading, _ in others)
    for reading, _ in others:
        reading.call.cancel()
    await asyncio.gather(*(task for _, task in others), return_exceptions=True)


async def test_a_stream_lives_as_long_as_the_callers_own_token_not_as_the_one_for_the_manager(
    world: World,
) -> None:
    token = await world.register("reader")
    await put_policy(world, "reader", PERMIT)
    streams = await opened(world, of_agents(), token)

    world.desk.clock.advance(400)  # tokens for managers live five minutes, the caller's own ten

    for server in (world.manager, world.gateway):
        await server._pipeline.streams.sweep()
    seen = world.ticking.count
    await until(lambda: all(reading.numbers[-1] > seen for reading, _ in streams))
    assert all(reading.error is None for reading, _ in streams)
    for reading, _ in streams:
        reading.call.cancel()
    await asyncio.gather(*(task for _, task in streams), return_exceptions=True)


async def test_every_stream_ends_when_its_token_expires(world: World) -> None:
    token = await world.register("reader")
    await put_policy(world, "reader", PERMIT)
    streams = await opened(world, of_agents(), token)
    services = await opened(world, of_the_kernel(), world.token("gateway", Kind.SERVICE, "kernel"))

    world.desk.clock.advance(606)

    await assert_all_ended(world, streams + services, None, "CREDENTIAL_EXPIRED")


async def test_every_stream_of_a_process_ends_when_its_token_is_revoked(world: World) -> None:
    token = world.token("gateway", Kind.SERVICE, "kernel")
    streams = await opened(world, of_the_kernel(), token)

    own = Caller(agent="gateway", tenant="kernel", kind=Kind.SERVICE, token=token)
    await world.desk.manager.tokens.revoke(own, "agents/gateway", Target(token=token), NEW)
    last = world.ticking.count

    await assert_all_ended(world, streams, last, "CREDENTIAL_REVOKED")


@pytest.mark.parametrize("to_group", [False, True], ids=["to the agent", "to its group"])
async def test_every_stream_that_a_grant_let_in_ends_before_the_grant_has_been_taken_back(
    world: World, *, to_group: bool
) -> None:
    token = await world.register("reader")
    grantee = "agents/reader"
    if to_group:
        grantee = "groups/readers"
        group = resources_pb2.Group(name=grantee)
        await world.access.CreateGroup(access_pb2.CreateGroupRequest(group=group), metadata=world.admin)
        member = access_pb2.AddMemberRequest(group=grantee, member="agents/reader")
        await world.access.AddMember(member, metadata=world.admin)
    shared = [
        method
        for name, method in STREAMS.items()
        if is_grantable(method.permission) and "owner" in str(HOW[name])
    ]
    grants = []
    for method in shared:
        name = method.label.rpartition("/")[2]
        grant = resources_pb2.Grant(
            grantee=grantee, resource=method.resource_of(HOW[name]), actions=[method.permission]
        )
        made = await world.access.CreateGrant(
            access_pb2.CreateGrantRequest(grant=grant), metadata=world.admin
        )
        grants.append(made.grant.name)
    streams = await opened(world, shared, token)

    for name in grants:
        await world.access.RevokeGrant(access_pb2.RevokeGrantRequest(name=name), metadata=world.admin)
    last = world.ticking.count

    assert len(shared) >= 4
    await assert_all_ended(world, streams, last, "PERMISSION_DENIED")


async def test_a_stream_ends_when_the_policy_that_let_it_in_is_deleted_or_its_group_left(
    world: World,
) -> None:
    token = await world.register("reader")
    group = resources_pb2.Group(name="groups/readers")
    await world.access.CreateGroup(access_pb2.CreateGroupRequest(group=group), metadata=world.admin)
    member = access_pb2.AddMemberRequest(group="groups/readers", member="agents/reader")
    await world.access.AddMember(member, metadata=world.admin)
    of_group = '@id("g") permit(principal in Group::"readers", action == Action::"storage.read", resource);'
    await put_policy(world, "g", of_group)
    await put_policy(
        world, "p", '@id("p") permit(principal == Agent::"reader", action == Action::"agent.list", resource);'
    )
    files = await opened(world, [STREAMS["WatchFiles"], STREAMS["ReadFile"]], token)
    agents = await opened(world, [STREAMS["WatchAgents"]], token)

    await world.access.RemoveMember(
        access_pb2.RemoveMemberRequest(group="groups/readers", member="agents/reader"), metadata=world.admin
    )
    left = world.ticking.count
    await world.access.DeletePolicy(access_pb2.DeletePolicyRequest(name="policies/p"), metadata=world.admin)
    deleted = world.ticking.count

    async with asyncio.timeout(30):
        await asyncio.gather(*(task for _, task in files + agents))
    for reading, last in [*((reading, left) for reading, _ in files), (agents[0][0], deleted)]:
        assert reading.error is not None
        assert reason(reading.error) == "PERMISSION_DENIED"
        assert reading.numbers[-1] <= last


async def test_a_stream_ends_when_the_grant_that_let_it_in_runs_out(world: World) -> None:
    token = await world.register("reader")
    grant = resources_pb2.Grant(
        grantee="agents/reader", resource="agents/owner/files/d", actions=["storage.read"]
    )
    grant.expire_time.FromSeconds(int(world.desk.clock.now().timestamp()) + 60)
    await world.access.CreateGrant(access_pb2.CreateGrantRequest(grant=grant), metadata=world.admin)
    streams = await opened(world, [STREAMS["WatchFiles"]], token)

    world.desk.clock.advance(61)

    await assert_all_ended(world, streams, None, "PERMISSION_DENIED")


async def test_streams_whose_permission_stands_go_on_after_every_change(world: World) -> None:
    token = await world.register("reader")
    await world.register("other")
    await put_policy(world, "reader", PERMIT)
    streams = await opened(world, of_agents(), token)

    await put_policy(world, "more", '@id("more") permit(principal is Agent, action, resource);')
    await world.agents.KillAgent(agent_pb2.KillAgentRequest(name="agents/other"), metadata=world.admin)
    await world.register("another")
    seen = world.ticking.count

    await until(lambda: all(reading.numbers[-1] > seen for reading, _ in streams), within=30.0)
    assert all(reading.error is None for reading, _ in streams)
    for reading, _ in streams:
        reading.call.cancel()
    await asyncio.gather(*(task for _, task in streams), return_exceptions=True)
    await until(lambda: world.ticking.left == len(streams))


async def test_the_agents_of_a_killed_parent_lose_their_streams_too(world: World) -> None:
    await world.register("parent")
    made = await world.agents.RegisterAgent(
        agent_pb2.RegisterAgentRequest(agent_id="child", parent="agents/parent"), metadata=world.admin
    )
    streams = await opened(world, [STREAMS["StreamGenerate"]], made.credential.token)

    await world.agents.KillAgent(agent_pb2.KillAgentRequest(name="agents/parent"), metadata=world.admin)
    last = world.ticking.count

    await assert_all_ended(world, streams, last, "AGENT_INACTIVE")


async def test_a_withdrawn_stream_is_counted_by_its_reason(world: World) -> None:
    token = await world.register("reader")
    streams = await opened(world, [STREAMS["StreamGenerate"]], token)

    await suspend(world)
    await assert_all_ended(world, streams, None, "AGENT_INACTIVE")

    labels = {"reason": "AGENT_INACTIVE"}
    assert world.manager.registry.get_sample_value("aios_streams_withdrawn_total", labels) == 1.0


async def test_a_stream_that_is_being_let_in_while_its_permission_goes_delivers_nothing(world: World) -> None:
    """The permission is asked for, then withdrawn, and only then the answer arrives."""
    token = await world.register("reader")
    await put_policy(world, "reader", PERMIT)
    authorizer = world.authorizers[0]
    asked, go_on = asyncio.Event(), asyncio.Event()
    real = authorizer.authorize

    async def slow(question: PermissionCheck) -> Permission:
        answer = await real(question)
        asked.set()
        await go_on.wait()
        return answer

    world.manager._pipeline.authorizer.authorize = slow  # type: ignore[method-assign]
    method = STREAMS["WatchGeneration"]
    reading = world.open(method, HOW["WatchGeneration"].SerializeToString(), token)
    task = asyncio.create_task(reading.read())
    await asyncio.wait_for(asked.wait(), 30)

    await suspend(world)
    go_on.set()

    await asyncio.wait_for(task, 30)
    assert reading.error is not None
    assert reason(reading.error) == "AGENT_INACTIVE"
    assert reading.numbers == []


async def test_streams_end_when_the_access_manager_is_not_heard_and_cannot_be_asked(world: World) -> None:
    token = await world.register("reader")
    await put_policy(world, "reader", PERMIT)
    streams = await opened(world, of_agents(), token)

    await world.access_server.stop(grace=0)
    world.desk.clock.advance(7)  # three heartbeats, and longer than an answer is remembered
    await until(lambda: all(stream.doubted_at is not None for stream in standing(world)))
    silent = world.ticking.count
    world.desk.clock.advance(6)

    await assert_all_ended(world, streams, silent, "ACCESS_UNAVAILABLE")


def standing(world: World) -> list[LiveStream]:
    """Return the agents' streams at the manager and at the gateway."""
    both = (world.manager._pipeline.streams, world.gateway._pipeline.streams)
    return [stream for streams in both for stream in streams._streams if stream.question is not None]


async def test_streams_with_the_same_question_ask_it_once_and_those_not_concerned_ask_nothing(
    world: World,
) -> None:
    reader, bystander = await world.register("reader"), await world.register("bystander")
    await opened(world, [STREAMS["StreamGenerate"]] * 5, reader)
    await opened(world, [STREAMS["StreamGenerate"]] * 5, bystander)
    decided = world.desk.meter.counts
    before = decided["decided permitted"]

    await world.agents.UpdateAgent(
        agent_pb2.UpdateAgentRequest(
            agent=agent_pb2.Agent(name="agents/reader", kind="writer"), update_mask=FieldMask(paths=["kind"])
        ),
        metadata=world.admin,
    )
    await until(lambda: all(stream.doubted_at is None for stream in standing(world)))

    # The administrator's own call, and one question of the manager: the gateway has no stream here.
    assert decided["decided permitted"] - before == 2
    for stream in standing(world):
        stream.end(CredentialRevoked("the test is over"))


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[World]:
    async with ticking_kernel(tmp_path, api_files(), watches=Cap(3, 3, 9)) as made:
        yield made


async def test_an_agent_has_a_limited_number_of_watches_and_others_have_theirs(narrow: World) -> None:
    token, other = await narrow.register("reader"), await narrow.register("other")
    watch = STREAMS["TakeCalls"]
    request = tool_pb2.TakeCallsRequest(parent="agents/me").SerializeToString()
    held = [narrow.open(watch, request, token) for _ in range(3)]
    tasks = [asyncio.create_task(reading.read()) for reading in held]
    await until(lambda: all(reading.numbers for reading in held))

    refused = narrow.open(watch, request, token)
    await asyncio.wait_for(refused.read(), 30)
    others = narrow.open(watch, request, other)
    tasks.append(asyncio.create_task(others.read()))
    await until(lambda: bool(others.numbers))

    assert refused.error is not None
    assert refused.error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(refused.error) == "TOO_MANY_CALLS"
    held[0].call.cancel()
    await until(lambda: len(narrow.manager._pipeline.streams) == 3)
    again = narrow.open(watch, request, token)
    tasks.append(asyncio.create_task(again.read()))
    await until(lambda: bool(again.numbers or again.error))
    assert again.error is None
    for reading in [*held, others, again]:
        reading.call.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_access_managers_own_watches_end_too(world: World) -> None:
    token = await world.register("reader")
    agents: agent_pb2_grpc.AgentServiceAsyncStub = world.agents
    watch = agents.WatchAgents(agent_pb2.WatchAgentsRequest(parent="agents/me"), metadata=bearer(token))
    await watch.initial_metadata()
    approvals = world.access.WatchApprovals(access_pb2.WatchApprovalsRequest(), metadata=bearer(token))
    await approvals.initial_metadata()

    await suspend(world)

    for call in (watch, approvals):
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            async for _ in call:
                pass
        assert reason(ended.value) == "AGENT_INACTIVE"


async def test_a_withdrawal_waits_for_a_watcher_to_confirm(world: World) -> None:
    await world.register("reader")
    service = bearer(world.token("tool", Kind.SERVICE, "kernel"))
    watch = world.access.WatchRevision(access_pb2.WatchRevisionRequest(watcher="w"), metadata=service)
    first = await watch.read()
    assert isinstance(first, access_pb2.WatchRevisionResponse)
    confirm = access_pb2.ConfirmRevisionRequest(watcher="w", revision=first.revision)
    await world.access.ConfirmRevision(confirm, metadata=service)

    withdrawal = asyncio.create_task(suspend(world))
    news = await watch.read()
    assert isinstance(news, access_pb2.WatchRevisionResponse)
    await world.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/reader"), metadata=world.admin)
    waited = not withdrawal.done()
    confirm.revision = news.revision
    await world.access.ConfirmRevision(confirm, metadata=service)
    await asyncio.wait_for(withdrawal, 20)
    watch.cancel()

    assert waited
    assert news.complete
    assert [(change.tenant, list(change.agents)) for change in news.changes] == [("acme", ["agents/reader"])]
