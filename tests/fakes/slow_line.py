"""A line to another process of this machine on which everything arrives late, in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def slow_line(port: int, delay: float) -> AsyncIterator[int]:
    """Forward connections to `port`, every byte `delay` seconds late each way; yields the port to call."""
    pumps: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        for pump in (_pump(reader, far_writer, delay), _pump(far_reader, writer, delay)):
            task = asyncio.create_task(pump)
            pumps.add(task)
            task.add_done_callback(pumps.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(pumps):
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Copy until one end closes."""
    loop = asyncio.get_running_loop()
    on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, piece = await on_its_way.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                return
            writer.write(piece)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    try:
        piece = b"x"
        while piece:
            piece = await reader.read(65_536)
            on_its_way.put_nowait((loop.time() + delay, piece))
        await delivering
    except OSError:
        pass  # the other end has gone, and this one goes with it
    finally:
        delivering.cancel()
        writer.close()
