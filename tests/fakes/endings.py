"""Streams that are ended by their server at a moment of the test's choice."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc

from services.chassis.rpc.errors import Draining
from services.chassis.rpc.live_streams import LiveStream
from services.chassis.runtime.server import ChassisServer
from tests.fakes.rpc import reason


async def ended_early(server: ChassisServer, calls: Sequence[Any], steps: int) -> set[str]:
    """End every stream so many steps of the event loop after it was let in; return what the callers are told.

    Raises TimeoutError when a caller is told nothing.
    """
    ends = asyncio.gather(*(_end_of(call) for call in calls))
    seen: Counter[LiveStream] = Counter()
    async with asyncio.timeout(30):
        while not ends.done():
            for stream in list(server._pipeline.streams._streams):
                seen[stream] += stream.admitted
                if seen[stream] > steps:
                    stream.end(Draining("now", retry_after=1.0))
            await asyncio.sleep(0)
    return set(ends.result())


async def _end_of(call: Any) -> str:
    """Read a stream to its end and return the reason."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return reason(error)
    return ""
