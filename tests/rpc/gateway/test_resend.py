"""A request sent again under its id is answered: nothing that ends its first attempt ends the second."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from aios.api.inference.v1 import inference_pb2 as pb
from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from tests.fakes.fake_tgi import Behaviour, word
from tests.fakes.kernel import SmallKernel, chat, small_kernel
from tests.fakes.rpc import connected
from tests.fakes.slow_line import slow_line
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

TOKENS, SLOTS, WORKERS = 6, 1, 8
WHOLE = "".join(word(number) for number in range(TOKENS))
LONGEST_GAP = 0.02
LINE = 0.005
"""What a message between gateway and scheduler takes, so that attempts overlap on the way. Unit: seconds."""
MOMENTS = ("sent", "waiting", "granted", "running", "settling")
"""Where the first attempt stands when its caller gives it up."""

Stream = Callable[[], Any]


async def reach(moment: str, stream: Any, rng: random.Random) -> None:
    """Let the first attempt come as far as it should; one that is answered earlier has come further still."""
    if moment in {"sent", "waiting"}:
        await asyncio.sleep(rng.random() * (0.002 if moment == "sent" else 0.02))
        return
    wanted = "admitted" if moment == "granted" else "delta"
    async for response in stream:
        if response.event.WhichOneof("event") == wanted:
            return


async def answer(stream: Any) -> str:
    """Read a stream to its end; returns its text, or why there is none."""
    text = ""
    try:
        async for response in stream:
            text += response.event.delta.text
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return text


async def sent_twice(open_stream: Stream, moment: str, rng: random.Random) -> str:
    """Send a request, give it up at some moment, send it again after a gap; returns the second's answer."""
    first = open_stream()
    await reach(moment, first, rng)
    first.cancel()
    if moment != "settling":
        await asyncio.sleep(rng.choice((0.0, rng.random() * LONGEST_GAP)))
    return await answer(open_stream())


def generation(stub: Any, number: int) -> Stream:
    """Return what opens the stream of one request."""
    request = chat(f"question {number}", max_tokens=TOKENS, request_id=f"r{number}")
    return lambda: stub.StreamGenerate(
        pb.StreamGenerateRequest(generation=request), metadata=metadata(f"a{number % 5}"), timeout=30.0
    )


async def storm(count: int, work: Callable[[int, random.Random], Coroutine[Any, Any, str]]) -> list[str]:
    """Do so many pieces of work, some at a time; returns what came out."""
    numbers = iter(range(count))

    async def worker(seed: int) -> list[str]:
        rng = random.Random(seed)  # noqa: S311 - reproducible
        return [await work(number, rng) for number in numbers]

    found = await asyncio.gather(*(worker(seed) for seed in range(WORKERS)))
    return [each for some in found for each in some]


async def emptied(kernel: SmallKernel) -> None:
    """Wait until nobody holds anything of a call any more."""
    gateway, scheduler = kernel.gateway, kernel.scheduler
    assert gateway is not None
    assert scheduler is not None
    for name in ("aios_inference_running", "aios_dispatch_held"):
        await until(lambda name=name: gateway.registry.get_sample_value(name) == 0)  # type: ignore[misc]
    await until(lambda: kernel.tgi.seen.running == 0)
    async with connected(scheduler) as channel, asyncio.timeout(10):
        stub: Any = scheduler_pb2_grpc.SchedulerServiceStub(channel)
        while True:
            queue = await stub.GetQueue(scheduler_pb2.GetQueueRequest(), metadata=metadata(kind="admin"))
            if not sum(each.waiting_count + each.running_count for each in queue.classes):
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def far_scheduler(behaviour: Behaviour) -> AsyncIterator[SmallKernel]:
    """Run a small kernel whose gateway hears from its scheduler late."""
    async with small_kernel(behaviour) as kernel:
        assert kernel.scheduler is not None
        async with slow_line(kernel.scheduler.port, LINE) as port:
            await kernel.stop("gateway")
            kernel.environ["AIOS_SCHEDULER_ENDPOINT"] = f"127.0.0.1:{port}"
            await kernel.start_gateway()
            await kernel.ready()
            yield kernel
            await kernel.stop("gateway")


async def send_all_twice(count: int) -> None:
    behaviour = Behaviour(tokens=TOKENS, token_delay=0.001, slots=SLOTS)
    async with far_scheduler(behaviour) as kernel, kernel.inference() as stub:

        async def work(number: int, rng: random.Random) -> str:
            return await sent_twice(generation(stub, number), MOMENTS[number % len(MOMENTS)], rng)

        answers = await storm(count, work)

        assert set(answers) == {WHOLE}
        assert len(answers) == count
        await emptied(kernel)


async def test_a_request_sent_again_is_never_ended_by_the_end_of_its_first_attempt() -> None:
    await send_all_twice(60)


@pytest.mark.torture
async def test_a_thousand_requests_sent_again_are_all_answered() -> None:
    await send_all_twice(1000)


@pytest.mark.parametrize("gap", [0.0, 0.001, 0.005, 0.02])
async def test_a_waiting_request_sent_again_takes_its_turn(gap: float) -> None:
    behaviour = Behaviour(tokens=4, slots=1)
    async with far_scheduler(behaviour) as kernel, kernel.inference() as stub:
        for number in range(3):
            behaviour.released = asyncio.Event()
            busy = asyncio.ensure_future(
                stub.Generate(chat("busy", request_id=f"busy{number}"), metadata=metadata())
            )
            await until(lambda: kernel.tgi.seen.running == 1)
            first = stub.Generate(chat("again", request_id=f"c{number}"), metadata=metadata())
            await until(lambda: kernel_held(kernel) == 2)
            first.cancel()
            await asyncio.sleep(gap)
            again = stub.Generate(chat("again", request_id=f"c{number}"), metadata=metadata(), timeout=30.0)
            behaviour.released.set()

            assert (await again).finished.message.content
            await busy
        await emptied(kernel)


def kernel_held(kernel: SmallKernel) -> float:
    """Count the calls of the gateway that wait or run."""
    assert kernel.gateway is not None
    return kernel.gateway.registry.get_sample_value("aios_dispatch_held") or 0.0
