"""The dialect `mcp`: importing this imports the SDK, which is an optional extra."""

from importlib.metadata import version
from typing import Final

from gateway.http.dialect import Dialect
from gateway.http.fittings import Fittings
from gateway.http.mcp.door import METADATA_PATH, PATH, McpDoor
from gateway.http.mcp.metrics import PrometheusMcpMetrics
from gateway.http.mcp.settings import McpSettings

_VERSION: Final = version("aios-kernel")


def dialect(fittings: Fittings, settings: McpSettings) -> Dialect:
    """Make the door's MCP server."""
    metrics = PrometheusMcpMetrics(fittings.registry)
    door = McpDoor(fittings, settings, metrics, version=_VERSION)
    metrics.show_sessions(lambda: door.sessions.open)
    return Dialect(
        "mcp",
        mounts=((PATH, door.answer), (METADATA_PATH, door.metadata)),
        start=door.start,
        drain=door.drain,
        stop=door.stop,
    )
