"""A memory manager in this process, on any store, and a stub of it over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from services.chassis.auth.authz_client import Authorizer
from services.chassis.runtime.clock import Clock
from services.memory.config import MemoryConfig
from services.memory.main import build
from services.memory.ports import NoteStore
from services.memory.service.facade import MemoryService
from services.memory.servicer import MemoryServicer
from tests.fakes.clock import FakeClock
from tests.fakes.meters import RecordingMeter
from tests.fakes.rpc import serving
from tests.fakes.stores.memory import InMemoryStore


def memory_service(
    *,
    config: MemoryConfig | None = None,
    store: NoteStore | None = None,
    clock: Clock | None = None,
    meter: RecordingMeter | None = None,
) -> MemoryService:
    """Wire a memory manager; what is not given is a fake."""
    clock = clock or FakeClock()
    return build(
        config or MemoryConfig(),
        store=store or InMemoryStore(clock),
        clock=clock,
        meter=meter or RecordingMeter(),
    )


@asynccontextmanager
async def memory_stub(
    service: MemoryService | None = None, *, authorizer: Authorizer | None = None
) -> AsyncIterator["memory_pb2_grpc.MemoryServiceAsyncStub"]:
    """Serve a memory manager on a free port and yield a stub of it."""
    servicer = MemoryServicer(service or memory_service())
    add = memory_pb2_grpc.add_MemoryServiceServicer_to_server
    async with serving((add, servicer, memory_pb2.DESCRIPTOR), authorizer=authorizer) as channel:
        stub: memory_pb2_grpc.MemoryServiceAsyncStub = memory_pb2_grpc.MemoryServiceStub(channel)
        yield stub
