"""Notes and files behave like registers whatever happens to the process that keeps them."""

import asyncio
import itertools
import math
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import storage_pb2
from tests.fakes.rpc import reason
from tests.system.cluster import Cluster, cluster
from tests.system.linear import Does, Operation, linearizable
from tests.system.world import Metadata, Stubs, bearer, open_channel

pytestmark = [pytest.mark.torture, pytest.mark.timeout(240)]

CLIENTS = 8
SECONDS = 20.0
PATIENCE = 3.0
LONGEST = 30.0
MOST = 160
"""Operations on one register, so that the check ends soon."""
REFUSED = ("ETAG_MISMATCH", "NOTE_NOT_FOUND", "FILE_NOT_FOUND", "NOT_FOUND", "PATH_NOT_FOUND")


class NotThere(Exception):
    """The register is empty, or does not hold what was expected."""


@dataclass
class Notes:
    """A note as a register."""

    stubs: Stubs
    metadata: Metadata
    name: str

    async def put(self, request_id: str, value: str, etag: str = "") -> None:
        note = memory_pb2.Note(name=self.name, content=value, etag=etag)
        mode = memory_pb2.PUT_MODE_REPLACE if etag else memory_pb2.PUT_MODE_UNSPECIFIED
        request = memory_pb2.PutNoteRequest(note=note, mode=mode, request_id=request_id)
        await self.stubs.memory.PutNote(request, metadata=self.metadata, timeout=PATIENCE)

    async def get(self) -> tuple[str, str]:
        request = memory_pb2.GetNoteRequest(name=self.name)
        note = (await self.stubs.memory.GetNote(request, metadata=self.metadata, timeout=PATIENCE)).note
        return note.content, note.etag

    async def delete(self, request_id: str) -> None:
        request = memory_pb2.DeleteNoteRequest(name=self.name, request_id=request_id)
        await self.stubs.memory.DeleteNote(request, metadata=self.metadata, timeout=PATIENCE)


@dataclass
class Files:
    """A file as a register."""

    stubs: Stubs
    metadata: Metadata
    name: str

    async def put(self, request_id: str, value: str, etag: str = "") -> None:
        mode = storage_pb2.WRITE_MODE_REPLACE if etag else storage_pb2.WRITE_MODE_UNSPECIFIED
        request = storage_pb2.WriteFileRequest(
            name=self.name, content=value.encode(), etag=etag, mode=mode, request_id=request_id
        )
        await self.stubs.storage.WriteFile(request, metadata=self.metadata, timeout=PATIENCE)

    async def get(self) -> tuple[str, str]:
        request = storage_pb2.ReadFileRequest(name=self.name)
        content, etag = b"", ""
        async for event in self.stubs.storage.ReadFile(request, metadata=self.metadata, timeout=PATIENCE):
            content += event.data
            etag = event.file.etag or etag
        return content.decode(), etag

    async def delete(self, request_id: str) -> None:
        request = storage_pb2.DeleteFileRequest(name=self.name, request_id=request_id)
        await self.stubs.storage.DeleteFile(request, metadata=self.metadata, timeout=PATIENCE)


@dataclass
class Client:
    """One of those that use a register at the same time."""

    register: Any
    number: int
    history: list[Operation] = field(default_factory=list)
    _values: Any = field(default_factory=itertools.count)

    async def work(self, until: float, history: list[Operation]) -> None:
        """Do operation after operation."""
        rng = random.Random(self.number)  # noqa: S311 - not secret
        known: tuple[str, str] | None = None
        while time.monotonic() < until and len(history) < MOST:
            value = f"{self.number}-{next(self._values)}"
            kind = rng.random()
            if kind < 0.4:
                known = await self._get(history) or known
            elif kind < 0.6 and known is not None:
                await self._do(
                    history, Operation(Does.SWAP, 0, 0, value, known[0]), self.register.put, value, known[1]
                )
                known = None
            elif kind < 0.9:
                await self._do(history, Operation(Does.PUT, 0, 0, value), self.register.put, value)
            else:
                await self._do(history, Operation(Does.DELETE, 0, 0), self.register.delete)
            await asyncio.sleep(rng.random() * 0.5)

    async def _get(self, history: list[Operation]) -> tuple[str, str] | None:
        began = time.monotonic()
        try:
            value, etag = await self.register.get()
        except grpc.aio.AioRpcError as failure:
            if reason(failure) in REFUSED:
                history.append(Operation(Does.GET, began, time.monotonic(), None))
            return None
        history.append(Operation(Does.GET, began, time.monotonic(), value))
        return value, etag

    async def _do(
        self, history: list[Operation], what: Operation, call: Callable[..., Awaitable[None]], *given: str
    ) -> None:
        """Change the register, with the same `request_id` until it is known how that ended."""
        began, ended, worked = time.monotonic(), math.inf, True
        request_id = f"c{self.number}-{next(self._values)}"
        while ended == math.inf and time.monotonic() < began + LONGEST:
            try:
                await call(request_id, *given)
                ended = time.monotonic()
            except grpc.aio.AioRpcError as failure:
                if reason(failure) in REFUSED:
                    ended, worked = time.monotonic(), False
                await asyncio.sleep(0.1)
        history.append(Operation(what.does, began, ended, what.value, what.expected, worked))


async def hurt(kernel: Cluster, name: str, until: float) -> int:
    """Kill and stop a process in turn until it is enough, and return how often."""
    times = 0
    while time.monotonic() < until - 4:
        await asyncio.sleep(1.5)
        times += 1
        if times % 2:
            kernel.kill(name)
            await kernel.restarted(name)
        else:
            pid = kernel.supervisor.pids[name]
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(2.0)
            os.kill(pid, signal.SIGCONT)
    return times


@pytest.mark.parametrize(
    ("service", "kind", "folder"), [("memory", Notes, "notes"), ("storage", Files, "files")]
)
async def test_every_answer_fits_one_order_of_events(service: str, kind: Any, folder: str) -> None:
    async with AsyncExitStack() as stack:
        kernel = await stack.enter_async_context(cluster())
        channels = [
            await stack.enter_async_context(open_channel(kernel.plan.gateway)) for _ in range(CLIENTS)
        ]
        amy = await Stubs(channels[0]).register(bearer(kernel.admin_token), "amy")
        registers = [f"agents/amy/{folder}/r{n}" for n in range(2)]
        histories: dict[str, list[Operation]] = {name: [] for name in registers}
        until = time.monotonic() + SECONDS
        working = [
            Client(kind(Stubs(channel), amy, name), number * 10 + index).work(until, histories[name])
            for number, channel in enumerate(channels)
            for index, name in enumerate(registers)
        ]
        hurts, *_ = await asyncio.gather(hurt(kernel, service, until), *working)

    assert hurts is not None
    assert hurts >= 3
    for name, history in histories.items():
        assert not any(one.unknown for one in history), "a change that was sent again was never answered"
        assert len(history) > 60, f"{name}: {len(history)} answers are too few to tell anything"
        assert linearizable(history), "\n".join(map(str, sorted(history, key=lambda one: one.began)))
