"""A tool manager on a clock that stands still, and processes that provide its tool `job`."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from aios.api.tool.v1 import resources_pb2, tool_pb2
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.clock import FakeClock
from tests.fakes.rpc import reason
from tests.fakes.tool import FakeApprovals, tool_service, tool_stub

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

WORKER = tokens.metadata("worker")
PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
LEASE = 30
EFFECTS = {"pure": resources_pb2.TOOL_EFFECT_PURE, "reversible": resources_pb2.TOOL_EFFECT_REVERSIBLE}


class Station:
    """One provider process, driven by a test."""

    def __init__(self, stub: ToolServiceAsyncStub, capacity: int, instance: str) -> None:
        self.stub = stub
        request = tool_pb2.TakeCallsRequest(
            parent="agents/me", tools=["tools/job"], capacity=capacity, instance=instance
        )
        self.stream = stub.TakeCalls(request, metadata=WORKER)
        self._events = aiter(self.stream)

    async def next(self) -> tool_pb2.TakeCallsResponse:
        """Return the next event."""
        async with asyncio.timeout(10):
            return await anext(self._events)

    async def take(self) -> tool_pb2.TakenCall:
        """Return the next call."""
        event = await self.next()
        assert event.WhichOneof("event") == "call", event
        return event.call

    async def complete(self, call: tool_pb2.TakenCall, value: Any = 1, who: Any = WORKER) -> int:
        """End a call with a result."""
        result = resources_pb2.CallResult(value_json=json.dumps(value))
        request = tool_pb2.CompleteCallRequest(call=call.call, lease_id=call.lease_id, result=result)
        return (await self.stub.CompleteCall(request, metadata=who)).state

    async def beat(self, call: tool_pb2.TakenCall, progress: tool_pb2.CallProgress | None = None) -> Any:
        """Show a sign of life."""
        request = tool_pb2.ReportCallProgressRequest(
            call=call.call, lease_id=call.lease_id, progress=progress
        )
        return await self.stub.ReportCallProgress(request, metadata=WORKER)


class World:
    """A tool manager on a clock that stands still, and a tool `job` that belongs to the worker."""

    def __init__(
        self,
        stub: ToolServiceAsyncStub,
        clock: FakeClock,
        service: Any,
        access: AllowOwner,
        approvals: FakeApprovals,
    ) -> None:
        self.stub = stub
        self.approvals = approvals
        self.access = access
        self.clock = clock
        self.service = service

    async def register(
        self,
        effect: str = "reversible",
        who: Any = WORKER,
        schema: str = '{"type": "object"}',
        **fields: Any,
    ) -> None:
        """Register the tool, or change it."""
        job = resources_pb2.Tool(
            name="tools/job",
            description="A job.",
            effect=EFFECTS[effect],
            provider=resources_pb2.ProviderDriver(lease=Duration(seconds=LEASE)),
            parameters_schema_json=schema,
            **fields,
        )
        await self.stub.RegisterTool(tool_pb2.RegisterToolRequest(tool=job), metadata=who)

    async def stream(self, capacity: int = 1, instance: str = "w1") -> Station:
        """Connect a provider."""
        stream = Station(self.stub, capacity, instance)
        assert (await stream.next()).WhichOneof("event") == "heartbeat"
        return stream

    def call(self, who: Any = PLANNER, **fields: Any) -> asyncio.Task[list[tool_pb2.CallToolResponse]]:
        """Call the tool in the background."""

        async def events() -> list[tool_pb2.CallToolResponse]:
            stream = self.stub.CallTool(tool_pb2.CallToolRequest(tool="tools/job", **fields), metadata=who)
            try:
                return [event async for event in stream]
            finally:
                stream.cancel()

        return asyncio.create_task(events())

    async def failure(self, call: asyncio.Task[list[tool_pb2.CallToolResponse]]) -> str:
        """Return the reason a call failed for."""
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call
        return reason(failure.value)

    async def lose_leases(self) -> None:
        """Let all leases run out."""
        self.clock.advance(LEASE + 1)
        await self.service.leases.expire()


@asynccontextmanager
async def tool_with_providers(access: AllowOwner | None = None) -> AsyncIterator[World]:
    """Serve a tool manager over a socket; `access` decides."""
    access, clock = access or AllowOwner(), FakeClock()
    approvals = FakeApprovals()
    service = tool_service(clock=clock, authorizer=access, approvals=approvals)
    async with tool_stub(service, authorizer=access) as stub:
        yield World(stub, clock, service, access, approvals)
