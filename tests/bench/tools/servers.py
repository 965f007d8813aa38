"""What tools of the benchmark call: `python -m tests.bench.tools.servers http|mcp`; http prints its port."""

import asyncio
import sys


async def _http() -> None:
    from aiohttp import web  # noqa: PLC0415 - the other server has no use for it

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"result": (await request.json())["text"]})

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def _mcp() -> None:
    from mcp.server import MCPServer  # noqa: PLC0415 - the other server has no use for it

    server = MCPServer("bench")

    @server.tool()
    def echo(text: str) -> str:
        """Say it again."""
        return text

    server.run("stdio")


if __name__ == "__main__":
    if sys.argv[1] == "http":
        asyncio.run(_http())
    else:
        _mcp()
