"""MCP over the standard input and output of a program in the sandbox: one message a line."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from mcp.shared.message import SessionMessage

from services.tool.drivers.mcp.relay import MAX_MESSAGE, CutOff, Relay
from services.tool.drivers.mcp.streams import Ended, Streams, streams
from services.tool.errors import ToolFailed
from services.tool.ports import SandboxProcess


@asynccontextmanager
async def over_stdio(process: SandboxProcess, relay: Relay, ended: Ended) -> AsyncIterator[Streams]:
    """Talk to a program. Whoever started it ends it."""

    async def read(give: Callable[[SessionMessage], Awaitable[None]]) -> str:
        async for line in _lines(process):
            if not line:
                relay.weigh(0)
                continue
            message = await relay.read(line)
            admitted = relay.admit(message) if message is not None else None
            if admitted is not None:
                await give(SessionMessage(admitted))
        return "its program ended"

    async def write(message: SessionMessage) -> None:
        relay.sent(message.message)
        text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            await process.write(text.encode() + b"\n")
        except ToolFailed:
            ended("its program ended")

    async with streams(read, write, ended) as made:
        yield made


async def _lines(process: SandboxProcess) -> AsyncIterator[bytes]:
    """Cut what a program writes into lines. Raises CutOff for one that is too long."""
    pending = bytearray()
    while piece := await process.read():
        *whole, rest = piece.split(b"\n")
        for end in whole:
            pending += end
            line = bytes(pending).strip()
            pending.clear()
            yield line
        pending += rest
        if len(pending) > MAX_MESSAGE:
            raise CutOff(f"it sent a message of more than {MAX_MESSAGE} bytes")
