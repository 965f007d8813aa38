"""Runs the kernel's calls of local Python functions."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Self

from aios._transport import Transport
from aios._wire.tools import tool_name
from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2 as pb
from aios.errors import AiosError
from aios.toolkit import Tool

BEATS_PER_LEASE = 3
SHORTEST_BEAT = 0.2


class Provider:
    """Takes calls of tools, runs them and reports what came out. Lost connections are made again.

    A call that the kernel takes back (it was cancelled, or ran too long) is cancelled here too; a plain
    function in a thread cannot be stopped, but its result is no longer reported.
    """

    def __init__(self, transport: Transport, tools: Sequence[Tool], *, capacity: int, instance: str) -> None:
        self._transport = transport
        self._tools = {tool_name(tool.name): tool for tool in tools}
        self._request = pb.TakeCallsRequest(
            parent="agents/me", tools=sorted(self._tools), capacity=capacity, instance=instance
        )
        self._running: dict[str, asyncio.Task[None]] = {}
        self._taking: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def wait(self) -> None:
        """Serve until the block is left or the kernel refuses for good. Raises what it refused with."""
        if self._taking is not None:
            await asyncio.shield(self._taking)

    async def __aenter__(self) -> Self:
        self._taking = asyncio.create_task(self._take(), name="aios tool provider")
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait((self._taking, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._taking.done():
            self._taking.result()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        tasks = [*self._running.values(), *([self._taking] if self._taking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self) -> None:
        while True:
            stream = self._transport.stream(
                self._request, pb.TakeCallsResponse, timeout=None, resume=lambda: self._request
            )
            async with aclosing(stream):
                async for event in stream:
                    self._ready.set()
                    self._handle(event)

    def _handle(self, event: pb.TakeCallsResponse) -> None:
        kind = event.WhichOneof("event")
        if kind == "call" and event.call.lease_id not in self._running:
            lease = event.call.lease_id
            task = asyncio.create_task(self._serve(event.call), name=f"aios call {event.call.call}")
            self._running[lease] = task
            task.add_done_callback(lambda _: self._running.pop(lease, None))
        elif kind == "revoked" and event.revoked.lease_id in self._running:
            self._running[event.revoked.lease_id].cancel()

    async def _serve(self, call: pb.TakenCall) -> None:
        beat = asyncio.create_task(self._beat(call))
        try:
            request = pb.CompleteCallRequest(call=call.call, lease_id=call.lease_id)
            outcome = await self._outcome(call)
            if isinstance(outcome, res.CallError):
                request.error.CopyFrom(outcome)
            else:
                request.result.CopyFrom(outcome)
        finally:
            beat.cancel()
        await self._transport.call(request, pb.CompleteCallResponse)

    async def _outcome(self, call: pb.TakenCall) -> res.CallResult | res.CallError:
        try:
            value = await self._tools[call.tool].run(json.loads(call.arguments_json or "{}"))
            return res.CallResult(value_json=json.dumps(value))
        except Exception as error:  # noqa: BLE001  # whatever the function raises is the tool's failure, not ours
            reason = error.reason if isinstance(error, AiosError) else "TOOL_FAILED"
            return res.CallError(reason=reason, message=f"{type(error).__name__}: {error}"[:4000])

    async def _beat(self, call: pb.TakenCall) -> None:
        """Show the kernel that the call is alive, three times per lease."""
        request = pb.ReportCallProgressRequest(call=call.call, lease_id=call.lease_id)
        expires: Any = call.lease_expire_time
        while True:
            left = (expires.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(max(left / BEATS_PER_LEASE, SHORTEST_BEAT))
            response = await self._transport.call(request, pb.ReportCallProgressResponse)
            expires = response.lease_expire_time
