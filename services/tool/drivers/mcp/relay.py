"""What a server may say: how long, how much, how often. It all passes here before the SDK acts on it.

A server that breaks a bound is cut off with a reason. What the kernel does not use (log messages, unasked
news) is dropped, so that a talkative server costs little even within its bounds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from mcp.shared.message import SessionMessage
from mcp_types import (
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from services.chassis.json_values import counted
from services.chassis.rpc.errors import RequestTooLarge

MAX_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes of one message."""
MAX_RATE: Final = 2_000
"""Messages in one second."""
MAX_BYTES_RATE: Final = 32 * 1024 * 1024
"""Bytes in one second."""
MAX_ASKED_RATE: Final = 50
"""Requests, and pieces of news that are used, in one second; more are cut off, or passed over."""
MAX_JUNK: Final = 20
"""Lines that are no messages, in one session."""
MAX_VALUES: Final = 20_000
"""JSON values in one message: each costs some microseconds of the event loop."""
MAX_ITEMS: Final = 512
"""Tools on a page, or pieces of a result."""
_USED: Final = frozenset(
    {
        "notifications/cancelled",
        "notifications/progress",
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
    }
)


class CutOff(Exception):
    """The server broke a bound; says which, for people."""


class Relay:
    """The bounds of one session with a server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = clock()
        self._messages = self._bytes = self._asked = self._junk = 0
        self._cancelled: dict[str | int, asyncio.Event] = {}
        self._cancellations = 0
        self._sent = asyncio.Event()
        self.news_dropped = 0
        """News passed over because there was too much of it."""

    async def read(self, line: bytes) -> JSONRPCMessage | None:
        """Read one message; None: it is none. Raises CutOff."""
        self.weigh(len(line))
        try:
            for _ in counted(line, most=MAX_VALUES):
                await asyncio.sleep(0)
        except RequestTooLarge:
            raise CutOff(f"it sent a message of more than {MAX_VALUES} values") from None
        try:
            return jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            self.junk()
            return None

    def weigh(self, size: int) -> None:
        """Count a message. Raises CutOff."""
        self._count_second()
        self._messages += 1
        self._bytes += size
        if size > MAX_MESSAGE:
            raise CutOff(f"it sent a message of more than {MAX_MESSAGE} bytes")
        if self._messages > MAX_RATE:
            raise CutOff(f"it sent more than {MAX_RATE} messages in a second")
        if self._bytes > MAX_BYTES_RATE:
            raise CutOff(f"it sent more than {MAX_BYTES_RATE} bytes in a second")

    def junk(self) -> None:
        """Count what is no message. Raises CutOff."""
        self._junk += 1
        if self._junk > MAX_JUNK:
            raise CutOff("it does not speak MCP")

    def admit(self, message: JSONRPCMessage) -> JSONRPCMessage | None:
        """Return what the SDK gets of a message; None: nothing. Raises CutOff."""
        match message:
            case JSONRPCNotification():
                if message.method not in _USED:
                    return None
                self._asked += 1
                if self._asked <= MAX_ASKED_RATE:
                    return message
                self.news_dropped += 1
                return None
            case JSONRPCRequest():
                self._asked += 1
                if self._asked > MAX_ASKED_RATE:
                    raise CutOff(f"it asked more than {MAX_ASKED_RATE} things in a second")
                return message
            case JSONRPCResponse() | JSONRPCError():
                confirmed = self._cancelled.pop(message.id, None) if message.id is not None else None
                if confirmed is not None:
                    confirmed.set()
                if isinstance(message, JSONRPCResponse) and _crowded(message.result):
                    error = ErrorData(
                        code=INTERNAL_ERROR, message=f"the answer has more than {MAX_ITEMS} parts"
                    )
                    return JSONRPCError(jsonrpc="2.0", id=message.id, error=error)
                return message

    def sent(self, message: JSONRPCMessage) -> None:
        """Note what the kernel sends: the cancellation of a request is obeyed when that is answered."""
        if isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            cancelled = (message.params or {}).get("requestId")
            if isinstance(cancelled, str | int):
                self._cancelled[cancelled] = asyncio.Event()
                self._cancellations += 1
                self._sent.set()

    async def obeyed(self, cancelled: int, seconds: float) -> bool:
        """Tell whether so many requests were cancelled and the server answers them all within a time."""
        try:
            async with asyncio.timeout(seconds):
                while self._cancellations < cancelled:  # the last one is on its way to the server
                    self._sent.clear()
                    await self._sent.wait()
                await asyncio.gather(*(event.wait() for event in self._cancelled.values()))
        except TimeoutError:
            return False
        return True

    async def filtered(
        self, incoming: AsyncIterator[SessionMessage | Exception]
    ) -> AsyncIterator[SessionMessage]:
        """Pass on what may be, of messages that a transport has read. Raises CutOff."""
        async for item in incoming:
            if isinstance(item, Exception):
                self.junk()
                continue
            self.weigh(0)
            admitted = self.admit(item.message)
            if admitted is not None:
                yield SessionMessage(admitted, item.metadata)

    def _count_second(self) -> None:
        now = self._clock()
        if now - self._second >= 1:
            self._second = now
            self._messages = self._bytes = self._asked = 0


def _crowded(result: dict[str, Any]) -> bool:
    return any(isinstance(part, list) and len(part) > MAX_ITEMS for part in result.values())
