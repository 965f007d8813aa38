"""What the demo's kernel reaches beside itself: one small web service and one MCP server, both on loopback.

They stand for what an agent's owner has already. Needs the MCP SDK, an optional extra.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

STOCK: Final = {"bolts": 1_204, "nuts": 87, "washers": 0}
"""What the web service knows."""
_START_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where they listen."""

    origin: str

    @property
    def stock_url(self) -> str:
        """Answers what is in stock of an `item`."""
        return f"{self.origin}/stock"

    @property
    def mcp_url(self) -> str:
        """Where the MCP server is."""
        return f"{self.origin}/mcp"


def bound_socket() -> socket.socket:
    """Take a free port of loopback, before the kernel starts: its operator names the place to it."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("127.0.0.1", 0))
    return listening


@asynccontextmanager
async def neighbours(listening: socket.socket) -> AsyncIterator[Neighbours]:
    """Serve both on a socket. Raises ImportError where the MCP SDK is not installed."""
    import uvicorn  # noqa: PLC0415 - optional
    from mcp.server import MCPServer  # noqa: PLC0415 - optional
    from starlette.requests import Request  # noqa: PLC0415 - comes with the SDK
    from starlette.responses import JSONResponse  # noqa: PLC0415 - comes with the SDK

    words = MCPServer("words", log_level="ERROR")

    @words.tool()
    def backwards(text: str) -> str:
        """Turn a text round."""
        return text[::-1]

    async def stock(request: Request) -> JSONResponse:
        item = request.query_params.get("item", "")
        if item not in STOCK:
            return JSONResponse({"error": f"no such item: {item}"}, status_code=404)
        return JSONResponse({"item": item, "count": STOCK[item]})

    app = words.streamable_http_app(stateless_http=True, json_response=True)
    app.add_route("/stock", stock, methods=["GET"])

    class Server(uvicorn.Server):
        """Leaves signals to the demo."""

        @contextlib.contextmanager
        def capture_signals(self) -> "contextlib.Generator[None]":  # type: ignore[name-defined]
            yield

    server = Server(uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=2))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not server.started and not serving.done():  # noqa: ASYNC110 - it tells by no event
                await asyncio.sleep(0.01)
        host, port = listening.getsockname()
        yield Neighbours(f"http://{host}:{port}")
    finally:
        server.should_exit = True
        await serving
