"""Many calls at once, cancelled at random: nothing stays behind in gateway, scheduler or backend."""

import asyncio
import random
from typing import Any

import grpc
import pytest

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from services.chassis.runtime.server import ChassisServer
from tests.fakes.fake_tgi import Behaviour, word
from tests.fakes.kernel import SmallKernel, chat, small_kernel
from tests.fakes.rpc import connected, reason
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

CALLS, DIFFERENT, TOKENS, SLOTS = 120, 80, 40, 4
CLASSES = agent_pb2.SchedulingClass.values()
WHOLE = "".join(word(number) for number in range(TOKENS))


class Caller:
    """One call and what its caller saw of it."""

    def __init__(self, stub: Any, number: int, rng: random.Random) -> None:
        self.text = ""
        self.error: grpc.aio.AioRpcError | None = None
        self.finished = False
        twin = number % DIFFERENT
        request: Any = chat(f"question {twin}", max_tokens=TOKENS, request_id=f"g{twin}")
        request.hints.scheduling_class = CLASSES[twin % len(CLASSES)]
        self.call = stub.StreamGenerate(
            pb.StreamGenerateRequest(generation=request),
            metadata=metadata(f"a{twin % 7}"),
            timeout=rng.choice([30.0, 30.0, 0.2]),
        )

    async def follow(self) -> None:
        """Read to the end, whatever it is."""
        try:
            async for response in self.call:
                self.text += response.event.delta.text
                self.finished = response.event.HasField("finished")
        except grpc.aio.AioRpcError as error:
            self.error = error
        except asyncio.CancelledError:
            if not self.call.cancelled():
                raise


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kv_snapshot", [True, False])
async def test_a_storm_of_cancelled_calls_leaves_nothing_behind(seed: int, *, kv_snapshot: bool) -> None:
    rng = random.Random(seed)  # noqa: S311 - reproducible
    behaviour = Behaviour(tokens=TOKENS, token_delay=0.002, slots=SLOTS, kv_snapshot=kv_snapshot)
    turns = {"policy": "rr", "quantum_tokens": "4"}
    async with small_kernel(behaviour, scheduler=turns) as kernel, kernel.inference() as stub:
        callers = []
        for number in range(CALLS):
            callers.append(Caller(stub, number, rng))
            if rng.random() < 0.3:
                rng.choice(callers).call.cancel()
            if rng.random() < 0.2:
                await asyncio.sleep(rng.random() * 0.01)
        following = [asyncio.create_task(caller.follow()) for caller in callers]
        for _ in range(30):
            await asyncio.sleep(0.005)
            rng.choice(callers).call.cancel()
        await asyncio.gather(*following)

        for caller in callers:
            assert WHOLE.startswith(caller.text)
            # One that is cancelled between its last token and its end has all of the text, too.
            assert not caller.finished or caller.text == WHOLE
            assert caller.finished or caller.call.cancelled() or _expected(caller.error)
        assert any(caller.finished for caller in callers)
        assert kernel.tgi.seen.most_running <= SLOTS
        assert _preempted(kernel)
        await _empty(kernel)


def _expected(error: grpc.aio.AioRpcError | None) -> bool:
    """Tell whether a call ended with its deadline, or with its generation."""
    assert error is not None
    return error.code() is grpc.StatusCode.DEADLINE_EXCEEDED or reason(error) == "CANCELLED"


def _preempted(kernel: SmallKernel) -> float:
    """Return how often the gateway gave a slot back early."""
    assert kernel.gateway is not None
    registry, name = kernel.gateway.registry, "aios_inference_suspensions_total"
    return registry.get_sample_value(name, {"reason": "preempted"}) or 0.0


async def _empty(kernel: SmallKernel) -> None:
    """Wait until nobody holds anything."""
    gateway, scheduler = kernel.gateway, kernel.scheduler
    assert gateway is not None
    assert scheduler is not None
    for name in ("aios_inference_running", "aios_dispatch_held"):
        await until(lambda name=name: gateway.registry.get_sample_value(name) == 0)  # type: ignore[misc]
    await until(lambda: kernel.tgi.seen.running == 0)
    in_flight = "aios_rpc_in_flight"
    label = {"method": "aios.api.inference.v1.InferenceService/StreamGenerate"}
    await until(lambda: gateway.registry.get_sample_value(in_flight, label) == 0)
    async with asyncio.timeout(10):
        while await _queued(scheduler) != (0, 0):  # noqa: ASYNC110 - another process would be asked so too
            await asyncio.sleep(0.01)


async def _queued(scheduler: ChassisServer) -> tuple[int, int]:
    """Return how many calls wait and run in the scheduler."""
    async with connected(scheduler) as channel:
        stub: Any = scheduler_pb2_grpc.SchedulerServiceStub(channel)
        queue = await stub.GetQueue(scheduler_pb2.GetQueueRequest(), metadata=metadata(kind="admin"))
    waiting = sum(each.waiting_count for each in queue.classes)
    return waiting, sum(each.running_count for each in queue.classes)
