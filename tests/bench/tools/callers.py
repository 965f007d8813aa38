"""Agents that call tools by the generated stubs: what a call costs is the kernel's, not the SDK's."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.tool.v1 import resources_pb2, tool_pb2, tool_pb2_grpc
from tests.bench.overhead.load import percentile

CALL_SECONDS = 120.0
AT_ONCE = 64
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


class Unmeasured(Exception):
    """A way of running tools that this kernel or machine has not. The message says why."""


@dataclass(frozen=True, slots=True)
class Called:
    """One call. Unit: seconds."""

    took: float
    waited: float


class Callers:
    """Agents of one kernel, and its administrator."""

    def __init__(self, endpoint: str, admin_token: str) -> None:
        self._channel = grpc.aio.insecure_channel(endpoint)
        self._tools: tool_pb2_grpc.ToolServiceAsyncStub = tool_pb2_grpc.ToolServiceStub(self._channel)
        self._agents: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(self._channel)
        self._admin = (("authorization", f"Bearer {admin_token}"),)
        self.metadata: list[tuple[tuple[str, str], ...]] = []

    async def register(self, count: int) -> None:
        """Register agents."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                answer = await self._agents.RegisterAgent(
                    agent_pb2.RegisterAgentRequest(), metadata=self._admin, timeout=60
                )
            self.metadata.append((("authorization", f"Bearer {answer.credential.token}"),))

        await asyncio.gather(*(one() for _ in range(count)))

    async def offer(self, name: str, **driver: Any) -> str:
        """Register a tool with one driver; returns its name. Raises Unmeasured where there is none."""
        tool = resources_pb2.Tool(
            name=f"tools/{name}",
            description="It says a text again.",
            parameters_schema_json=json.dumps(TEXT),
            effect=resources_pb2.TOOL_EFFECT_IDEMPOTENT,
            **driver,
        )
        request = tool_pb2.RegisterToolRequest(tool=tool)
        try:
            return (await self._tools.RegisterTool(request, metadata=self._admin, timeout=60)).tool.name
        except grpc.aio.AioRpcError as failure:
            raise Unmeasured(f"{name}: {failure.details()}") from failure

    async def connect(self, server: resources_pb2.McpServer) -> str:
        """Add an MCP server; returns the name of its one tool. Raises Unmeasured."""
        request = tool_pb2.AddMcpServerRequest(server=server)
        try:
            added = (await self._tools.AddMcpServer(request, metadata=self._admin, timeout=60)).server
        except grpc.aio.AioRpcError as failure:
            raise Unmeasured(f"mcp: {failure.details()}") from failure
        if not added.tools:
            raise Unmeasured(f"mcp: {added.problem}")
        return added.tools[0]

    async def call(self, tool: str, arguments: dict[str, str], *, agent: int = 0) -> Called:
        """Call a tool once. Raises Unmeasured when it cannot be run here."""
        request = tool_pb2.CallToolRequest(tool=tool, arguments_json=json.dumps(arguments))
        began, waited = time.perf_counter(), 0.0
        try:
            async for event in self._tools.CallTool(
                request, metadata=self.metadata[agent], timeout=CALL_SECONDS
            ):
                if event.HasField("started"):
                    waited = event.started.wait.ToNanoseconds() / 1e9
        except grpc.aio.AioRpcError as failure:
            raise Unmeasured(f"{tool}: {failure.details()}") from failure
        return Called(time.perf_counter() - began, waited)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


async def times_of(call: Callable[[], Awaitable[Any]], calls: int, *, pause: float = 0.0) -> list[float]:
    """Time calls one at a time, the first ones left out; `pause` seconds lie between two."""
    times = []
    for number in range(calls + 5):
        began = time.perf_counter()
        await call()
        if number >= 5:
            times.append(time.perf_counter() - began)
        if pause:
            await asyncio.sleep(pause)
    return times


def summary(times: Sequence[float]) -> dict[str, float]:
    """Return the figures of a row. Unit: milliseconds."""
    return {
        "fastest_ms": min(times) * 1e3,
        "p50_ms": percentile(times, 0.5) * 1e3,
        "p99_ms": percentile(times, 0.99) * 1e3,
    }


def jain(values: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 when all have the same, 1/n when one has it all."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0
