"""The pair of streams that the SDK's client works on, with the relay between it and a transport."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from services.tool.drivers.mcp.relay import CutOff

Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
Outgoing = MemoryObjectSendStream[SessionMessage]
Streams = tuple[Incoming, Outgoing]
Transport = AbstractAsyncContextManager[Streams]
Ended = Callable[[str], None]
"""Hears, once, that nothing more comes, and why."""


@asynccontextmanager
async def streams(
    read: Callable[[Callable[[SessionMessage], Awaitable[None]]], Awaitable[str]],
    write: Callable[[SessionMessage], Awaitable[None]],
    ended: Ended,
) -> AsyncIterator[Streams]:
    """Make the streams; `read(give)` reads until there is no more and says why, `write` sends one message.

    Nothing is buffered in between, so whoever sends too fast waits, and is bounded where it waits.
    """
    give, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, take = anyio.create_memory_object_stream[SessionMessage](0)

    async def reading() -> None:
        try:
            ended(await read(give.send))
        except CutOff as cut:
            ended(str(cut))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            ended("the session ended")
        finally:
            give.close()

    async def writing() -> None:
        async with take:
            async for message in take:
                await write(message)

    tasks = [asyncio.create_task(reading()), asyncio.create_task(writing())]
    try:
        yield incoming, outgoing
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in (give, incoming, outgoing, take):
            stream.close()
