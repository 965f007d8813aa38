"""MCP servers and their tools as rows."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.chassis import codec
from services.chassis.db.sql import upsert
from services.tool.core.mcp_servers import KnownTool, McpServer
from services.tool.store import tables


class ServerRows:
    """The MCP servers of one tenant on one connection."""

    def __init__(self, conn: sa.Connection, tenant: str) -> None:
        self._conn = conn
        self._tenant = tenant

    def server(self, server_id: str) -> McpServer | None:
        """Return a server."""
        table = tables.mcp_servers
        query = sa.select(table.c.body).where(table.c.tenant == self._tenant, table.c.server == server_id)
        body = self._conn.execute(query).scalar_one_or_none()
        return None if body is None else codec.decode(McpServer, body)

    def servers(self, *, after: str, limit: int) -> list[McpServer]:
        """List servers by id."""
        table = tables.mcp_servers
        query = sa.select(table.c.body).where(table.c.tenant == self._tenant, table.c.server > after)
        found = self._conn.execute(query.order_by(table.c.server).limit(limit)).scalars()
        return [codec.decode(McpServer, body) for body in found]

    def put_server(self, server: McpServer) -> None:
        """Insert or replace a server."""
        row = {
            "tenant": self._tenant,
            "server": server.id,
            "agent": server.owner,
            "body": codec.encode(server),
        }
        upsert(self._conn, tables.mcp_servers, row)

    def drop_server(self, server_id: str) -> None:
        """Forget a server and what is known of its tools."""
        for table in (tables.mcp_servers, tables.mcp_tools):
            mine = sa.and_(table.c.tenant == self._tenant, table.c.server == server_id)
            self._conn.execute(sa.delete(table).where(mine))

    def known_tools(self, server_id: str) -> list[KnownTool]:
        """Return a server's tools by name."""
        table = tables.mcp_tools
        query = sa.select(table.c.body).where(table.c.tenant == self._tenant, table.c.server == server_id)
        return [
            codec.decode(KnownTool, body)
            for body in self._conn.execute(query.order_by(table.c.tool)).scalars()
        ]

    def put_known_tools(self, server: McpServer, known: Sequence[KnownTool]) -> None:
        """Replace what is known of a server's tools."""
        table = tables.mcp_tools
        mine = sa.and_(table.c.tenant == self._tenant, table.c.server == server.id)
        self._conn.execute(sa.delete(table).where(mine))
        for each in known:
            row = {"tenant": self._tenant, "server": server.id, "tool": each.tool}
            upsert(self._conn, table, row | {"agent": server.owner, "body": codec.encode(each)})
