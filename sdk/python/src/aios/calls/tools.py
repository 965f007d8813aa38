"""`kernel.tools`: call tools through the kernel, register them, provide own ones."""

import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Any

from aios._paging import pages
from aios._transport import Transport
from aios._wire import tools as wire
from aios._wire.common import agent_name, duration, timestamp
from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2 as pb
from aios.calls.drafts import Drafts
from aios.calls.provider import Provider
from aios.errors import InternalError, ToolFailed
from aios.toolkit import Tool, as_tool
from aios.types.drafts import DraftInfo, Example
from aios.types.llm import ToolSpec
from aios.types.tools import CallInfo, CallProgress, ToolEffect, ToolInfo, ToolResult


class Tools:
    """Calls the kernel's tools. A tool is named by its id or by `tools/{id}`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, tool: str, *, timeout: float | None = None) -> ToolInfo:
        """Return one tool. Raises NotFound, PermissionDenied."""
        request = pb.GetToolRequest(name=wire.tool_name(tool))
        return wire.tool((await self._transport.call(request, pb.GetToolResponse, timeout=timeout)).tool)

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        run_timeout: float | None = None,
        max_wait: float | None = None,
        wait_for_approval: bool = False,
        untrusted: bool = False,
        on_progress: Callable[[CallProgress], None] | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ToolResult:
        """Run a tool and return its result.

        `run_timeout` bounds the run, `max_wait` the queue, `timeout` the whole call. Unit: seconds. A call
        that broke off is joined again, never run twice. `untrusted` says that the agent has read text
        nobody vouches for. Raises NotFound, ToolArgumentsInvalid, ToolFailed, ToolTimeout, ToolBusy,
        ApprovalRequired, UnknownOutcome, PermissionDenied.
        """
        request = pb.CallToolRequest(
            tool=wire.tool_name(tool),
            arguments_json=json.dumps(arguments or {}),
            timeout=duration(run_timeout),
            max_wait=duration(max_wait),
            wait_for_approval=wait_for_approval,
            untrusted=untrusted,
            request_id=request_id or uuid.uuid4().hex,
        )
        result: ToolResult | None = None
        stream = self._transport.stream(
            request,
            pb.CallToolResponse,
            timeout=timeout,
            resume=lambda: request if result is None else None,
        )
        async with aclosing(stream):
            async for event in stream:
                if event.WhichOneof("event") == "progress" and on_progress is not None:
                    on_progress(wire.progress(event.progress))
                elif event.WhichOneof("event") == "result":
                    result = wire.result(event.result.result, event.result.name)
        if result is None:
            raise InternalError("the call ended without a result", method="CallTool")
        return result

    async def start(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> str:
        """Start a call that goes on by itself and return its name; `get_call` tells how it stands."""
        request = pb.CallToolRequest(
            tool=wire.tool_name(tool),
            arguments_json=json.dumps(arguments or {}),
            wait_for_approval=True,
            detach=True,
            request_id=request_id or uuid.uuid4().hex,
        )
        stream = self._transport.stream(request, pb.CallToolResponse, timeout=timeout, resume=lambda: request)
        async with aclosing(stream):
            async for event in stream:
                if event.WhichOneof("event") == "accepted":
                    return event.accepted.call
        raise InternalError("the call was not accepted", method="CallTool")

    async def get_call(self, call: str, *, timeout: float | None = None) -> CallInfo:
        """Return how a call stands. Raises NotFound."""
        request = pb.GetCallRequest(name=call)
        return wire.call((await self._transport.call(request, pb.GetCallResponse, timeout=timeout)).call)

    async def cancel(self, call: str, *, reason: str = "", timeout: float | None = None) -> CallInfo:
        """Cancel a call and return its final state. Raises NotFound."""
        request = pb.CancelCallRequest(name=call, reason=reason)
        return wire.call((await self._transport.call(request, pb.CancelCallResponse, timeout=timeout)).call)

    async def calls(
        self,
        *,
        tool: str = "",
        agent: str = "me",
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int | None = 100,
        timeout: float | None = None,
    ) -> Sequence[CallInfo]:
        """Return an agent's calls, newest first, without their results.

        An administrator gets the calls of its whole tenant with `agent=""`. `timeout` bounds each page.
        """

        async def page(token: str) -> tuple[list[CallInfo], str]:
            request = pb.ListCallsRequest(
                parent=agent_name(agent),
                tool=wire.tool_name(tool) if tool else "",
                created_after=timestamp(created_after),
                created_before=timestamp(created_before),
                page_size=100,
                page_token=token,
            )
            response = await self._transport.call(request, pb.ListCallsResponse, timeout=timeout)
            return [wire.call(call) for call in response.calls], response.next_page_token

        return await pages(page, limit)

    async def search(
        self,
        words: str,
        *,
        basic: bool = False,
        available_only: bool = True,
        limit: int = 10,
        timeout: float | None = None,
    ) -> Sequence[ToolInfo]:
        """Return the tools the caller may use that have some of the words, best first; at most 500.

        `basic`: without schemas, as for a list that is read.
        """
        if not words.strip():
            return []
        request = pb.ListToolsRequest(
            search=words,
            available_only=available_only,
            view=pb.TOOL_VIEW_BASIC if basic else pb.TOOL_VIEW_FULL,
            page_size=limit,
        )
        response = await self._transport.call(request, pb.ListToolsResponse, timeout=timeout)
        return [wire.tool(tool) for tool in response.tools]

    async def register_python(
        self,
        spec: ToolSpec,
        source: str,
        *,
        examples: Sequence[Example] = (),
        function: str = "",
        effect: ToolEffect = "pure",
        run_timeout: float | None = None,
        max_concurrency: int = 0,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        allow_breaking: bool = False,
        timeout: float | None = None,
    ) -> ToolInfo:
        """Make a Python function a tool. It runs in the sandbox: no network, standard library only.

        `source` is a module, `function` the name in it, by default the tool's. With at least two `examples`
        the tool is the caller's own, by the name `{agent}.{name}`: they are tried first, and nobody else
        calls it before `kernel.drafts.share`. Without any the tool is everybody's, which is for
        administrators alone. What it can do to the world the kernel knows better than `effect`.
        Raises InvalidRequest for a bad schema, AlreadyExists, EtagMismatch, PermissionDenied, ToolFailed when
        an example does not come out, and PreconditionFailed (TOOL_IN_USE) where new schemas would break calls
        under way, unless `allow_breaking`: those that wait are then ended.
        """
        if examples:
            drafts = Drafts(self._transport)
            made = await drafts.put(
                spec,
                source,
                examples,
                function=function,
                run_timeout=run_timeout,
                max_concurrency=max_concurrency,
                etag=etag,
                timeout=timeout,
            )
            return await self._own(await drafts.test(made.name, timeout=timeout))
        message = wire.tool_message(
            spec,
            effect=effect,
            timeout=run_timeout,
            max_concurrency=max_concurrency,
            labels=labels or {},
            etag=etag,
        )
        message.python.CopyFrom(res.PythonDriver(source=source, function=function or spec.name))
        return await self._register(message, timeout, allow_breaking=allow_breaking)

    async def _own(self, made: DraftInfo) -> ToolInfo:
        tried = made.test.examples if made.test is not None else ()
        failed = next((one for one in tried if not one.passed), None)
        if failed is not None:
            raise ToolFailed(f"an example of {made.name} did not come out: {failed.problem}")
        return await self.get(made.tool)

    async def register_http(
        self,
        spec: ToolSpec,
        url: str,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        effect: ToolEffect = "irreversible",
        run_timeout: float | None = None,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        allow_breaking: bool = False,
        timeout: float | None = None,
    ) -> ToolInfo:
        """Register an HTTP endpoint; the arguments are its JSON body, or the query with GET and DELETE.

        Errors as for `register_python`.
        """
        message = wire.tool_message(
            spec, effect=effect, timeout=run_timeout, max_concurrency=0, labels=labels or {}, etag=etag
        )
        message.http.CopyFrom(wire.http_driver(url, method, headers or {}))
        return await self._register(message, timeout, allow_breaking=allow_breaking)

    async def unregister(
        self, tool: str, *, missing_ok: bool = False, etag: str = "", timeout: float | None = None
    ) -> None:
        """Remove a tool. Raises NotFound unless `missing_ok`, EtagMismatch, PermissionDenied."""
        request = pb.UnregisterToolRequest(name=wire.tool_name(tool), etag=etag, allow_missing=missing_ok)
        await self._transport.call(request, pb.UnregisterToolResponse, timeout=timeout)

    @asynccontextmanager
    async def provide(
        self,
        *tools: Tool | Callable[..., Any],
        effect: ToolEffect = "reversible",
        returns_untrusted: bool = False,
        capacity: int = 4,
        instance: str = "",
        allow_breaking: bool = False,
    ) -> AsyncIterator[Provider]:
        """Offer local Python functions to every agent for the length of an `async with` block.

        They are registered and called here, up to `capacity` at once; the block's body may do anything,
        such as `await provider.wait()`. The tools stay registered afterwards, but are not available.
        `returns_untrusted`: results hold text from outside that nobody vouches for, such as web pages.
        `allow_breaking`: end calls that wait for the functions as they were and that new ones would break.
        Raises PermissionDenied, PreconditionFailed, and TypeError for a function that wants a RunContext.
        """
        offered: Sequence[Tool] = [as_tool(tool) for tool in tools]
        if within := [tool.name for tool in offered if tool.takes_context]:
            raise TypeError(f"{', '.join(within)}: a function that takes a RunContext runs in an agent only")
        for tool in offered:
            await self._offer(
                tool, effect, returns_untrusted=returns_untrusted, allow_breaking=allow_breaking
            )
        async with Provider(self._transport, offered, capacity=capacity, instance=instance) as provider:
            yield provider

    async def _offer(
        self, tool: Tool, effect: ToolEffect, *, returns_untrusted: bool = False, allow_breaking: bool = False
    ) -> None:
        known = [info for info in await self.list(names=[tool.name]) if info.id == tool.name]
        message = wire.tool_message(
            tool.spec,
            effect=effect,
            timeout=None,
            max_concurrency=0,
            labels={},
            etag=known[0].etag if known else "",
        )
        message.provider.SetInParent()
        message.returns_untrusted = returns_untrusted
        await self._register(message, None, allow_breaking=allow_breaking)

    async def _register(
        self, message: res.Tool, timeout: float | None, *, allow_breaking: bool = False
    ) -> ToolInfo:
        request = pb.RegisterToolRequest(tool=message, allow_breaking=allow_breaking)
        return wire.tool((await self._transport.call(request, pb.RegisterToolResponse, timeout=timeout)).tool)

    async def list(
        self,
        *,
        names: Sequence[str] = (),
        query: str = "",
        labels: Mapping[str, str] | None = None,
        available_only: bool = False,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[ToolInfo]:
        """Return the tools the caller may use, by name, of those named or all. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[ToolInfo], str]:
            request = pb.ListToolsRequest(
                names=[wire.tool_name(name) for name in names],
                query=query,
                labels=labels or {},
                available_only=available_only,
                view=pb.TOOL_VIEW_FULL,
                page_size=200,
                page_token=token,
            )
            response = await self._transport.call(request, pb.ListToolsResponse, timeout=timeout)
            return [wire.tool(tool) for tool in response.tools], response.next_page_token

        return await pages(page, limit)
