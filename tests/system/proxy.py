"""A proxy between two processes that delays, drops, breaks and spoils what passes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import Final

_PIECE: Final = 65_536
_LATENCY: Final = 0.3
"""What each piece is delayed by while it is slow. Unit: seconds."""
_DRIP: Final = 200
"""Bytes that pass at a time while it is throttled."""
_PAUSE: Final = 0.02


class Wound(Enum):
    """What is wrong with the connection."""

    NONE = auto()
    REFUSED = auto()  # connections break at once, and none is taken
    BLACKHOLE = auto()  # connections stay, and nothing passes either way
    DEAF = auto()  # requests pass, answers do not
    MUTE = auto()  # answers pass, requests do not
    SLOW = auto()
    THROTTLED = auto()
    SPOILED = auto()  # a byte of every piece is turned over


class FaultProxy:
    """Passes TCP on to a port of this machine. Change `wound` at any time."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.wound = Wound.NONE
        self._target = target
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._open = {silent: asyncio.Event() for silent in (Wound.MUTE, Wound.DEAF)}
        """By direction, whether anything passes."""
        self.hurt(Wound.NONE)

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Break everything."""
        if self._server is not None:
            self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def hurt(self, wound: Wound) -> None:
        """Let a wound take effect now, on connections that exist too."""
        self.wound = wound
        for silent, event in self._open.items():
            (event.clear if wound in (Wound.BLACKHOLE, silent) else event.set)()
        if wound is Wound.REFUSED:
            for end in self._ends:
                end.transport.abort()

    async def _serve(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if self.wound is Wound.REFUSED:
            near_out.transport.abort()
            return
        ends = {near_out}
        try:
            far_in, far_out = await asyncio.open_connection("127.0.0.1", self._target)
            ends.add(far_out)
            self._ends |= ends
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(near_in, far_out, Wound.MUTE))
                group.create_task(self._pass(far_in, near_out, Wound.DEAF))
        except OSError:  # nobody listens behind the proxy yet, or any more
            pass
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: Wound) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_PIECE):
                await self._open[silent].wait()
                await self._send(data, writer)
        writer.transport.abort()

    async def _send(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self.wound is Wound.SLOW:
            await asyncio.sleep(_LATENCY)
        if self.wound is Wound.SPOILED:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
        step = _DRIP if self.wound is Wound.THROTTLED else len(data)
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            if step < len(data):
                await asyncio.sleep(_PAUSE)


@asynccontextmanager
async def fault_proxy(target: int) -> AsyncIterator[FaultProxy]:
    """Run a proxy to a port."""
    proxy = FaultProxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
