"""The kernel's MCP client, for the suite of the protocol's authors: lists a server's tools and calls them.

    python mcp_client.py URL

It runs in the kernel's own environment, through the guard, with the server's address as the only target.
"""

import asyncio
import json
import os
import sys
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from services.chassis.runtime.clock import SystemClock
from services.tool.core.mcp_servers import HttpServer, McpServer
from services.tool.core.pins import tool_of
from services.tool.drivers.mcp.dialling import Dialler, Ways
from services.tool.drivers.mcp.link import look
from services.tool.egress.guard import EgressGuard
from services.tool.egress.transport import GuardedTransport
from tests.fakes.web import way_out

ECHOED = "json_schema_2020_12_tool"
VALUES: dict[str, Any] = {
    "integer": 3,
    "number": 5,
    "string": "x",
    "boolean": True,
    "array": [],
    "object": {},
}


def guard_for(url: str) -> EgressGuard:
    """Make a guard whose only target is the suite's server."""
    at = urlsplit(url)
    made = way_out(internal=[f"{at.scheme}://{at.hostname}:{at.port} 127.0.0.1/32"])
    made.names.table[str(at.hostname)] = ["127.0.0.1"]
    return made.guard


def calls(context: dict[str, Any], definitions: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what the suite wants to be called, or each tool with something that fits."""
    if "toolCalls" in context:
        return [(one["name"], one["arguments"]) for one in context["toolCalls"]]
    # Some tool wants to be told the schema that another one is shown with.
    values = {**VALUES, "object": definitions.get(ECHOED, {})}
    return [
        (name, {key: values.get(part.get("type"), "x") for key, part in schema.get("properties", {}).items()})
        for name, schema in definitions.items()
    ]


async def main(url: str) -> None:
    """List and call."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    guard = guard_for(url)
    dialler = Dialler(
        Ways(sandbox=None, egress=guard, secrets=None, web=partial(GuardedTransport, guard)),
        SystemClock(),
        open_seconds=20.0,
    )
    server = McpServer(id="suite", http=HttpServer(url=url))
    dialled = await dialler.dial("acme", server)
    offer = await look(dialled, server)
    schemas = {one.tool: json.loads(tool_of(server, one).parameters_schema) for one in offer.definitions}
    for name, arguments in calls(context, schemas):
        async with asyncio.timeout(20):
            outcome = await dialled.session.call(name, arguments, lambda _: None)
        print(name, outcome.value, outcome.error)  # noqa: T201 - for whoever reads why the suite failed
    await dialled.session.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
