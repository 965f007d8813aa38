"""Zeros in the hints of a call, through real gateway and scheduler."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import chat, small_kernel
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

AT_ONCE = agent_pb2.SchedulingHints(max_wait=Duration())


async def test_a_call_that_may_not_wait_runs_when_there_is_room() -> None:
    async with small_kernel() as kernel, kernel.inference() as stub:
        answer = await stub.Generate(chat("hi", hints=AT_ONCE), metadata=metadata(), timeout=20)

        assert answer.finished.message.content


async def test_a_call_that_may_not_wait_is_refused_when_every_slot_is_taken() -> None:
    slow = Behaviour(tokens=500, token_delay=0.05, slots=1)
    async with small_kernel(slow) as kernel, kernel.inference() as stub:
        busy = stub.StreamGenerate(
            pb.StreamGenerateRequest(generation=chat("long", max_tokens=500)), metadata=metadata()
        )
        await busy.read()
        await until(lambda: kernel.tgi.seen.running == 1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Generate(chat("hi", hints=AT_ONCE), metadata=metadata("other"), timeout=20)
        busy.cancel()

        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason(refused.value) == "WAIT_EXPIRED"
