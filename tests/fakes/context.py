"""A context manager in this process, on any store, and a stub of it over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aios.api.context.v1 import context_pb2, context_pb2_grpc
from services.chassis.authz import Authorizer
from services.chassis.clock import Clock
from services.context.access import CallersAccess
from services.context.config import ContextConfig
from services.context.main import build
from services.context.ports import Store, TokenCounter
from services.context.service.facade import ContextService
from services.context.servicer import ContextServicer
from services.context.store.memory import InMemoryStore
from services.context.tokenizer import NoTokenizer
from tests.fakes.access import AllowOwner
from tests.fakes.clock import FakeClock
from tests.fakes.meters import RecordingMeter
from tests.fakes.rpc import serving


def context_service(
    *,
    config: ContextConfig | None = None,
    store: Store | None = None,
    clock: Clock | None = None,
    meter: RecordingMeter | None = None,
    authorizer: Authorizer | None = None,
    counter: TokenCounter | None = None,
) -> ContextService:
    """Wire a context manager; what is not given is a fake."""
    clock = clock or FakeClock()
    return build(
        config or ContextConfig(),
        store=store or InMemoryStore(clock),
        clock=clock,
        meter=meter or RecordingMeter(),
        access=CallersAccess(authorizer or AllowOwner()),
        counter=counter or NoTokenizer(),
    )


@asynccontextmanager
async def context_stub(
    service: ContextService | None = None, *, authorizer: Authorizer | None = None
) -> AsyncIterator["context_pb2_grpc.ContextServiceAsyncStub"]:
    """Serve a context manager on a free port and yield a stub of it."""
    authorizer = authorizer or AllowOwner()
    servicer = ContextServicer(service or context_service(authorizer=authorizer))
    add = context_pb2_grpc.add_ContextServiceServicer_to_server
    async with serving((add, servicer, context_pb2.DESCRIPTOR), authorizer=authorizer) as channel:
        stub: context_pb2_grpc.ContextServiceAsyncStub = context_pb2_grpc.ContextServiceStub(channel)
        yield stub
