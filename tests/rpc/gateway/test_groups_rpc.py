"""Tenants, trees, caps and gangs through real gateway, access and scheduler."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from services.access.service.agents import AgentService, NewAgent
from services.chassis.auth.identity import Caller
from services.chassis.dispatch.scheduling import Caps, Hints
from services.chassis.rpc.status import status_of
from tests.fakes.access_manager import ADMIN, NEW, agent, desk
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import SmallKernel, chat, small_kernel
from tests.fakes.rpc import connected, reason
from tests.fakes.stores.access import MemoryStore
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

BETA_ADMIN = replace(ADMIN, tenant="beta")


@pytest.fixture
async def agents(tmp_path: Path) -> AgentService:
    made = await asyncio.to_thread(desk, MemoryStore(), tmp_path, tenant_weights={"acme": 3})
    return made.manager.agents


async def register(agents: AgentService, name: str, *, by: Caller = ADMIN, **fields: Any) -> None:
    """Register an agent."""
    await agents.register(by, NewAgent(id=name, **fields), NEW)


@asynccontextmanager
async def scheduler_of(
    kernel: SmallKernel,
) -> AsyncIterator["scheduler_pb2_grpc.SchedulerServiceAsyncStub"]:
    """Open a client of the scheduler itself."""
    assert kernel.scheduler is not None
    async with connected(kernel.scheduler) as channel:
        yield scheduler_pb2_grpc.SchedulerServiceStub(channel)


async def queue(kernel: SmallKernel) -> tuple[int, int]:
    """Return how many calls wait and run."""
    async with scheduler_of(kernel) as stub:
        found = await stub.GetQueue(scheduler_pb2.GetQueueRequest(), metadata=metadata("ops", kind="admin"))
    classes = found.classes
    return sum(each.waiting_count for each in classes), sum(each.running_count for each in classes)


async def queued(kernel: SmallKernel, expected: tuple[int, int]) -> None:
    """Wait until so many calls wait and run."""
    async with asyncio.timeout(10):
        while await queue(kernel) != expected:  # noqa: ASYNC110 - the scheduler is asked from outside
            await asyncio.sleep(0.01)


async def served_in_order(agents: AgentService, policy: str, names: list[tuple[str, str]]) -> list[str]:
    """Let calls of these (agent, tenant) queue up behind two others; return the agents as they are served."""
    await register(agents, "first", by=replace(ADMIN, tenant="gamma"))
    served: list[str] = []
    async with (
        small_kernel(
            Behaviour(tokens=4, latency=30, slots=2), access=agents, scheduler={"policy": policy}
        ) as kernel,
        kernel.inference() as stub,
    ):

        async def ask(name: str, tenant: str) -> None:
            await stub.Generate(chat("go", max_tokens=4), metadata=metadata(name, tenant=tenant))
            served.append(name)

        first = [stub.Generate(chat("first"), metadata=metadata("first", tenant="gamma")) for _ in range(2)]
        await until(lambda: kernel.tgi.seen.running == 2)
        kernel.tgi.behaviour.latency = 0.002
        calls = [asyncio.ensure_future(ask(name, tenant)) for name, tenant in names]
        await queued(kernel, (len(names), 2))
        for call in first:
            call.cancel()
        await asyncio.gather(*calls)
    return served


@pytest.mark.parametrize("policy", ["stride", "vtc"])
async def test_tenants_are_served_by_their_weights(agents: AgentService, policy: str) -> None:
    await register(agents, "heavy")
    await register(agents, "light", by=BETA_ADMIN)

    served = await served_in_order(agents, policy, [("heavy", "acme"), ("light", "beta")] * 60)

    assert len(served) == 120
    while_both_wait = Counter(served[8:72])
    assert while_both_wait["heavy"] == pytest.approx(48, abs=4), while_both_wait


async def test_a_tree_weighs_as_much_as_its_root(agents: AgentService) -> None:
    await register(agents, "root")
    await register(agents, "single")
    for number in range(3):
        await register(agents, f"child{number}", by=agent("root"))
    family = [(f"child{number % 3}", "acme") for number in range(60)]

    served = await served_in_order(agents, "stride", [*family, *[("single", "acme")] * 60])

    assert Counter(served[8:88])["single"] == pytest.approx(40, abs=4)


async def test_killing_a_parent_ends_the_waiting_and_running_calls_of_its_tree(agents: AgentService) -> None:
    await register(agents, "root")
    await register(agents, "child", by=agent("root"))
    await register(agents, "grandchild", by=agent("child"))
    await register(agents, "bystander")
    behaviour = Behaviour(tokens=500, token_delay=0.05, slots=2)
    async with small_kernel(behaviour, access=agents) as kernel, kernel.inference() as stub:

        def ask(name: str) -> Any:
            return stub.Generate(chat(f"long work of {name}", max_tokens=500), metadata=metadata(name))

        family = [ask(name) for name in ("child", "grandchild", "root", "child", "grandchild")]
        await queued(kernel, (3, 2))
        bystander = ask("bystander")
        await queued(kernel, (4, 2))

        await agents.kill(ADMIN, "root", "enough")

        async with asyncio.timeout(20):
            ended = await asyncio.gather(*family, return_exceptions=True)
        await queued(kernel, (0, 1))
        assert {reason(error) for error in ended if isinstance(error, grpc.aio.AioRpcError)} == {
            "AGENT_INACTIVE"
        }
        assert all(isinstance(error, grpc.aio.AioRpcError) for error in ended)
        await until(lambda: kernel.tgi.seen.running == 1)
        bystander.cancel()


async def test_a_killed_agent_starts_nothing_more(agents: AgentService) -> None:
    await register(agents, "root")
    async with small_kernel(access=agents) as kernel, kernel.inference() as stub:
        await stub.Generate(chat("hi", max_tokens=2), metadata=metadata("root"))
        await agents.kill(ADMIN, "root", "")

        async with asyncio.timeout(20):
            while True:
                try:
                    await stub.Generate(chat("hi", max_tokens=2), metadata=metadata("root"))
                except grpc.aio.AioRpcError as error:
                    assert reason(error) == "AGENT_INACTIVE"  # noqa: PT017 - the call ends the loop
                    break


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        (
            agent_pb2.SchedulingHints(scheduling_class=agent_pb2.SCHEDULING_CLASS_REALTIME),
            ("scheduling_class", "realtime", "interactive"),
        ),
        (agent_pb2.SchedulingHints(weight=4), ("weight", "4", "3")),
        (agent_pb2.SchedulingHints(priority=-2), ("priority", "-2", "-1")),
        (agent_pb2.SchedulingHints(policy="sjf"), ("policy", "sjf", "edf, fifo")),
        (agent_pb2.SchedulingHints(deadline=Duration(nanos=500_000_000)), ("deadline", "0.5 s", "1 s")),
    ],
)
async def test_a_call_that_asks_for_more_than_its_agents_caps_is_refused(
    agents: AgentService, hints: agent_pb2.SchedulingHints, said: tuple[str, str, str]
) -> None:
    caps = Caps(
        highest_weight=3,
        lowest_priority=-1,
        policies=frozenset({"edf", "fifo"}),
        shortest_deadline=1,
    )
    await register(agents, "root", caps=caps, hints=Hints(weight=2))
    async with small_kernel(access=agents) as kernel, kernel.inference() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Generate(chat("hi", hints=hints), metadata=metadata("root"))

        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert reason(refused.value) == "PERMISSION_DENIED"
        told = info(refused.value)
        assert (told["hint"], told["asked"], told["cap"]) == said
        assert kernel.tgi.seen.finished == 0
        allowed = agent_pb2.SchedulingHints(weight=3, priority=-1, policy="edf", deadline=Duration(seconds=1))
        await stub.Generate(chat("hi", max_tokens=2, hints=allowed), metadata=metadata("root"))


def info(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Return the metadata of an error."""
    found = error_details_pb2.ErrorInfo()
    status = status_of(error)
    assert status is not None
    assert any(detail.Unpack(found) for detail in status.details)
    return dict(found.metadata)


async def test_a_policy_that_nobody_has_is_refused_with_the_known_ones() -> None:
    async with small_kernel() as kernel, kernel.inference() as stub:
        hints = agent_pb2.SchedulingHints(policy="astrology")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Generate(chat("hi", hints=hints), metadata=metadata())

        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason(refused.value) == "UNKNOWN_SCHEDULING_POLICY"
        assert "adaptive" in (refused.value.details() or "")


async def test_a_gang_starts_when_the_last_one_has_come() -> None:
    async with (
        small_kernel(Behaviour(tokens=2, latency=0.1, slots=4)) as kernel,
        kernel.inference() as stub,
    ):
        gang = pb.Gang(id="g1", size=3)
        first = [stub.Generate(chat(f"{n}", max_tokens=2, gang=gang), metadata=metadata()) for n in range(2)]
        await queued(kernel, (2, 0))
        await stub.Generate(chat("alone", max_tokens=2), metadata=metadata())
        assert not any(call.done() for call in first)

        await asyncio.gather(*first, stub.Generate(chat("2", max_tokens=2, gang=gang), metadata=metadata()))
        assert kernel.tgi.seen.most_running == 3


async def test_a_gang_that_gathers_outlives_the_scheduler() -> None:
    async with small_kernel(Behaviour(tokens=2, latency=0.1, slots=4)) as kernel, kernel.inference() as stub:
        gang = pb.Gang(id="g1", size=3)
        first = [stub.Generate(chat(f"{n}", max_tokens=2, gang=gang), metadata=metadata()) for n in range(2)]
        await queued(kernel, (2, 0))
        await kernel.stop("scheduler")
        await kernel.start_scheduler()
        await queued(kernel, (2, 0))

        await asyncio.gather(*first, stub.Generate(chat("2", max_tokens=2, gang=gang), metadata=metadata()))

        assert kernel.tgi.seen.most_running == 3


async def test_a_gang_that_never_fits_is_refused() -> None:
    async with small_kernel(Behaviour(slots=2)) as kernel, kernel.inference() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Generate(chat("x", gang=pb.Gang(id="g", size=3)), metadata=metadata())

        assert reason(refused.value) == "NEVER_FITS"


async def test_policies_change_under_load_and_every_call_finishes_once() -> None:
    behaviour = Behaviour(tokens=12, token_delay=0.002, slots=4)
    policies = ("fifo", "rr", "stride", "vtc", "edf", "mlfq", "las", "sjf", "priority", "adaptive")
    async with (
        small_kernel(behaviour) as kernel,
        kernel.inference() as stub,
        scheduler_of(kernel) as scheduler,
    ):
        calls = [
            asyncio.ensure_future(
                stub.Generate(
                    chat(f"call {n} " + "word " * (n % 7), max_tokens=12, request_id=f"c{n}"),
                    metadata=metadata(f"agent{n % 5}", tenant=f"tenant{n % 2}"),
                )
            )
            for n in range(120)
        ]
        switches = 0
        while not all(call.done() for call in calls):
            name = policies[switches % len(policies)]
            request = scheduler_pb2.SetPolicyRequest(policy=scheduler_pb2.Policy(name=name))
            await scheduler.SetPolicy(request, metadata=metadata("ops", kind="admin"))
            switches += 1
        answers = await asyncio.gather(*calls)

        assert switches > len(policies)
        assert {answer.finished.usage.completion_tokens for answer in answers} == {12}
        assert len({answer.name for answer in answers}) == 120
        assert kernel.tgi.seen.finished == 120
        assert await queue(kernel) == (0, 0)
