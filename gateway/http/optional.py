"""Dialects that need packages which are not always there."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

from gateway.http.dialect import Dialect
from gateway.http.fittings import Fittings
from gateway.http.mcp.settings import McpSettings
from services.chassis.runtime.logs import logger

Make = Callable[[Fittings], Dialect]

_log = logger(__name__)


async def mcp(settings: McpSettings, shared_key: str) -> list[Make]:
    """Return what makes the MCP server; nothing without its SDK, or when it is switched off.

    `shared_key` is the secret of all gateways that seals state unless the settings name keys of their own.
    """
    if not settings.enabled:
        return []
    if find_spec("mcp") is None:
        _log.info("no MCP server at the door: the extra aios-kernel[mcp] is not installed")
        return []
    # Importing the SDK takes most of a second and reads many files: not on the event loop.
    try:
        routes = await asyncio.to_thread(import_module, "gateway.http.mcp.routes")
    except ImportError as error:  # another version than the extra names
        _log.error("no MCP server at the door: its SDK cannot be imported", exc=error)
        return []
    chosen = replace(settings, state_keys=settings.state_keys or (shared_key,))
    return [lambda fittings: routes.dialect(fittings, chosen)]
