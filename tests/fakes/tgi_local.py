"""A tgi-local server inside the test, on a fake or a real engine."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from services.tgi_local.config import TgiLocalConfig
from services.tgi_local.core.engine import Engine
from services.tgi_local.main import Server, build
from services.tgi_local.ports import Compiler


@contextlib.asynccontextmanager
async def tgi_local(
    model: Path,
    data_dir: Path,
    engine: Engine | None = None,
    **settings: Any,
) -> AsyncIterator[Server]:
    """Run a server on a free port for a block. `compiler` among the settings replaces its own."""
    compiler: Compiler | None = settings.pop("compiler", None)
    config = TgiLocalConfig(
        model=str(model), data_dir=data_dir, port=0, **{"slots": 4, "ctx": 512} | settings
    )
    server = await build(config, engine=engine, compiler=compiler)
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def http(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session whose paths are relative to the server."""
    async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{server.port}") as session:
        yield session
