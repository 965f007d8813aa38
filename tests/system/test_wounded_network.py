"""A wound between two processes, or a process that stands still, costs its callers a typed error and time."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc
import pytest
import pytest_asyncio

from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from launcher.ports import free_base_port
from tests.fakes.rpc import reason
from tests.system.cluster import Cluster, cluster
from tests.system.proxy import FaultProxy, Wound, fault_proxy
from tests.system.world import Metadata, Stubs, bearer, open_channel

pytestmark = [pytest.mark.torture, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

OFFSETS = {"scheduler": 1, "context": 2, "memory": 3, "storage": 4, "tool": 5, "access": 6}
DEADLINE = 5.0
SLACK = 2.0
"""How much later than its deadline an answer may come. Unit: seconds."""
WOUNDED = 2.5
HEALED_WITHIN = 15.0
AWAY = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)


@dataclass
class Ground:
    """A kernel whose managers are reached through proxies."""

    kernel: Cluster
    proxies: dict[str, FaultProxy]
    stubs: Stubs
    amy: Metadata
    admin: Metadata
    kept: set[str] = field(default_factory=set)
    """Keys of the notes whose writing was acknowledged."""
    number: int = 0

    def calls(self) -> dict[str, Callable[[], Awaitable[object]]]:
        """Return a call for each part of the kernel."""
        return {"note": self._note, "file": self._file, "tool": self._tool, "answer": self._answer}

    async def _note(self) -> None:
        self.number += 1
        key = f"n{self.number}"
        note = memory_pb2.Note(name=f"agents/amy/notes/{key}", content="x")
        request = memory_pb2.PutNoteRequest(note=note, mode=memory_pb2.PUT_MODE_CREATE, request_id=key)
        await self.stubs.memory.PutNote(request, metadata=self.amy, timeout=DEADLINE)
        self.kept.add(key)

    async def _file(self) -> None:
        request = storage_pb2.WriteFileRequest(name="agents/amy/files/f", content=b"x")
        await self.stubs.storage.WriteFile(request, metadata=self.amy, timeout=DEADLINE)

    async def _tool(self) -> None:
        request = tool_pb2.CallToolRequest(tool="tools/calculator", arguments_json='{"expression": "1 + 1"}')
        async for _ in self.stubs.tools.CallTool(request, metadata=self.amy, timeout=DEADLINE):
            pass

    async def _answer(self) -> None:
        request = inference_pb2.GenerateRequest(prompt="hello", max_tokens=4)
        await self.stubs.inference.Generate(request, metadata=self.amy, timeout=DEADLINE)

    async def waiting(self) -> int:
        """Return how many calls of amy's the scheduler holds."""
        request = scheduler_pb2.ListSyscallsRequest(parent="agents/amy")
        answer = await self.stubs.scheduler.ListSyscalls(request, metadata=self.amy, timeout=DEADLINE)
        return len(answer.syscalls)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground() -> AsyncIterator[Ground]:
    base = free_base_port(usual=False)
    async with AsyncExitStack() as stack:
        proxies = {
            name: await stack.enter_async_context(fault_proxy(base + offset))
            for name, offset in OFFSETS.items()
        }
        ways = {f"AIOS_{name.upper()}_ENDPOINT": f"127.0.0.1:{one.port}" for name, one in proxies.items()}
        kernel = await stack.enter_async_context(cluster(base_port=base, extra=ways))
        channel = await stack.enter_async_context(open_channel(kernel.plan.gateway))
        stubs, admin = Stubs(channel), bearer(kernel.admin_token)
        yield Ground(kernel, proxies, stubs, await stubs.register(admin, "amy"), admin)


async def _end_of(call: Callable[[], Awaitable[object]]) -> str:
    """Return how a call ended: its reason, or its code where the gateway was away; "!" first if badly."""
    try:
        await call()
    except grpc.aio.AioRpcError as failure:
        told = reason(failure)
        if told == "INTERNAL" or (not told and failure.code() not in AWAY):
            return f"! {failure.code().name} {failure.details()}"
        return told or failure.code().name
    return "OK"


async def stubborn(ground: Ground, seconds: float, *, spoiled: bool = False) -> Counter[str]:
    """Call everything again and again, and return how the calls ended. None may outlive its deadline.

    Every error has a reason, unless what tells it may be `spoiled` on its way.
    """
    ends = time.monotonic() + seconds
    found: Counter[str] = Counter()

    async def repeat(name: str, call: Callable[[], Awaitable[object]]) -> None:
        while time.monotonic() < ends:
            began = time.monotonic()
            ended = await _end_of(call)
            assert spoiled or not ended.startswith("!"), f"{name}: {ended}"
            found[f"{name} {ended}"] += 1
            assert time.monotonic() - began < DEADLINE + SLACK, f"{name} outlived its deadline"
            await asyncio.sleep(0.1)

    await asyncio.gather(*(repeat(name, call) for name, call in ground.calls().items()))
    return found


async def healed(ground: Ground) -> None:
    """Wait until every call succeeds; nothing that was acknowledged is missing, nothing is left behind."""
    async with asyncio.timeout(HEALED_WITHIN):
        for call in ground.calls().values():
            while True:
                try:
                    await call()
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.2)
        while await ground.waiting():  # noqa: ASYNC110 - another process is asked
            await asyncio.sleep(0.2)
    for key in ground.kept:
        request = memory_pb2.GetNoteRequest(name=f"agents/amy/notes/{key}")
        await ground.stubs.memory.GetNote(request, metadata=ground.amy, timeout=DEADLINE)
    ground.kept.clear()


WOUNDS = [wound for wound in Wound if wound is not Wound.NONE]


@pytest.mark.parametrize("wound", WOUNDS, ids=lambda wound: wound.name.lower())
async def test_no_call_hangs_beside_a_wound_and_all_is_well_once_it_has_healed(
    ground: Ground, wound: Wound
) -> None:
    for proxy in list(ground.proxies.values())[wound.value % 2 :: 2]:  # half of them, in turn
        proxy.hurt(wound)
        try:
            found = await stubborn(ground, WOUNDED, spoiled=wound is Wound.SPOILED)
        finally:
            proxy.hurt(Wound.NONE)
        assert found.total() > 0
        await healed(ground)


@pytest.mark.parametrize("name", ["gateway", "tgi-local", *OFFSETS])
async def test_a_process_that_stands_still_is_waited_for_no_longer_than_a_deadline(
    ground: Ground, name: str
) -> None:
    pid = ground.kernel.supervisor.pids[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        await stubborn(ground, WOUNDED)
    finally:
        os.kill(pid, signal.SIGCONT)
    await healed(ground)

    assert ground.kernel.supervisor.pids[name] == pid, "who stood still for a moment was not killed"
