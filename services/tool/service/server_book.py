"""What is kept of MCP servers: as they were accepted, and as they were seen last."""

from dataclasses import replace

from services.chassis.auth.identity import Scope
from services.tool.core import pins
from services.tool.core.mcp_servers import KnownTool, McpServer, Offer
from services.tool.errors import ServerNotFound
from services.tool.ports import Store, Transaction


class ServerBook:
    """Reads and compares servers. What is accepted changes in `service/servers` only."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def server(self, tenant: str, server_id: str) -> McpServer:
        """Return a server. Raises ServerNotFound."""
        found = await self._store.read(Scope(tenant, ""), lambda tx: tx.server(server_id))
        if found is None:
            raise missing(server_id)
        return found

    async def compared(self, tenant: str, server_id: str, offer: Offer) -> McpServer:
        """Hold what a server offers now against what was accepted, and suspend what differs.

        What is again as it was accepted is no longer suspended. Raises ServerNotFound.
        """

        def work(tx: Transaction) -> McpServer:
            server = tx.server(server_id)
            if server is None:
                raise missing(server_id)
            known = tx.known_tools(server_id)
            seen = pins.compared(known, offer.definitions)
            now = seen_as(server, seen, offer)
            if list(seen) != known:
                tx.put_known_tools(now, seen)
            if now != server:
                tx.put_server(now)
            suspend(tx, now, seen)
            return now

        return await self._store.write(Scope(tenant, ""), work)


def seen_as(server: McpServer, seen: tuple[KnownTool, ...], offer: Offer) -> McpServer:
    """Return a server with what was seen of it."""
    return replace(
        server,
        offered_pin=offer.pin,
        changed=tuple(each.tool for each in seen if each.changed),
        passed_over=offer.passed_over,
        protocol_version=offer.protocol_version,
    )


def suspend(tx: Transaction, server: McpServer, seen: tuple[KnownTool, ...]) -> None:
    """Suspend the tools that are not as they were accepted, and no others."""
    for each in seen:
        tool = tx.tool(pins.tool_id(server.id, each.tool)) if each.accepted else None
        bound = tool.driver.mcp if tool is not None else None
        if tool is None or bound is None:
            continue
        suspended = each.changed or server.pin != server.offered_pin
        if bound.suspended != suspended:
            tx.put_tool(replace(tool, driver=replace(tool.driver, mcp=replace(bound, suspended=suspended))))


def missing(server_id: str) -> ServerNotFound:
    """Return the error for a server that is not there."""
    name = f"mcpservers/{server_id}"
    return ServerNotFound(f"there is no MCP server {name}", metadata={"server": name})
