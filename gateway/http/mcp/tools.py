"""tools/list and tools/call: the registered tools that the caller may see and call, and the door's own."""

import uuid
from typing import Any, Final

import mcp_types as types

from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2 as pb
from gateway.http.kernel import Kernel
from gateway.http.mcp import approvals, convert, own_tools
from gateway.http.mcp.approvals import Round
from gateway.http.mcp.failures import failed
from gateway.http.mcp.settings import McpSettings
from gateway.http.mcp.syscalls import Caller, ask, build, follow
from services.chassis.rpc.errors import Internal, KernelError

_PAGE: Final = 100


class ToolHandlers:
    """What the door does about tools."""

    def __init__(self, kernel: Kernel, settings: McpSettings) -> None:
        self._kernel = kernel
        self._own = own_tools.OwnTools(kernel, settings)
        self._call_seconds = settings.call_seconds.total_seconds()

    async def list(self, caller: Caller, cursor: str, revision: str) -> types.ListToolsResult:
        """List the tools the caller may call, a page at a time; the door's own stand on the first."""
        page = await ask(
            self._kernel.tool.ListTools,
            build(pb.ListToolsRequest, page_size=_PAGE, page_token=cursor),
            caller,
        )
        modern = convert.is_modern(revision)
        own = () if cursor else self._own.shown
        return types.ListToolsResult(
            tools=[*own, *(convert.tool(found, modern=modern) for found in page.tools)],
            next_cursor=page.next_page_token or None,
        )

    async def schema(self, caller: Caller, name: str) -> dict[str, Any] | None:
        """Return the schema of a tool's arguments, or None when the caller cannot have it."""
        if own_tools.is_own(name):
            return self._own.schema(name)
        try:
            request = build(pb.GetToolRequest, name=f"tools/{name}")
            found: res.Tool = (await ask(self._kernel.tool.GetTool, request, caller)).tool
        except KernelError:  # the call itself will say what is wrong
            return None
        return convert.input_schema(found)

    async def call(
        self, caller: Caller, params: types.CallToolRequestParams, session: Any, revision: str
    ) -> types.CallToolResult | types.InputRequiredResult:
        """Call a tool. What goes wrong is the result, so that a model can react to it."""
        try:
            if own_tools.is_own(params.name):
                return await self._own.call(caller, params.name, params.arguments)
            return await self._call(caller, params, session, revision)
        except KernelError as error:
            return failed(error)

    async def _call(
        self, caller: Caller, params: types.CallToolRequestParams, session: Any, revision: str
    ) -> types.CallToolResult | types.InputRequiredResult:
        before = approvals.asked_before(params)
        if before is not None and approvals.gave_up(params):
            return approvals.not_run(before)
        round_ = before or Round(uuid.uuid4().hex)
        request = build(
            pb.CallToolRequest,
            tool=f"tools/{params.name}",
            arguments_json=convert.arguments_json(params.arguments),
            request_id=round_.call_id,
            approval=round_.approval,
        )
        modern = convert.is_modern(revision)
        try:
            call = await self._run(caller, request, session)
        except KernelError as error:
            may_ask = modern and approvals.can_be_asked(session.client_capabilities)
            if not may_ask or not approvals.needs_approval(error):
                raise
            return approvals.ask_again(params.name, error, round_.call_id)
        return convert.result(call, modern=modern)

    async def _run(self, caller: Caller, request: pb.CallToolRequest, session: Any) -> res.Call:
        """Run the call to its end and tell how far it is. Cancelling this stops the tool."""
        farthest = -1.0
        async for event in follow(self._kernel.tool.CallTool, request, caller, seconds=self._call_seconds):
            kind = event.WhichOneof("event")
            if kind == "result":
                done: res.Call = event.result
                return done
            # Progress may only grow in MCP; another attempt begins anew and is told once it is farther.
            if kind == "progress" and event.progress.progress > farthest:
                farthest = event.progress.progress
                await session.report_progress(
                    farthest, event.progress.total or None, event.progress.message or None
                )
        raise Internal("the call ended without a result")
