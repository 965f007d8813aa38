"""What a call leaves behind in the gateway, over many calls and many that were cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import psutil
import pytest
import pytest_asyncio

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.storage.v1 import storage_pb2
from tests.system.cluster import Cluster, cluster
from tests.system.world import METHODS, Metadata, Stubs, bearer, open_channel

pytestmark = [pytest.mark.torture, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

WARM = 3_000
"""Calls before the first look: caches fill, and the allocator takes what it needs."""
CALLS = 6_000
WORKERS = 16
MOST_BYTES = 4_000
"""Resident memory that a call may leave for ever; gRPC itself keeps some 280 of a stream that was cut."""
SETTINGS = {"AIOS_GATEWAY_KEEP_FINISHED_SECONDS": "0.5"}
"""Ended generations are kept for a while on purpose."""


@dataclass
class Ground:
    """A kernel and one agent of it."""

    kernel: Cluster
    channel: grpc.aio.Channel
    stubs: Stubs
    amy: Metadata

    def resident(self) -> dict[str, int]:
        """Return the resident memory of every process. Unit: bytes."""
        return {
            name: psutil.Process(pid).memory_info().rss for name, pid in self.kernel.supervisor.pids.items()
        }

    async def unary(self) -> None:
        """Make a call that answers once."""
        await self.stubs.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/amy"), metadata=self.amy)

    async def cut_read(self) -> None:
        """Begin to read a file, and leave."""
        request = storage_pb2.ReadFileRequest(name="agents/amy/files/f")
        call = self.stubs.storage.ReadFile(request, metadata=self.amy)
        await call.read()
        call.cancel()

    async def cut_generation(self) -> None:
        """Begin a generation, and leave before its first token."""
        path = METHODS["inference.v1.InferenceService/StreamGenerate"].path
        opened: Any = self.channel.unary_stream(path)
        generation = inference_pb2.GenerateRequest(prompt="hello", max_tokens=50)
        request = inference_pb2.StreamGenerateRequest(generation=generation)
        call = opened(request.SerializeToString(), metadata=self.amy)
        await asyncio.sleep(0.002)
        call.cancel()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground() -> AsyncIterator[Ground]:
    async with AsyncExitStack() as stack:
        kernel = await stack.enter_async_context(cluster(extra=SETTINGS))
        channel = await stack.enter_async_context(open_channel(kernel.plan.gateway))
        stubs = Stubs(channel)
        amy = await stubs.register(bearer(kernel.admin_token), "amy")
        written = storage_pb2.WriteFileRequest(name="agents/amy/files/f", content=b"x" * 1_000_000)
        await stubs.storage.WriteFile(written, metadata=amy)
        yield Ground(kernel, channel, stubs, amy)


async def many(call: Callable[[], Awaitable[None]], count: int) -> None:
    """Make a call many times, several at once."""

    async def work() -> None:
        for _ in range(count // WORKERS):
            await call()

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    await asyncio.sleep(1.0)


@pytest.mark.parametrize(("kind", "scale"), [("unary", 1), ("cut_read", 2), ("cut_generation", 2)])
async def test_a_call_leaves_next_to_nothing_behind(ground: Ground, kind: str, scale: int) -> None:
    call = getattr(ground, kind)
    await many(call, WARM // scale)
    before = ground.resident()

    await many(call, CALLS // scale)

    left = {name: (now - before[name]) / (CALLS // scale) for name, now in ground.resident().items()}
    assert max(left.values()) < MOST_BYTES, left
