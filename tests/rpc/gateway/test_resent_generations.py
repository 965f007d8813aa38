"""A request that is sent again while its abandoned run still waits, runs or settles is answered by a run."""

import asyncio
import random
from typing import Any

import grpc
import pytest

from aios.api.inference.v1 import inference_pb2 as pb
from tests.fakes.fake_tgi import Behaviour, word
from tests.fakes.kernel import chat, small_kernel
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

TOKENS = 6
WHOLE = "".join(word(number) for number in range(TOKENS))


async def resent(stub: Any, number: int, leave_after: float, gap: float, *, streams: bool) -> str:
    """Send a request, leave it, send it again; returns the answer to the second one."""
    request = chat("count", request_id=f"r{number}", max_tokens=TOKENS)
    agent = metadata(f"a{number % 4}")
    first = stub.StreamGenerate(pb.StreamGenerateRequest(generation=request), metadata=agent)
    reading = asyncio.create_task(first.read())
    await asyncio.sleep(leave_after)
    first.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await asyncio.sleep(gap)
    if not streams:
        answer = await stub.Generate(request, metadata=agent, timeout=20)
        return str(answer.finished.message.content)
    again = stub.StreamGenerate(pb.StreamGenerateRequest(generation=request), metadata=agent, timeout=20)
    return "".join([event.event.delta.text async for event in again])


@pytest.mark.parametrize("streams", [False, True])
async def test_a_request_sent_again_is_never_answered_with_the_leaving_of_its_first_sender(
    *, streams: bool
) -> None:
    rng = random.Random(7)  # noqa: S311 - no secret
    places = asyncio.Semaphore(8)
    async with (
        small_kernel(Behaviour(tokens=TOKENS, token_delay=0.003, slots=2)) as kernel,
        kernel.inference() as stub,
    ):

        async def one(number: int) -> str:
            async with places:
                leave_after, gap = rng.uniform(0.0, 0.03), rng.uniform(0.0, 0.02)
                return await resent(stub, number, leave_after, gap, streams=streams)

        answers = await asyncio.gather(*(one(number) for number in range(100)), return_exceptions=True)

        assert [each for each in answers if each != WHOLE] == []
        await until(lambda: kernel.tgi.seen.running == 0)


async def test_a_request_sent_again_at_once_while_its_first_run_is_on_the_backend() -> None:
    async with (
        small_kernel(Behaviour(tokens=TOKENS, token_delay=0.02, slots=1)) as kernel,
        kernel.inference() as stub,
    ):
        for number in range(10):
            request = chat("count", request_id=f"r{number}", max_tokens=TOKENS)
            first = stub.StreamGenerate(pb.StreamGenerateRequest(generation=request), metadata=metadata())
            await until(lambda: kernel.tgi.seen.running == 1)
            first.cancel()
            answer = await stub.Generate(request, metadata=metadata(), timeout=20)

            assert answer.finished.message.content == WHOLE
            assert await first.code() is grpc.StatusCode.CANCELLED
