"""One call under way in this process: what happened so far, and whoever listens."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from enum import Enum
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import KernelError
from services.tool.model import Accepted, CallEvent, Progress, Started, Tool, ToolCall, WaitsForApproval

KEPT_EVENTS: Final = 32
"""Progress that a slow listener may be behind before it misses some."""

_Told = WaitsForApproval | Started | Progress


class Stop(Enum):
    """Why a call is stopped before its end."""

    LEFT = "left"
    CANCELLED = "cancelled"
    UNREGISTERED = "unregistered"
    SHUTDOWN = "shutdown"


class CallRun:
    """A call between its request and its end. Used on the event loop only."""

    def __init__(self, scope: Scope, tool: Tool, call: ToolCall, arguments_json: str) -> None:
        self.scope = scope
        self.tool = tool
        self.call = call
        self.arguments_json = arguments_json
        self.detached = False
        self.settling = False
        """Whether the end is decided and being kept; it can no longer be stopped."""
        self.stop_reason: Stop | None = None
        self.lost_by: set[object] = set()
        """Providers that were lost while they held the call."""
        self.error: KernelError | None = None
        """Why the request was refused; nothing is in the ledger then."""
        self.task: asyncio.Task[None] | None = None
        self._accepted: Accepted | None = None
        self._events: deque[_Told] = deque(maxlen=KEPT_EVENTS)
        self._told = 0
        self._done = False
        self.listeners = 0
        self._news = asyncio.Event()

    @property
    def done(self) -> bool:
        """Whether the call has ended or the request was refused."""
        return self._done

    def accept(self, *, joined: bool) -> None:
        """Tell that the call is in the ledger, or will be when it ends."""
        self._accepted = Accepted(self.call.id, joined)
        self._wake()

    def publish(self, event: _Told) -> None:
        """Tell what happened."""
        self._events.append(event)
        self._told += 1
        self._wake()

    def finish(self, call: ToolCall) -> None:
        """Tell that the call has ended."""
        self.call = call
        self._done = True
        self._wake()

    def refuse(self, error: KernelError) -> None:
        """Tell that there is no call."""
        self.error = error
        self._done = True
        self._wake()

    def stop(self, reason: Stop) -> None:
        """Stop the work, unless the end is being kept already."""
        if self.task is not None and self.stop_reason is None and not self.settling:
            self.stop_reason = reason
            self.task.cancel()

    async def ended(self) -> ToolCall:
        """Wait for the end and return it. Raises what the request was refused with."""
        while not self._done:
            await self._news.wait()
        if self.error is not None:
            raise self.error
        return self.call

    async def follow(self, *, joined: bool) -> AsyncGenerator[CallEvent, None]:
        """Tell everything in order; ends with the Call. The last listener that leaves stops the work.

        Raises what the request was refused with.
        """
        self.listeners += 1
        heard, accepted = 0, False
        try:
            while True:
                news = self._news
                if self._accepted is not None and not accepted:
                    accepted = True
                    yield Accepted(self.call.id, joined or self._accepted.joined)
                for event in self._after(heard):
                    yield event
                heard = self._told
                if self._done:
                    yield await self.ended()
                    return
                await news.wait()
        finally:
            self.listeners -= 1
            if not (self.listeners or self.detached or self._done):
                self.stop(Stop.LEFT)

    def _after(self, heard: int) -> list[_Told]:
        missing = min(self._told - heard, len(self._events))
        return list(self._events)[len(self._events) - missing :]

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
