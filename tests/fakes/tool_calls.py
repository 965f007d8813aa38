"""A tool manager with functions that a test scripts, and calls of them over a socket."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.rpc.errors import PermissionDenied
from services.chassis.runtime.clock import SystemClock
from services.tool.config import ToolConfig
from tests.fakes import tokens
from tests.fakes.rpc import reason
from tests.fakes.stores.tool import InMemoryStore
from tests.fakes.tool import FakeApprovals, Gate, ScriptedBuiltins, tool_service, tool_stub

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
ADMIN = tokens.metadata("root", kind="admin")
EFFECTS = {
    "pure": resources_pb2.TOOL_EFFECT_PURE,
    "idempotent": resources_pb2.TOOL_EFFECT_IDEMPOTENT,
    "reversible": resources_pb2.TOOL_EFFECT_REVERSIBLE,
    "irreversible": resources_pb2.TOOL_EFFECT_IRREVERSIBLE,
}


async def crash(_arguments: Mapping[str, Any]) -> Any:
    raise RuntimeError("a secret of the tool")


async def refuse(_arguments: Mapping[str, Any]) -> Any:
    raise PermissionDenied("not yours")


async def nothing_json(_arguments: Mapping[str, Any]) -> Any:
    return {"result": float("nan")}


class World:
    """A tool manager with scripted functions `slow`, `crash`, `refuse` and `junk`, and a stub of it."""

    def __init__(self, config: ToolConfig | None = None) -> None:
        self.gate = Gate()
        self.builtins = ScriptedBuiltins(
            SystemClock(), slow=self.gate, crash=crash, refuse=refuse, junk=nothing_json
        )
        self.store = InMemoryStore()
        self.approvals = FakeApprovals()
        self.config = config or ToolConfig(look_at_approvals_every=timedelta(milliseconds=2))
        self.service = self.booted()
        self.stub: ToolServiceAsyncStub

    def booted(self) -> Any:
        """Wire a manager on this world's store, as a new process would."""
        return tool_service(
            config=self.config,
            store=self.store,
            builtins=self.builtins,
            clock=SystemClock(),
            approvals=self.approvals,
        )

    async def register(self, name: str, function: str, effect: str = "reversible", **fields: Any) -> None:
        """Register a tool that runs a function."""
        tool = resources_pb2.Tool(
            name=f"tools/{name}",
            description="A test.",
            effect=EFFECTS[effect],
            builtin=resources_pb2.BuiltinDriver(function=function),
            parameters_schema_json='{"type": "object"}',
            **fields,
        )
        await self.stub.RegisterTool(tool_pb2.RegisterToolRequest(tool=tool), metadata=PLANNER)

    def start(
        self, tool: str, arguments: Any = None, who: Any = PLANNER, **fields: Any
    ) -> asyncio.Task[list[tool_pb2.CallToolResponse]]:
        """Call a tool in the background."""
        return asyncio.create_task(self.call(tool, arguments, who, **fields))

    async def call(
        self, tool: str, arguments: Any = None, who: Any = PLANNER, **fields: Any
    ) -> list[tool_pb2.CallToolResponse]:
        """Call a tool and return all events."""
        request = tool_pb2.CallToolRequest(
            tool=f"tools/{tool}", arguments_json=json.dumps(arguments or {}), **fields
        )
        stream = self.stub.CallTool(request, metadata=who)
        try:
            return [event async for event in stream]
        finally:
            stream.cancel()

    async def value(self, tool: str, arguments: Any = None, who: Any = PLANNER, **fields: Any) -> Any:
        """Call a tool and return its result."""
        events = await self.call(tool, arguments, who, **fields)
        return json.loads(events[-1].result.result.value_json)

    async def refused(self, tool: str, arguments: Any = None, who: Any = PLANNER, **fields: Any) -> str:
        """Call a tool and return the reason it failed for."""
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await self.call(tool, arguments, who, **fields)
        return reason(failure.value)

    async def stored(self, call: str, who: Any = PLANNER) -> resources_pb2.Call:
        """Return a call of the ledger."""
        request = tool_pb2.GetCallRequest(name=f"agents/me/calls/{call}")
        return (await self.stub.GetCall(request, metadata=who)).call


@asynccontextmanager
async def tool_calls(config: ToolConfig | None = None) -> AsyncIterator[World]:
    """Serve a tool manager over a socket."""
    world = World(config)
    async with tool_stub(world.service) as world.stub:
        yield world
