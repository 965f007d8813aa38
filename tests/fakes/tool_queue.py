"""The scheduler's queue for tool calls in this process: the real client and core, no socket between them."""

import asyncio
from typing import Any

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.auth.identity import Caller
from services.chassis.dispatch.client import DispatchClient
from services.chassis.dispatch.scheduling import AgentFacts, Hints
from services.chassis.rpc.client import StaticCredential
from services.chassis.runtime.clock import SystemClock
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.core.settings import CoreSettings
from services.scheduler.model import ResourceKind
from services.scheduler.service.scheduling import SchedulerService
from services.scheduler.wire import dispatch
from services.tool.adapters.scheduler_queue import ScheduledQueue, ScheduledTicket
from services.tool.model import QueueRequest
from tests.fakes.meters import RecordingMeter


class Everybody:
    """A directory in which every agent is scheduled alike."""

    async def facts(self, caller: Caller) -> AgentFacts:
        """Return the facts of a plain agent."""
        return AgentFacts(Hints(), program=caller.agent)


class Stream:
    """One Dispatch stream, as the client sees it."""

    def __init__(self, service: SchedulerService) -> None:
        self._service = service
        self._session: Any = None
        self._welcomed = False

    async def write(self, message: pb.DispatchRequest) -> None:
        """Hand one message to the scheduler."""
        if message.WhichOneof("message") == "hello":
            self._session = self._service.connect(message.hello.gateway, ResourceKind.TOOL)
            return
        events = dispatch.event(message, self._session.gateway, SystemClock().monotonic())
        for event in events if isinstance(events, list) else [events]:
            self._service.report(self._session, event)

    async def read(self) -> object:
        """Wait for one decision; a plain object is the end."""
        if not self._welcomed:
            self._welcomed = True
            return pb.DispatchResponse(welcome=pb.Welcome(epoch=1))
        decision = await self._session.outbox.get()
        return object() if decision is None else dispatch.instruction(decision)

    def cancel(self) -> None:
        """End the stream."""
        self._service.disconnect(self._session)


class LocalQueue:
    """A Queue on a scheduler of its own, which `service` shows; connects at the first call."""

    def __init__(self) -> None:
        core = SchedulerCore(CoreSettings())
        self.service = SchedulerService(core, SystemClock(), RecordingMeter())
        stub: Any = self
        self.client = DispatchClient(stub, StaticCredential("").metadata, SystemClock())
        self._queue = ScheduledQueue(self.client, Everybody(), SystemClock())
        self._running: asyncio.Task[None] | None = None

    def Dispatch(self, **_call: Any) -> Stream:  # noqa: N802 - gRPC's
        """Open a stream."""
        return Stream(self.service)

    async def join(self, needs: QueueRequest) -> ScheduledTicket:
        """Put a call into the queue."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self.client.run())
        return await self._queue.join(needs)

    async def close(self) -> None:
        """Leave the scheduler."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    @property
    def pools(self) -> set[str]:
        """Tools that the scheduler knows."""
        return {each.resource for each in self.service.stats().replicas}
