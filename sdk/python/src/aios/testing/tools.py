"""The tools of a fake kernel: Python functions in this process, and processes that provide some."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2 as pb
from aios.errors import AiosError, NotFound, ToolFailed, Unavailable
from aios.testing.caller import ADMIN, Caller
from aios.testing.drafts import FakeDrafts
from aios.testing.mcp import FakeMcp
from aios.testing.secrets import FakeSecrets
from aios.testing.web import FakeWeb
from aios.toolkit import Tool


@dataclass(slots=True)
class _Waiting:
    call: pb.TakenCall
    outcome: asyncio.Future[pb.CompleteCallRequest] = field(default_factory=asyncio.Future)


_Queue: TypeAlias = "asyncio.Queue[_Waiting | pb.RevokedCall]"


class FakeTools(FakeSecrets, FakeDrafts, FakeMcp, FakeWeb):
    """Runs `Tool`s that a test added, and hands calls of provided tools to their provider."""

    def __init__(self) -> None:
        FakeSecrets.__init__(self)
        FakeDrafts.__init__(self)
        FakeMcp.__init__(self)
        FakeWeb.__init__(self)
        self.local: dict[str, Tool] = {}
        self._tools: dict[str, res.Tool] = {}
        self._calls: dict[str, res.Call] = {}
        self._queues: dict[str, _Queue] = {}
        self._held: dict[str, _Waiting] = {}
        self._numbers = itertools.count(1)
        self.lease_seconds = 60.0
        """How long a provider holds a call without a sign of life."""
        self.clock_ahead = 0.0
        """How far the kernel's wall clock is ahead of the machine's; less than 0: behind. Unit: seconds."""
        self.beats: Counter[str] = Counter()
        """Signs of life of each call."""

    def add(self, tool: Tool) -> None:
        """Make a tool callable."""
        name = f"tools/{tool.name}"
        self.local[name] = tool
        self._tools[name] = res.Tool(
            name=name,
            description=tool.spec.description,
            parameters_schema_json=json.dumps(tool.spec.parameters),
            effect=res.TOOL_EFFECT_PURE,
            builtin=res.BuiltinDriver(function=tool.name),
            available=True,
            etag="1",
        )

    async def register_tool(self, request: pb.RegisterToolRequest, caller: Caller) -> pb.RegisterToolResponse:
        tool = request.tool
        tool.owner = f"agents/{caller.agent}"
        tool.etag = str(next(self._numbers))
        self._tools[tool.name] = tool
        return pb.RegisterToolResponse(tool=tool)

    async def unregister_tool(
        self, request: pb.UnregisterToolRequest, caller: Caller
    ) -> pb.UnregisterToolResponse:
        del caller
        if self._tools.pop(request.name, None) is None and not request.allow_missing:
            raise _missing(request.name)
        return pb.UnregisterToolResponse()

    async def get_tool(self, request: pb.GetToolRequest, caller: Caller) -> pb.GetToolResponse:
        del caller
        return pb.GetToolResponse(tool=self._find(request.name))

    async def list_tools(self, request: pb.ListToolsRequest, caller: Caller) -> pb.ListToolsResponse:
        """ListTools, in one page; what a search finds is in the order of how many of the words it has."""
        del caller
        found = [
            tool for name, tool in sorted(self._tools.items()) if not request.names or name in request.names
        ]
        if request.search:
            words = request.search.lower().split()
            hits = {tool.name: sum(word in _said(tool) for word in words) for tool in found}
            found = sorted((tool for tool in found if hits[tool.name]), key=lambda tool: -hits[tool.name])
            found = found[: request.page_size or None]
        return pb.ListToolsResponse(tools=found)

    async def call_tool(
        self, request: pb.CallToolRequest, caller: Caller
    ) -> AsyncIterator[pb.CallToolResponse]:
        tool = self._find(request.tool)
        name = f"agents/{caller.agent}/calls/{request.request_id or next(self._numbers)}"
        joined = name in self._calls
        yield pb.CallToolResponse(sequence=1, accepted=pb.CallAccepted(call=name, joined=joined))
        if not joined:
            text = await self._run(tool, name, request, caller)
            result = res.CallResult(value_json=text)
            self._calls[name] = res.Call(
                name=name,
                tool=request.tool,
                agent=f"agents/{caller.agent}",
                state=res.CALL_STATE_SUCCEEDED,
                result=result,
                attempt_count=1,
            )
        yield pb.CallToolResponse(sequence=2, result=self._calls[name])

    async def get_call(self, request: pb.GetCallRequest, caller: Caller) -> pb.GetCallResponse:
        name = caller.resolve(request.name)
        if name not in self._calls:
            raise NotFound(f"no {name}", reason="CALL_NOT_FOUND")
        return pb.GetCallResponse(call=self._calls[name])

    async def list_calls(self, request: pb.ListCallsRequest, caller: Caller) -> pb.ListCallsResponse:
        """ListCalls, newest first."""
        everybody = not request.parent and caller.agent == ADMIN
        parent = "agents" if everybody else caller.resolve(request.parent or "agents/me")
        found = [call for name, call in self._calls.items() if name.startswith(f"{parent}/")]
        return pb.ListCallsResponse(calls=reversed(found))

    async def take_calls(
        self, request: pb.TakeCallsRequest, caller: Caller
    ) -> AsyncIterator[pb.TakeCallsResponse]:
        del caller
        yield pb.TakeCallsResponse(heartbeat=pb.TakeCallsHeartbeat())
        queue: _Queue = asyncio.Queue()
        for name in request.tools:
            self._queues[name] = queue
        while True:
            event = await queue.get()
            if isinstance(event, pb.RevokedCall):
                yield pb.TakeCallsResponse(revoked=event)
            else:
                self._held[event.call.lease_id] = event
                yield pb.TakeCallsResponse(call=event.call)

    async def report_call_progress(
        self, request: pb.ReportCallProgressRequest, caller: Caller
    ) -> pb.ReportCallProgressResponse:
        del caller
        self.beats[request.call] += 1
        response = pb.ReportCallProgressResponse(lease_left=self._lease())
        response.lease_expire_time.CopyFrom(self._expires())
        return response

    async def complete_call(self, request: pb.CompleteCallRequest, caller: Caller) -> pb.CompleteCallResponse:
        del caller
        waiting = self._held.pop(request.lease_id, None)
        if waiting is not None and not waiting.outcome.done():
            waiting.outcome.set_result(request)
        return pb.CompleteCallResponse(state=res.CALL_STATE_SUCCEEDED)

    async def _run(self, tool: res.Tool, name: str, request: pb.CallToolRequest, caller: Caller) -> str:
        if tool.name in self.local:
            try:
                return json.dumps(await self.local[tool.name].run(json.loads(request.arguments_json or "{}")))
            except AiosError:
                raise
            except Exception as error:
                raise ToolFailed(str(error)) from error
        if tool.name not in self._queues:
            raise Unavailable(f"nobody provides {tool.name}", reason="TOOL_PROVIDER_LOST")
        call = pb.TakenCall(
            call=name,
            lease_id=f"lease-{next(self._numbers)}",
            tool=tool.name,
            agent=f"agents/{caller.agent}",
            arguments_json=request.arguments_json,
            attempt=1,
        )
        call.lease_expire_time.CopyFrom(self._expires())
        call.lease_left.CopyFrom(self._lease())
        waiting = _Waiting(call)
        queue = self._queues[tool.name]
        await queue.put(waiting)
        try:
            done = await waiting.outcome
        except asyncio.CancelledError:
            await queue.put(pb.RevokedCall(call=name, lease_id=call.lease_id, reason="CANCELLED"))
            raise
        if done.HasField("error"):
            raise ToolFailed(done.error.message)
        return done.result.value_json

    def _lease(self) -> Duration:
        return Duration(nanos=int(self.lease_seconds % 1 * 1e9), seconds=int(self.lease_seconds))

    def _expires(self) -> Timestamp:
        expires = Timestamp()
        expires.FromNanoseconds(time.time_ns() + int((self.clock_ahead + self.lease_seconds) * 1e9))
        return expires

    def _find(self, name: str) -> res.Tool:
        if name not in self._tools:
            raise _missing(name)
        return self._tools[name]


def _missing(name: str) -> NotFound:
    return NotFound(f"no {name}", reason="TOOL_NOT_FOUND", metadata={"tool": name})


def _said(tool: res.Tool) -> str:
    return f"{tool.name} {tool.title} {tool.description}".lower()
