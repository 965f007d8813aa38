"""Several replicas behind a real gateway and scheduler: affinity, load, death and return, stalls."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc

from aios.api.inference.v1 import inference_pb2 as pb
from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from tests.fakes.fake_tgi import Behaviour, FakeTgi, fake_tgi
from tests.fakes.kernel import SmallKernel, chat, small_kernel
from tests.fakes.rpc import connected
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

TASK = "word " * 2000
"""Long enough that reading it again costs more than any load of these tests."""


async def up(kernel: SmallKernel, count: int) -> None:
    """Wait until the scheduler knows so many replicas that are up."""
    assert kernel.scheduler is not None
    async with connected(kernel.scheduler) as channel:
        stub: Any = scheduler_pb2_grpc.SchedulerServiceStub(channel)
        known = 0
        while known != count:
            told = await stub.GetQueue(
                scheduler_pb2.GetQueueRequest(), metadata=metadata("ada", kind="admin")
            )
            known = sum(each.up for each in told.replicas)


@asynccontextmanager
async def replicas(slots: int = 4, **behaviour: Any) -> AsyncIterator[tuple[SmallKernel, list[FakeTgi], Any]]:
    """Run a kernel with two replicas; gives them and a stub too."""
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(fake_tgi(Behaviour(slots=slots, **behaviour))) for _ in range(2)
        ]
        backends = {
            "AIOS_TGI_ENDPOINTS": ",".join(server.url for server in servers),
            "AIOS_TGI_SLOTS": str(slots),
            "AIOS_TGI_TOKEN_TIMEOUT_SECONDS": "0.3",
        }
        kernel = await stack.enter_async_context(small_kernel(backends=backends))
        await up(kernel, 2)
        yield kernel, servers, await stack.enter_async_context(kernel.inference())


def said(task: str, *more: str) -> pb.GenerateRequest:
    """Build a request with a long first message and answers to what follows."""
    request = chat(f"{task} {TASK}")
    for text in more:
        request.messages.add(role="ROLE_ASSISTANT", content="done")
        request.messages.add(role="ROLE_USER", content=text)
    return request


def ran(servers: list[FakeTgi]) -> list[int]:
    """Return how many generations each replica was asked for."""
    return [len(server.seen.runs) for server in servers]


async def home(servers: list[FakeTgi], stub: Any, request: pb.GenerateRequest, agent: str) -> int:
    """Let an agent make a call; returns the replica it ran on."""
    before = ran(servers)
    await stub.Generate(request, metadata=metadata(agent), timeout=10)
    (found,) = [at for at, count in enumerate(ran(servers)) if count > before[at]]
    return found


async def test_each_agents_steps_go_where_its_prompt_is() -> None:
    async with replicas() as (_, servers, stub):
        homes = {agent: await home(servers, stub, said(agent), agent) for agent in ("ann", "bob")}
        for more in (("next",), ("next", "and"), ("next", "and", "then")):
            for agent in ("bob", "ann"):
                assert await home(servers, stub, said(agent, *more), agent) == homes[agent]

        assert sorted(homes.values()) == [0, 1]


async def test_another_agent_with_the_same_beginning_goes_there_too() -> None:
    """Its helper, or a fork of its context."""
    async with replicas() as (_, servers, stub):
        first = await home(servers, stub, said("shared"), "ann")
        await home(servers, stub, said("other"), "bob")

        assert await home(servers, stub, said("shared", "go on"), "carl") == first


async def test_a_full_replica_is_passed_over() -> None:
    async with replicas(slots=1, tokens=200) as (_, servers, stub):
        place = await home(servers, stub, said("ann"), "ann")
        servers[place].behaviour.token_delay = 0.02
        busy = stub.Generate(said("ann", "slow"), metadata=metadata("ann"), timeout=20)
        await until(lambda: servers[place].seen.running == 1)

        assert await home(servers, stub, said("ann", "quick"), "ann") == 1 - place
        busy.cancel()


async def test_calls_go_on_without_a_dead_replica_and_it_gets_calls_again_after_its_return() -> None:
    async with replicas() as (kernel, servers, stub):
        place = await home(servers, stub, said("ann"), "ann")
        port = servers[place].port
        await servers[place].stop()
        meanwhile = await home(servers, stub, said("ann", "next"), "ann")
        await servers[place].start(port)
        await up(kernel, 2)
        later = {await home(servers, stub, said(f"new{n}"), f"new{n}") for n in range(2)}

        assert meanwhile == 1 - place
        assert place in later


async def test_a_stall_in_the_middle_goes_on_elsewhere_and_repeats_nothing() -> None:
    async with replicas(tokens=40, keep_alive=0.05) as (_, servers, stub):
        whole = (await stub.Generate(said("eve"), metadata=metadata("eve"), timeout=10)).finished
        place = await home(servers, stub, said("ann"), "ann")
        servers[place].behaviour.stall_after = 7
        request = said("ann", "again")
        answer = (await stub.Generate(request, metadata=metadata("ann"), timeout=20)).finished

        assert answer.message.content == whole.message.content
        assert answer.timings.recovery_count == 1
        assert answer.usage.completion_tokens == 40


async def test_a_nonsensical_answer_ends_its_call_after_one_try_and_disturbs_nobody_else() -> None:
    async with replicas(malformed_after=1) as (_, servers, stub):
        call = stub.Generate(chat("hi"), metadata=metadata("ann"), timeout=20)
        code, tries = await call.code(), sum(ran(servers))
        for server in servers:
            server.behaviour.malformed_after = None
        now_or_never = chat("hi")
        now_or_never.hints.max_wait.SetInParent()
        answer = (await stub.Generate(now_or_never, metadata=metadata("bob"), timeout=20)).finished

        assert (code, tries) == (grpc.StatusCode.UNAVAILABLE, 1)
        assert answer.timings.recovery_count == 0
