"""Runs the kernel's calls of local Python functions."""

import asyncio
import json
import logging
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any, Final, Self

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from aios._containment import as_json, clean, contained, describe
from aios._retry import is_transient
from aios._streams import follow_forever
from aios._transport import Transport
from aios._wire.tools import tool_name
from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2 as pb
from aios.errors import AiosError, Conflict, DeadlineExceeded
from aios.toolkit import Tool

BEATS_PER_LEASE = 3
SHORTEST_BEAT = 0.2
LEASE_LOST: Final = "CALL_LEASE_LOST"
REMEMBERED: Final = 4_096
"""Calls that have ended here and are not run again, should the kernel send one once more."""
MOST_HELD: Final = 1_024
"""Calls that one request can name."""
PARTING_SECONDS: Final = 2.0
"""How long a provider that stops takes to tell the kernel of each call it had in hand."""
_LONGEST_REASON: Final = 64


_log = logging.getLogger("aios")


class Provider:
    """Takes calls of tools, runs them and reports what came out. Lost connections are made again.

    When the kernel refuses for good, the provider ends with that error: `wait` raises it, `error` keeps it,
    the log has it, and the block around it is cancelled and raises it.

    A call that the kernel takes back (it was cancelled, or ran too long) is cancelled here too; a plain
    function in a thread cannot be stopped, but its result is no longer reported. Calls outlive connections:
    each stream tells the kernel what is in hand, and what the kernel sent in vain it sends again.
    """

    def __init__(self, transport: Transport, tools: Sequence[Tool], *, capacity: int, instance: str) -> None:
        self._transport = transport
        self._tools = {tool_name(tool.name): tool for tool in tools}
        self._request = pb.TakeCallsRequest(
            parent="agents/me",
            tools=sorted(self._tools),
            capacity=capacity,
            instance=instance,
            process_id=uuid.uuid4().hex,
        )
        self._running: dict[str, asyncio.Task[None]] = {}
        self._in_hand: dict[str, pb.HeldCall] = {}
        self._done: OrderedDict[str, None] = OrderedDict()
        self._stopping = False
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
        self._stopping = True
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
        stream = follow_forever(self._transport, self._taking_up, pb.TakeCallsResponse)
        async with aclosing(stream):
            async for event in stream:
                self._ready.set()
                self._handle(event)

    def _taking_up(self) -> pb.TakeCallsRequest:
        """Return the request of the next stream: who this is, and what it has in hand."""
        request = pb.TakeCallsRequest()
        request.CopyFrom(self._request)
        request.held.extend(list(self._in_hand.values())[:MOST_HELD])
        return request

    def _handle(self, event: pb.TakeCallsResponse) -> None:
        kind = event.WhichOneof("event")
        if kind == "call":
            self._accept(event.call)
        elif kind == "revoked":
            self._drop(event.revoked.lease_id)

    def _accept(self, call: pb.TakenCall) -> None:
        lease = call.lease_id
        if lease in self._running or lease in self._done:
            return
        self._in_hand[lease] = pb.HeldCall(call=call.call, lease_id=lease)
        task = asyncio.create_task(self._serve(call), name=f"aios call {call.call}")
        self._running[lease] = task
        task.add_done_callback(lambda done: self._settled(lease, done))

    def _settled(self, lease: str, task: asyncio.Task[None]) -> None:
        del self._running[lease]
        self._in_hand.pop(lease, None)
        self._done[lease] = None
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.error("a call could not be reported: %s", failure)

    def _drop(self, lease: str) -> None:
        """Stop working on a call that is no longer this process's."""
        self._in_hand.pop(lease, None)
        if lease in self._running:
            self._running[lease].cancel()

    async def _serve(self, call: pb.TakenCall) -> None:
        """Run a call and report what came out, showing the kernel all the while that it is alive."""
        lease = _Lease(call)
        beat = asyncio.create_task(self._beat(call, lease), name=f"aios lease of {call.call}")
        try:
            await self._report(call, await self._outcome(call), lease)
        except asyncio.CancelledError:
            if self._stopping and call.lease_id in self._in_hand:
                await self._part(call)
            raise
        finally:
            beat.cancel()
            await asyncio.wait({beat})

    async def _outcome(self, call: pb.TakenCall) -> res.CallResult | res.CallError:
        """Run the function. Whatever it returns or raises becomes a result or an error at once."""

        async def work() -> str:
            return as_json(await self._tools[call.tool].run(json.loads(call.arguments_json or "{}")))

        try:
            return res.CallResult(value_json=await contained(work))
        except AiosError as error:
            return _failure(error.message or describe(error), error.reason)
        except Exception as error:  # noqa: BLE001  # whatever the function raises is the tool's failure, not ours
            return _failure(describe(error))

    async def _report(
        self, call: pb.TakenCall, outcome: res.CallResult | res.CallError, lease: "_Lease"
    ) -> None:
        """Tell the kernel how the call ended, for as long as the lease lasts.

        A result that the kernel refuses is reported as a failure that says why. Raises what a report of a
        failure is refused with.
        """
        while True:
            try:
                return await self._complete(call, outcome)
            except Conflict:
                return None  # the kernel has an end of this call already, or took it back
            except AiosError as error:
                if is_transient(error) or isinstance(error, DeadlineExceeded):
                    if lease.over:
                        raise
                    await asyncio.sleep(SHORTEST_BEAT)
                elif isinstance(outcome, res.CallError):
                    raise
                else:
                    outcome = _failure(f"the kernel refused the result: {error}")

    async def _complete(
        self,
        call: pb.TakenCall,
        outcome: res.CallResult | res.CallError,
        timeout: float | None = None,
    ) -> None:
        request = pb.CompleteCallRequest(call=call.call, lease_id=call.lease_id)
        if isinstance(outcome, res.CallError):
            request.error.CopyFrom(outcome)
        else:
            request.result.CopyFrom(outcome)
        await self._transport.call(request, pb.CompleteCallResponse, timeout=timeout)

    async def _part(self, call: pb.TakenCall) -> None:
        """Tell the kernel that this call is given up, so that its caller need not wait for the lease."""
        given_up = _failure("the process that ran the tool stopped before the tool had ended")
        with suppress(AiosError):
            await self._complete(call, given_up, PARTING_SECONDS)

    async def _beat(self, call: pb.TakenCall, lease: "_Lease") -> None:
        """Show the kernel that the call is alive, three times per lease; stop the call when it is lost."""
        request = pb.ReportCallProgressRequest(call=call.call, lease_id=call.lease_id)
        while True:
            await asyncio.sleep(max(lease.left / BEATS_PER_LEASE, SHORTEST_BEAT))
            try:
                response = await self._transport.call(request, pb.ReportCallProgressResponse)
            except AiosError as error:
                if error.reason == LEASE_LOST:
                    self._drop(call.lease_id)
                    return
                _log.warning("the kernel could not be told that a call is alive: %s", error)
            else:
                lease.renew(response.lease_left, response.lease_expire_time)


class _Lease:
    """How long a call is this process's, on the steady clock: the wall clock may differ from the kernel's."""

    def __init__(self, call: pb.TakenCall) -> None:
        self._ends = 0.0
        self.renew(call.lease_left, call.lease_expire_time)

    def renew(self, left: Duration, expires: Timestamp) -> None:
        """Take what the kernel said; a kernel that says no duration only has its wall clock to tell."""
        seconds = left.ToTimedelta().total_seconds()
        if not seconds:
            seconds = (expires.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        self._ends = asyncio.get_running_loop().time() + seconds

    @property
    def left(self) -> float:
        """Seconds until it ends."""
        return self._ends - asyncio.get_running_loop().time()

    @property
    def over(self) -> bool:
        """Whether it has ended, for all that is known here."""
        return self.left <= 0


def _failure(message: str, reason: str = "TOOL_FAILED") -> res.CallError:
    return res.CallError(reason=clean(reason)[:_LONGEST_REASON], message=clean(message)[:4000])
