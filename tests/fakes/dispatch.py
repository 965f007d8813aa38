"""A scheduler that does what a test says, over the real Dispatch stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from services.chassis.dispatch.client import DispatchClient
from services.chassis.dispatch.scheduling import AgentFacts, CallKey, Hints, Submission
from services.chassis.rpc.client import StaticCredential
from services.chassis.runtime.clock import Clock, SystemClock
from services.chassis.runtime.server import ServerConfig
from tests.fakes.rpc import connected, running
from tests.fakes.tokens import ISSUER_FOR_TESTS
from tests.fakes.waiting import until


class Session:
    """One stream of one process."""

    def __init__(self) -> None:
        self.received: list[pb.DispatchRequest] = []
        self._outbox: asyncio.Queue[pb.DispatchResponse | None] = asyncio.Queue()

    def send(self, **message: Any) -> None:
        """Send one response, such as `grant=pb.Grant(...)`."""
        self._outbox.put_nowait(pb.DispatchResponse(**message))

    def end(self) -> None:
        """End the stream, as a scheduler that goes away does."""
        self._outbox.put_nowait(None)

    def of(self, kind: str) -> list[Any]:
        """Return the bodies of one kind that came in, in order."""
        return [getattr(each, kind) for each in self.received if each.WhichOneof("message") == kind]

    async def until(self, kind: str, count: int = 1) -> list[Any]:
        """Wait until so many messages of a kind came in."""
        await until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    async def sent(self) -> AsyncIterator[pb.DispatchResponse]:
        """Yield what is to be sent."""
        while (message := await self._outbox.get()) is not None:
            yield message


class ScriptedScheduler(scheduler_pb2_grpc.SchedulerServiceServicer):
    """Welcomes every process unless told otherwise; `sessions` holds the streams in order."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.welcoming = True
        self.silent = False
        """Whether a stream is left open without a welcome."""

    async def Dispatch(self, request_iterator: Any, context: Any) -> Any:  # noqa: ARG002, N802 - gRPC's
        """Run one stream."""
        session = Session()
        reader = asyncio.create_task(_read(session, request_iterator))
        self.sessions.append(session)
        try:
            if self.silent:
                await asyncio.Event().wait()
            if self.welcoming:
                yield pb.DispatchResponse(welcome=pb.Welcome(epoch=len(self.sessions)))
                async for message in session.sent():
                    yield message
        finally:
            reader.cancel()

    async def session(self, number: int) -> Session:
        """Wait for the stream of a number, from 0."""
        await until(lambda: len(self.sessions) > number)
        return self.sessions[number]


def scripted() -> ScriptedScheduler:
    """Build one; gRPC's base class would have every method written out."""
    return ScriptedScheduler()  # type: ignore[abstract]  # what a gateway calls


@asynccontextmanager
async def dispatching(
    scheduler: ScriptedScheduler, *, clock: Clock | None = None, port: int = 0
) -> AsyncIterator[DispatchClient]:
    """Run a dispatch client connected to a scripted scheduler."""
    servicer = (
        scheduler_pb2_grpc.add_SchedulerServiceServicer_to_server,
        scheduler,
        scheduler_pb2.DESCRIPTOR,
    )
    config = ServerConfig(port=port, http_port=None, health_port=None)
    async with running(servicer, config=config) as server, connected(server) as channel:
        token = ISSUER_FOR_TESTS.token("gateway", kind="service")
        stub: Any = scheduler_pb2_grpc.SchedulerServiceStub(channel)
        client = DispatchClient(stub, StaticCredential(token).metadata, clock or SystemClock())
        task = asyncio.create_task(client.run())
        try:
            yield client
        finally:
            task.cancel()
            await asyncio.wait({task})


def submission(call: str, *, hints: Hints | None = None, **fields: Any) -> Submission:
    """Build the submission of a call of agent planner of tenant acme."""
    now = SystemClock().monotonic()
    defaults: dict[str, Any] = {
        "key": CallKey("acme", "planner", call),
        "agent": AgentFacts(hints or Hints()),
        "model": "m",
        "prompt_tokens": 10,
        "max_new_tokens": 20,
        "preemptible": True,
        "arrived_at": now,
        "deadline": now + 60,
    }
    return Submission(**(defaults | fields))


def key(call: str) -> pb.CallKey:
    """Name a call of agent planner of tenant acme on the wire."""
    return pb.CallKey(tenant="acme", agent="planner", call=call)


REPLICA = pb.ReplicaState(name="r0", model="m", up=True, slots=2)


async def _read(session: Session, requests: Any) -> None:
    async for request in requests:
        session.received.append(request)
