"""Runs the kernel's calls of local Python functions."""

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Self

from aios._streams import follow_forever
from aios._transport import Transport
from aios._wire.tools import tool_name
from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2 as pb
from aios.errors import AiosError
from aios.toolkit import Tool

BEATS_PER_LEASE = 3
SHORTEST_BEAT = 0.2


_log = logging.getLogger("aios")


class Provider:
    """Takes calls of tools, runs them and reports what came out. Lost connections are made again.

    When the kernel refuses for good, the provider ends with that error: `wait` raises it, `error` keeps it,
    the log has it, and the block around it is cancelled and raises it.

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
        self._body: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._waiting = 0
        self._told = False

    @property
    def error(self) -> BaseException | None:
        """What ended the provider for good; None while it serves and after its block was left."""
        done = self._taking is not None and self._taking.done() and not self._taking.cancelled()
        return self._taking.exception() if done and self._taking is not None else None

    async def wait(self) -> None:
        """Serve until the block is left or the kernel refuses for good. Raises what it refused with."""
        if self._taking is None:
            return
        self._waiting += 1
        try:
            await asyncio.shield(self._taking)
        finally:
            self._waiting -= 1
            self._told = self._told or self._taking.done()

    async def __aenter__(self) -> Self:
        self._taking = asyncio.create_task(self._take(), name="aios tool provider")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait((self._taking, ready), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._taking.cancel()
            raise
        finally:
            ready.cancel()
        if self._taking.done():
            self._taking.result()
        self._body = asyncio.current_task()
        self._taking.add_done_callback(self._ended)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        error = self.error
        self._body = None
        tasks = [*self._running.values(), *([self._taking] if self._taking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        current = asyncio.current_task()
        if self._interrupted and current is not None and current.uncancel() > 0:
            return  # somebody else cancelled the block too, and that goes on
        own = asyncio.CancelledError if self._interrupted else None
        if error is not None and not self._told and kind in (None, own):
            raise error

    def _ended(self, taking: asyncio.Task[None]) -> None:
        """Tell the block that nobody serves any more, unless it waits for just that."""
        if taking.cancelled() or taking.exception() is None or self._body is None:
            return
        _log.error("the provider has ended: %s", taking.exception())
        if not self._waiting and not self._body.done():
            self._interrupted = True
            self._body.cancel()

    async def _take(self) -> None:
        stream = follow_forever(self._transport, lambda: self._request, pb.TakeCallsResponse)
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
