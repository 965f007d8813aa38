"""MCP servers on the wire."""

from aios._wire.records import record
from aios.api.tool.v1 import mcp_pb2 as pb
from aios.api.tool.v1 import resources_pb2 as res
from aios.types.mcp import McpOAuth, McpReview, McpServerInfo, McpToolChange


def server_name(server: str) -> str:
    """Return the resource name of a server given by id or name."""
    return server if server.startswith("mcpservers/") else f"mcpservers/{server}"


def server(message: res.McpServer) -> McpServerInfo:
    """Return a server from protobuf."""
    return record(McpServerInfo, message, command=tuple(message.stdio.command), url=message.http.url)


def review(message: pb.ReviewMcpServerResponse) -> McpReview:
    """Return what a person looks at from protobuf."""
    changes = tuple(record(McpToolChange, change) for change in message.changes)
    return record(McpReview, message, server=server(message.server), changes=changes)


def oauth(given: McpOAuth | None) -> res.McpOAuth | None:
    """Return how to get tokens as protobuf."""
    if given is None:
        return None
    return res.McpOAuth(
        token_url=given.token_url,
        client_id=given.client_id,
        client_secret=given.client_secret,
        refresh_token=given.refresh_token,
        scopes=given.scopes,
    )
